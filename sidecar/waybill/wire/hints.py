"""Says what a body that cannot be read seems to be, and what to send instead."""

from __future__ import annotations

import re

import msgspec

__all__ = ["NO_JSON", "hint", "is_length_delimited", "is_table", "no_table_hint", "no_text_hint"]

#: What to know where a file is said to be JSON and holds no record; what to do is told behind it.
NO_JSON = (
    "no JSON record can be found (JSON has double quotes round names and texts, and no comments)"
)
_LENGTH_BYTES = 4
#: So many frames are looked at: what fits by chance does not fit three times.
_FRAMES = 3
_OBJECT = b"{"
_JOURNAL = b"__CURSOR="
#: Magic numbers of what is sent without saying so.
_KINDS = (
    (b"\x1f\x8b", "the body is compressed with gzip: send Content-Encoding: gzip"),
    (b"\x28\xb5\x2f\xfd", "the body is compressed with zstd: send Content-Encoding: zstd"),
    (b"BZh", "the body is compressed with bzip2: compress it with gzip or zstd"),
    (b"\xfd7zXZ", "the body is compressed with xz: compress it with gzip or zstd"),
    (b"\x04\x22\x4d\x18", "the body is compressed with lz4: compress it with gzip or zstd"),
    (
        b"\xff\x06\x00\x00sNaPpY",
        "the body is compressed with snappy: send Content-Encoding: snappy",
    ),
    (b"\x78\x01", "the body is compressed with zlib: send Content-Encoding: deflate"),
    (b"\x78\x9c", "the body is compressed with zlib: send Content-Encoding: deflate"),
    (b"\x78\xda", "the body is compressed with zlib: send Content-Encoding: deflate"),
    (b"Obj\x01", "the body is Avro: send NDJSON"),
    (b"PK\x03\x04", "the body is a zip archive or a workbook; see `waybill label`"),
    (b"PAR1", "the body is Parquet: send its rows as NDJSON"),
    (b"<", "the body is XML or HTML"),
)
#: No text begins so, whatever its encoding; a line may begin with PAR1, a table does not.
_NO_TEXT = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
_NO_TABLES = (*_NO_TEXT, b"PAR1")
_JSON = re.compile(rb"(?:\[\s*)?\{\s*\"")
#: A dict of Python as ``str()`` writes it, JSON5, JavaScript.
_OTHER_OBJECT = re.compile(rb"(?:\[\s*)?\{\s*(?:'|[A-Za-z_]\w*\s*:)")
#: The priority that a line of syslog begins with.
_PRIORITY = re.compile(rb"<\d{1,3}>")
#: So much is read again to tell where it breaks off.
_LOOKED_AT = 64 << 10
#: So much tells whether it may be text; a body may end there in a character.
_SEEN_BYTES = 64
_LINE_ENDS = dict.fromkeys(map(ord, "\t\r\n\x1b"), " ")
_BLANK_BYTES = b"\xef\xbb\xbf \t\r\n"


def is_length_delimited(body: bytes) -> bool:
    """Whether ``body`` is JSON objects with their lengths in front, as Vector's framing
    ``length_delimited`` sends them.
    """
    at = 0
    for _ in range(_FRAMES):
        size = int.from_bytes(body[at : at + _LENGTH_BYTES], "big")
        begin = at + _LENGTH_BYTES
        if size < 2 or body[begin : begin + 1] != _OBJECT or begin + size > len(body):
            return False
        at = begin + size
        if at == len(body):
            return True
    return True


def is_table(content_type: str) -> bool:
    """Whether ``content_type`` names CSV or tabs."""
    return "csv" in content_type or "tab-separated" in content_type


def no_text_hint(start: bytes, none_of: tuple[bytes, ...] = _NO_TEXT) -> str | None:
    """A sentence about what begins with ``start`` and is not text; None where it may be."""
    for magic, sentence in _KINDS:
        if magic in none_of and start.startswith(magic):
            return sentence
    return None


def no_table_hint(start: bytes) -> str | None:
    """A sentence about what begins with ``start`` and is not a table; None where it may be one."""
    told = no_text_hint(start, _NO_TABLES)
    if told is not None:
        return told
    if _JSON.match(start.lstrip(_BLANK_BYTES)):
        return "the body is JSON: send it to /v1/label"
    return None


def _fault(body: bytes) -> str:
    """Where JSON breaks off, as far as that is soon found."""
    try:
        msgspec.json.decode(body[:_LOOKED_AT])
    except msgspec.DecodeError as error:
        if str(error).startswith("JSON is malformed"):
            return f': {error}; a line end within a text is written \\n, a quote \\"'
    except (RecursionError, UnicodeError):
        pass
    return "; it breaks off, or a quote or bracket is missing"


def hint(body: bytes, content_type: str) -> str:
    """A sentence about a body in which no record can be found."""
    if is_length_delimited(body):
        return (
            "frames with their length in front are not taken: "
            "set framing.method: newline_delimited, or send an array"
        )
    if is_table(content_type):
        return "a table is not taken here: send it to /v1/classify/csv"
    for start, sentence in _KINDS:
        if body.startswith(start) and not _PRIORITY.match(body):
            return sentence
    if body.startswith(_JOURNAL):
        return "the body is a journal in its export format: send it as JSON (journalctl -o json)"
    start = body[:_LOOKED_AT].lstrip(_BLANK_BYTES)
    if _OTHER_OBJECT.match(start):
        return (
            "no JSON record can be found: JSON has double quotes round names and texts, "
            "as json.dumps writes them and str() does not"
        )
    if _JSON.match(start):
        return f"no JSON record can be found{_fault(body)}"
    if body[:_SEEN_BYTES].decode("utf-8", "ignore").translate(_LINE_ENDS).isprintable():
        return (
            "no JSON record can be found; lines of plain text are taken with "
            "Content-Type: text/plain"
        )
    return "no JSON record can be found"
