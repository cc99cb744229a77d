"""Suggests the known word that an unknown one may have meant.

>>> close_to("Eror", ["Error", "User Action"])
['Error']
>>> close_to("token", ["tokens_file", "listen"])
['tokens_file']
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["close_to", "meant"]

#: No name of ours is half as long. Comparing takes the event loop 0.2 s for a word of a megabyte.
_MAX_WORD_CHARS = 200
#: Shorter beginnings say too little.
_MIN_PREFIX_CHARS = 3


def close_to(word: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The one of ``known`` that is closest to ``word``, if one is close, or the only one that
    begins with it.

    ``cutoff`` is the least likeness, from 0 to 1. Nothing is close to a long word.
    """
    if len(word) > _MAX_WORD_CHARS:
        return []
    names = list(known)
    longer = [name for name in names if len(word) >= _MIN_PREFIX_CHARS and name.startswith(word)]
    return difflib.get_close_matches(word, names, n=1, cutoff=cutoff) or longer[: len(longer) == 1]


def meant(word: str, known: Iterable[str]) -> str:
    """The one of ``known`` that ``word`` may stand for, as the end of a message; else ''.

    >>> meant("serv", ["serve", "check"])
    ' (did you mean serve?)'
    """
    return "".join(f" (did you mean {name}?)" for name in close_to(word, known))
