"""Connection errors in words for people.

>>> cause_of(OSError("Cannot connect to host shop:80 ssl:default [Connection refused]"))
'Cannot connect to host shop:80 [Connection refused]'
>>> cause_of(ValueError("403 for https://ann:pw@store/a?X-Amz-Signature=5e1f&b=1"))
'403 for https://store/a?...'
>>> cause_of(TimeoutError())
'no answer in time'
>>> cause_of(ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 80)"))
'Connection refused'
>>> cause_at("http://shop:443", OSError("Server disconnected"))
'Server disconnected; if TLS is spoken there, write https://'
"""

from __future__ import annotations

import errno
import os
import re

from waybill.core.sent import without_secrets

__all__ = ["cause_at", "cause_of", "without_keys"]

#: What aiohttp adds to every address, also to one that is asked without TLS.
_TLS_WORD = re.compile(r" ssl:(?:default|True|False|None|<[^>]*>)")
#: What asyncio says where it should say why: the address stands before it already.
_CALL = re.compile(r"(?:\[Errno (\d+)\] )?Connect call failed \((?:'[^']*', )?\d+(?:, \d+)*\)")

#: Of an address who asks, and what: a signed one, to which a server has led a client, is a key.
_USER = re.compile(r"(?<=://)[^\s/?#'\"<>@]{1,300}@")
_ASKED = re.compile(r"\?[\w.%~+-]{1,100}=[^\s'\"<>]*")

#: What OpenSSL says to what is not TLS, and what is seen of a server that speaks TLS alone.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_ENDED = ("Server disconnected", "Connection reset")


def cause_of(error: BaseException) -> str:
    """The text of ``error`` without words of the library and secrets of addresses; never empty."""
    text = _TLS_WORD.sub("", str(error)).strip()
    number = getattr(getattr(error, "os_error", error), "errno", None) or errno.ECONNREFUSED
    text = _CALL.sub(lambda found: os.strerror(int(found[1] or number)), text)
    text = without_secrets(without_keys(text))
    if text:
        return text
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


def without_keys(text: str) -> str:
    """``text`` with addresses in it, but not with what they tell a server beside a path."""
    return _ASKED.sub("?...", _USER.sub("", text))


def cause_at(url: str, error: BaseException) -> str:
    """`cause_of`, and what to write instead where it is TLS that does not fit ``url``."""
    cause = cause_of(error)
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return f"{cause}; an authority of your own is named by the variable SSL_CERT_FILE"
    if url.startswith("https:") and any(word in cause for word in _NO_TLS):
        return f"{cause}; if no TLS is spoken there, write http://"
    if url.startswith("http:") and any(word in cause for word in _ENDED):
        return f"{cause}; if TLS is spoken there, write https://"
    return cause
