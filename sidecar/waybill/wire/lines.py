r"""Plain text, one record a line, as a shipper's codec ``text`` or ``logfmt`` sends it.

A line becomes the object ``{"log": line}``; one that is a JSON object already stays as it is. Of a
line of logfmt message and source are read from its pairs. What a container runtime puts in front
(CRI: time, stream, tag), or who shows its lines (kubectl, compose), is not part of the message. A
head of syslog is: it names the program.

    >>> as_ndjson(b"disk full\n\n", "text/plain")
    b'{"log":"disk full"}\n'
    >>> pairs_of('level=error msg="disk full"')
    {'level': 'error', 'msg': 'disk full'}
    >>> behind_head("2026-01-01T00:00:00.5Z stderr F disk full")
    'disk full'
"""

from __future__ import annotations

import io
import math
import re

import orjson

from waybill.core.errors import MalformedError
from waybill.core.prepare import is_blank
from waybill.core.steps import run_end, trimmed_end
from waybill.core.text import byte_order_mark, charset_of, pieces_of, single_byte, transcoded
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.json.scan import skip_space
from waybill.wire.json.valid import is_valid

__all__ = ["as_ndjson", "behind_head", "is_logfmt", "is_text", "pairs_of"]

#: Content types of text that is no log line for each line of it.
_OTHER_TEXT = (
    "text/csv",
    "text/tab-separated-values",
    "text/html",
    "text/xml",
    "text/event-stream",
)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""")
#: A word, or a word with a value in quotes or without.
_PAIR = r'[^\s="]++(?:=(?:"(?:[^"\\]|\\.)*+"|[^\s"]*+))'
_LOGFMT = re.compile(rf"\s*+{_PAIR}(?:\s++{_PAIR})*+\s*+")
_ONE = re.compile(r'([^\s="]++)=(?:"((?:[^"\\]|\\.)*+)"|([^\s"]*+))')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_COLOUR = r"(?:\x1b\[[\d;]*+m)*+"
#: What stands before a line: of CRI-O and containerd time, stream, tags (F is full, P in part); of
#: kubectl logs --prefix and --timestamps; of docker compose logs; a time before an object.
_HEAD = re.compile(
    rf"\s*+(?:{_TIME} std(?:out|err) [FP](?::\S*+)?(?: |\Z)"
    rf"|{_COLOUR}\[pod/[^\]/\s]++/[^\]/\s]++\]{_COLOUR}(?: |\Z)(?:{_TIME} )?"
    rf"|{_COLOUR}[A-Za-z][\w.-]{{0,62}}[-_]\d{{1,4}} ++\|{_COLOUR}(?: {_COLOUR}|\Z)"
    rf"|{_TIME} (?={{.*}}\s*+\Z))"
)
#: What a line has around it that is not of it.
_AROUND = b"\n\r\x00"
_BEFORE = re.compile(rb"[\n\r\x00]*+")
#: Lines of which a body may hold millions.
_NOTHING = frozenset((b"\n", b"\r\n"))
#: Longer lines are not looked through for pairs: their first part would decide all the same.
_LONGEST = 64 << 10
#: Of a body without a content type so many lines must be logfmt.
_PROBED_LINES = 10
_PROBED_BYTES = 64 << 10


def is_text(content_type: str) -> bool:
    """Whether ``content_type``, in lower case, names plain text."""
    kind = content_type.partition(";")[0].strip()
    return (kind.startswith("text/") and kind not in _OTHER_TEXT) or kind == "application/logfmt"


def is_logfmt(body: bytes) -> bool:
    """Whether ``body`` surely is lines of logfmt: for a body that nobody has named."""
    probed = body[:_PROBED_BYTES].decode("utf-8", "replace").splitlines()[:_PROBED_LINES]
    lines = [line for line in probed if line.strip()]
    return bool(lines) and all(_LOGFMT.fullmatch(line) for line in lines)


def as_ndjson(body: bytes, content_type: str, most_bytes: float = math.inf) -> bytes:
    """The lines of ``body`` as NDJSON; blank lines are left out.

    A line is text by a byte order mark, by the charset named, else each by its bytes: one that is
    no UTF-8 is read in the Western single bytes, so that no byte is lost. Only line feeds end a
    line: a form feed or U+2028 stands within a message.

    Raises:
        MalformedError: ``too_large``: more than ``most_bytes``. A control character takes six.
    """
    # One buffer: a short text that is kept by itself makes the heap grow and shrink for each line.
    records = io.BytesIO()
    text = _as_named(body, content_type, most_bytes)
    lines = io.BytesIO(text)
    while line := lines.readline(MOST_RECORD_BYTES + 1):
        if len(line) > MOST_RECORD_BYTES:
            start = lines.tell() - len(line)
            end = text.find(b"\n", start) + 1 or len(text)
            long_line = _within(memoryview(text)[start:end])
            if long_line:
                _add_long(records, long_line, most_bytes)
            lines.seek(end)
        elif line not in _NOTHING:
            _add(records, _decoded(line).strip(_AROUND.decode()))
        _check(records, most_bytes)
    return records.getvalue()


def _within(line: memoryview) -> memoryview:
    """A long line without what is around it. A copy of it would be one step of the
    interpreter, in which no other thread runs.
    """
    start = run_end(_BEFORE, line, 0)
    end = trimmed_end(line, start, len(line), _AROUND)
    return line[start:end]


def _check(records: io.BytesIO, most_bytes: float) -> None:
    if records.tell() > most_bytes:
        raise MalformedError("too_large", f"more than {most_bytes:,} bytes as JSON")


def _add(records: io.BytesIO, line: str) -> None:
    if is_blank(line):  # the end mark of DOS, 0x1A, is one
        return
    if line.lstrip().startswith("{") and _is_object(line):
        records.write(line.encode("utf-8", "replace"))
    else:
        records.write(orjson.dumps({"log": line}))
    records.write(b"\n")


def _add_long(records: io.BytesIO, line: memoryview, most_bytes: float) -> None:
    """The same of a line that nobody reads, since it is too long: never all of it in one step."""
    start = skip_space(line, 0)
    if bytes(line[start : start + 1]) == b"{" and is_valid(line):
        records.write(line)
        records.write(b"\n")
        return
    records.write(b'{"log":"')
    for piece in pieces_of(line):
        records.write(orjson.dumps(piece)[1:-1])
        _check(records, most_bytes)
    records.write(b'"}\n')


def behind_head(line: str) -> str:
    """``line`` without what a container runtime, or who shows its lines, put in front; itself
    where that is nothing.
    """
    head = _HEAD.match(line)
    return line if head is None else line[head.end() :]


def pairs_of(line: str) -> dict[str, str] | None:
    """The pairs of a line of logfmt; None where the line is anything else."""
    if "=" not in line or len(line) > _LONGEST or _LOGFMT.fullmatch(line) is None:
        return None
    pairs: dict[str, str] = {}
    for key, quoted, plain in _ONE.findall(line):
        pairs[key] = _ESCAPED.sub(_unescaped, quoted) if quoted else plain
    return pairs


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def _as_named(body: bytes, content_type: str, most_bytes: float) -> bytes:
    """``body`` in UTF-8 where a mark or its charset says what it is."""
    marked = byte_order_mark(body)
    if marked is not None:
        mark, codec = marked
        return transcoded(body[len(mark) :], codec, "replace", most_bytes=most_bytes)
    named = _CHARSET.search(content_type)
    charset = charset_of(named[1]) if named is not None else None
    if charset is None or charset == "utf-8":
        return body
    try:
        return transcoded(body, charset, most_bytes=most_bytes)
    except UnicodeError:
        return body  # it says what it is not


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode(single_byte(line))
