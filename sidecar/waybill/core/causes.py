"""What an exception of a connection says, for people.

>>> cause_of(OSError("Cannot connect to host shop:80 ssl:default [Connection refused]"))
'Cannot connect to host shop:80 [Connection refused]'
>>> cause_of(TimeoutError())
'no answer in time'
>>> cause_of(ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 80)"))
'Connection refused'
"""

from __future__ import annotations

import errno
import os
import re

__all__ = ["cause_of"]

#: What aiohttp adds to every address, also to one that is asked without TLS.
_TLS_WORD = re.compile(r" ssl:(?:default|True|False|None|<[^>]*>)")
#: What asyncio says where it should say why: the address stands before it already.
_CALL = re.compile(r"(?:\[Errno (\d+)\] )?Connect call failed \((?:'[^']*', )?\d+(?:, \d+)*\)")


def cause_of(error: BaseException) -> str:
    """The text of ``error`` without words of the library; never empty."""
    text = _TLS_WORD.sub("", str(error)).strip()
    number = getattr(getattr(error, "os_error", error), "errno", None) or errno.ECONNREFUSED
    text = _CALL.sub(lambda found: os.strerror(int(found[1] or number)), text)
    if text:
        return text
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
