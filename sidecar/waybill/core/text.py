"""Decodes text whose encoding is not known.

>>> decoded("Müller".encode("cp1252"))
'Müller'
"""

from __future__ import annotations

import codecs
import encodings.aliases
import functools
import io
import math
import pkgutil
from collections.abc import Iterator

from waybill.core.errors import MalformedError

__all__ = [
    "BOMS",
    "WESTERN",
    "byte_order_mark",
    "charset_of",
    "decoded",
    "is_in",
    "is_utf8_rather",
    "not_utf8",
    "pieces_of",
    "single_byte",
    "text_of_bytes",
    "text_of_file",
    "transcoded",
]

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
#: Codecs of Python's that are no character sets. One MB takes the first two minutes: their time
#: grows with the square of the size.
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
#: What is decoded in one step of the interpreter, in which no other thread runs: half a ms; 20
#: where nothing of it is a character.
_STEP_BYTES = 1 << 17


def charset_of(name: str) -> str | None:
    """The codec of the character set that somebody calls ``name``; None where there is none.

    >>> charset_of("Latin1"), charset_of("punycode"), charset_of("zip")
    ('iso8859-1', None, None)
    """
    python_name = encodings.normalize_encoding(name).lower()
    if python_name not in _codecs():
        return None
    try:
        "".encode(python_name)
    except LookupError:  # of bytes it makes bytes, or it is of another system
        return None
    return codecs.lookup(python_name).name


@functools.cache
def _codecs() -> frozenset[str]:
    """Names of all there are. No other is looked up: Python remembers each for ever."""
    modules = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    return frozenset({*modules, *encodings.aliases.aliases} - _NO_CHARSETS)


def transcoded(
    data: bytes, codec: str, errors: str = "strict", *, most_bytes: float = math.inf
) -> bytes:
    """``data`` in UTF-8, in steps between which others run.

    Raises:
        UnicodeError: it is not text of that codec.
        MalformedError: ``too_large``: it has more than ``most_bytes``.
    """
    whole = io.BytesIO()
    for text in _in_steps(data, codec, errors):
        whole.write(text.encode("utf-8", "replace"))
        if whole.tell() > most_bytes:
            raise MalformedError("too_large", f"more than {most_bytes:,} bytes in UTF-8")
    return whole.getvalue()


def pieces_of(data: memoryview) -> Iterator[str]:
    """The text of ``data``, however long it is, in steps between which others run: UTF-8, or else
    the Western single bytes.
    """
    for codec in ("utf-8", WESTERN):
        if is_in(data, codec):
            return _in_steps(data, codec)
    return _in_steps(data, "latin-1")


def is_in(data: memoryview, codec: str) -> bool:
    """Whether all of ``data`` is text of ``codec``, in steps between which others run."""
    try:
        for _ in _in_steps(data, codec, "strict"):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _in_steps(data: bytes | memoryview, codec: str, errors: str = "strict") -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)(errors)
    for start in range(0, len(data), _STEP_BYTES):
        yield decoder.decode(bytes(data[start : start + _STEP_BYTES]))
    yield decoder.decode(b"", final=True)


def byte_order_mark(data: bytes) -> tuple[bytes, str] | None:
    r"""The byte order mark that ``data`` begins with, and its codec; None without one.

    >>> byte_order_mark("x".encode("utf-8-sig"))
    (b'\xef\xbb\xbf', 'utf-8')
    """
    for mark, codec in BOMS:
        if data.startswith(mark):
            return mark, codec
    return None


def decoded(data: bytes) -> str:
    """``data`` as text: by its byte order mark, as UTF-8, or else in the Western single bytes."""
    found = byte_order_mark(data)
    if found is not None:
        mark, codec = found
        return data[len(mark) :].decode(codec, "replace")
    if is_utf8_rather(data):
        return data.decode("utf-8", "replace")
    return data.decode(single_byte(data), "replace")


def text_of_file(data: bytes, errors: str = "strict") -> str:
    """What somebody wrote into a file: UTF-8, or what PowerShell's ``>`` makes of it, UTF-16.

    Raises UnicodeDecodeError, for `not_utf8`.
    """
    mark, codec = byte_order_mark(data) or (b"", "utf-8")
    return data[len(mark) :].decode(codec, errors)


def not_utf8(error: UnicodeDecodeError) -> tuple[int, str]:
    """The line that `text_of_file` stopped at, and what is wrong there."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return line, f"not UTF-8: {error.reason}; save it as UTF-8"


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
    ascii_count = len(text.encode("ascii", "ignore"))
    good_count = len(text.encode("utf-8", "ignore").decode("utf-8"))
    odd_count = len(text) - good_count
    return odd_count <= good_count - ascii_count


def single_byte(data: bytes) -> str:
    """``cp1252``, or ``latin-1`` where bytes stand that cp1252 has no character for."""
    try:
        data.decode(WESTERN)
    except UnicodeDecodeError:
        return "latin-1"
    return WESTERN
