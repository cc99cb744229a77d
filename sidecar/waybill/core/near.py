"""What somebody may have meant who wrote a word that nobody knows.

>>> close_to("Eror", ["Error", "User Action"])
['Error']
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["close_to"]

#: No name of ours is half as long. Comparing takes the event loop 0.2 s for a word of a megabyte.
_MAX_WORD_CHARS = 200


def close_to(word: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The one of ``known`` that is closest to ``word``, if one is close.

    ``cutoff`` is the least likeness, from 0 to 1. Nothing is close to a long word.
    """
    if len(word) > _MAX_WORD_CHARS:
        return []
    return difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
