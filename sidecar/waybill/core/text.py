"""Decodes text whose encoding is not known.

>>> decoded("Müller".encode("cp1252"))
'Müller'
"""

from __future__ import annotations

import codecs

__all__ = ["BOMS", "WESTERN", "decoded", "is_utf8_rather", "single_byte", "text_of_bytes"]

#: Byte order marks and their codecs, the longer ones first; the codecs keep the mark as U+FEFF.
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: What a spreadsheet on Windows writes; its superset of Latin-1 has the dashes and quotes.
WESTERN = "cp1252"


def decoded(data: bytes) -> str:
    """``data`` as text: by its byte order mark, as UTF-8, or else in the Western single bytes."""
    for mark, name in BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    if is_utf8_rather(data):
        return data.decode("utf-8", "replace")
    return data.decode(single_byte(data), "replace")


def text_of_bytes(values: object) -> str | None:
    """The text of a list of byte values, as journald writes what is not plain text; else None.

    >>> text_of_bytes([100, 105, 115, 107])
    'disk'
    """
    if not isinstance(values, list) or not values:
        return None
    try:
        return decoded(bytes(values))
    except (TypeError, ValueError):
        return None


def is_utf8_rather(data: bytes) -> bool:
    """Whether ``data``, perhaps cut in a character, is UTF-8 with at most as many odd bytes as
    characters beyond ASCII.
    """
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(data)
    if text.isascii():
        return True
    beyond = text.encode("ascii", "ignore")
    odd = len(text) - len(text.encode("utf-8", "ignore").decode("utf-8"))
    return odd <= len(text) - len(beyond) - odd


def single_byte(data: bytes) -> str:
    """``cp1252``, or ``latin-1`` where bytes stand that cp1252 has no character for."""
    try:
        data.decode(WESTERN)
    except UnicodeDecodeError:
        return "latin-1"
    return WESTERN
