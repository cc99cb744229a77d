"""What an exception of a connection says, for people.

>>> cause_of(OSError("Cannot connect to host shop:80 ssl:default [Connection refused]"))
'Cannot connect to host shop:80 [Connection refused]'
>>> cause_of(TimeoutError())
'no answer in time'
"""

from __future__ import annotations

import re

__all__ = ["cause_of"]

#: What aiohttp adds to every address, also to one that is asked without TLS.
_TLS_WORD = re.compile(r" ssl:(?:default|True|False|None|<[^>]*>)")


def cause_of(error: BaseException) -> str:
    """The text of ``error`` without words of the library; never empty."""
    text = _TLS_WORD.sub("", str(error)).strip()
    if text:
        return text
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
