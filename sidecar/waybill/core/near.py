"""Suggests the known word that an unknown one may have meant.

>>> closest("Eror", ["Error", "User Action"])
'Error'
>>> closest("token", ["tokens_file", "listen"])
'tokens_file'
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "meant"]

#: No name of ours is half as long. Comparing takes the event loop 0.2 s for a word of a megabyte.
_MAX_WORD_CHARS = 200
#: Shorter beginnings say too little.
_MIN_PREFIX_CHARS = 3


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of ``known`` that is closest to ``word``, or else the only one that begins with it.

    ``cutoff`` is the least likeness, from 0 to 1. Nothing is close to a long word.
    """
    if len(word) > _MAX_WORD_CHARS:
        return None
    names = list(known)
    alike = difflib.get_close_matches(word, names, n=1, cutoff=cutoff)
    if alike:
        return alike[0]
    if len(word) < _MIN_PREFIX_CHARS:
        return None
    longer = [name for name in names if name.startswith(word)]
    return longer[0] if len(longer) == 1 else None


def meant(word: str, known: Iterable[str]) -> str:
    """The one of ``known`` that ``word`` may stand for, as the end of a message; "" without one.

    >>> meant("serv", ["serve", "check"])
    ' (did you mean serve?)'
    """
    name = closest(word, known)
    return f" (did you mean {name}?)" if name is not None else ""
