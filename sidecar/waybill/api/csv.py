"""``POST /v1/classify/csv``: a CSV goes in, the same with labels comes out, row by row."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from aiohttp import web

from waybill.api.answers import no_such
from waybill.api.upload import file_reader
from waybill.core.errors import MalformedError, OverloadedError
from waybill.core.names import Compression
from waybill.core.records import Verdict
from waybill.flow.inflight import Grow
from waybill.ingest.http.errors import about
from waybill.ops.streaming import write_within
from waybill.settings.schema import FieldSettings
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.compression import decompress, encodings_of
from waybill.wire.hints import no_table_hint
from waybill.wire.inflate import Inflater
from waybill.wire.table.columns import Choice, make_choice
from waybill.wire.table.faults import Policy, parse_policy
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table

__all__ = ["Backend", "routes"]

log = logging.getLogger(__name__)
#: Rows labelled at once: enough to fill the model's batches, few enough to stream.
_ROWS = 500
_CHUNK_BYTES = 1 << 16
#: What a table on its way takes beside what is read of it: its rows, their labels, the buffers of
#: its connection.
_UPLOAD_BYTES = 1 << 20
#: The largest window that a zstd stream may ask for (`waybill.wire.compression`).
_WINDOW_BYTES = 8 << 20
#: Rows read from the text between two turns of the event loop: about 5 ms.
_PIECE_ROWS = 250
#: Above this a row that is still open is read on a thread: it may turn out to be as many rows.
_INLINE_CHARS = 4 << 10
#: A table that is longer than limits.body_bytes may inflate to so many times what was sent: tables
#: of logs reach 10 to 60.
_MOST_TIMES = 250
#: Of how a table is read so much is told: clients take some KB of headers.
_TOLD_CHARS = 1000
_OPTIONS = (
    "delimiter",
    "encoding",
    "message_column",
    "source_column",
    "label_column",
    "quote",
    "head",
    "known_labels",
    "source",
    "details",
    "on_error",
)
#: No shipper waits for a table: rows that model or LLM was too late for are asked again, so long,
#: with so much time in between.
_PATIENCE_SECS = 120.0
_REST_SECS = 0.05
#: Labels messages and their sources, in order.
Label = Callable[[Sequence[str | None], Sequence[str]], Awaitable[list[Verdict]]]


@dataclass(frozen=True, slots=True)
class Backend:
    """What the endpoint needs of the service.

    ``fields`` are those of each labelling. A row has at most ``row_bytes`` bytes, and
    8 MB. The client has ``read_secs`` seconds for each ``row_bytes`` bytes; ``hold`` accounts for
    what is in memory; ``count`` counts verdicts.
    """

    fields: Sequence[FieldSettings]
    row_bytes: int
    read_secs: float
    label: Label
    count: Callable[[Sequence[Verdict]], None]
    hold: Callable[[], AbstractContextManager[Grow]]


@dataclass(slots=True)
class _Upload:
    """One table on its way; ``held`` is what is accounted for."""

    table: Table
    policy: Policy
    grow: Grow
    held: int = 0
    faults: int = 0
    response: web.StreamResponse = field(default_factory=web.StreamResponse)


def routes(backend: Backend) -> list[web.RouteDef]:
    """The endpoint."""

    async def classify(request: web.Request) -> web.StreamResponse:
        """A CSV with message and source columns; answers it with label, confidence, tier."""
        choice, policy = _options(request)
        encodings = encodings_of(request.headers.get("Content-Encoding"))
        most_chars = min(backend.row_bytes, MOST_RECORD_BYTES)
        table = Table(backend.fields[0], choice, most_chars, further=backend.fields[1:])
        with backend.hold() as grow:
            upload = _Upload(table, policy, grow)
            grow(_UPLOAD_BYTES + _inflating_bytes(encodings, backend.row_bytes))
            chunks = _inflated(_chunks(request, backend), encodings, backend.row_bytes)
            try:
                await _answer(backend, request, upload, chunks)
            except ConnectionError:
                if not upload.response.prepared:
                    raise
                log.info("a client left before its table was labelled", extra=about(request))
        if upload.faults:
            log.warning("rows of a CSV had faults", extra={"rows": upload.faults})
        return upload.response

    return [web.post("/v1/classify/csv", classify)]


async def _answer(
    backend: Backend, request: web.Request, upload: _Upload, chunks: AsyncIterator[bytes]
) -> None:
    """Label what comes until it ends. Raises ConnectionError: the client left, or reads nothing."""
    is_first = True
    async for data in chunks:
        told = no_table_hint(data) if is_first else None
        if told is not None:
            raise MalformedError("csv_columns", told)
        is_first = False
        for piece in _pieces(data):
            await _feed(backend, request, upload, piece, is_last=False)
            await asyncio.sleep(0)
    await _feed(backend, request, upload, b"", is_last=True)
    await write_within(request, upload.response, upload.table.rest(), backend.read_secs)
    await upload.response.write_eof()


def _inflating_bytes(encodings: Sequence[Compression], limit_bytes: int) -> int:
    """What undoing ``encodings`` takes beside what comes out."""
    if not encodings:
        return 0
    if not _is_stream(encodings):
        return limit_bytes
    return _WINDOW_BYTES if encodings[0] == "zstd" else 0


def _is_stream(encodings: Sequence[Compression]) -> bool:
    return len(encodings) == 1 and encodings[0] != "snappy"


async def _feed(
    backend: Backend, request: web.Request, upload: _Upload, data: bytes, *, is_last: bool
) -> None:
    """Label what ``data`` completes, and write it; the head goes out before the first row."""
    table = upload.table
    in_memory = table.pending_chars + len(data)
    if in_memory > upload.held:
        upload.grow(in_memory - upload.held)
        upload.held = in_memory
    if table.pending_chars > _INLINE_CHARS:
        rows = await asyncio.to_thread(table.feed, data, is_last)
    else:
        rows = table.feed(data, is_last)
    if not table.has_head:
        return
    for at in range(0, len(rows), _ROWS):
        # Before the head: a fault of the first rows is still a refusal.
        if at:
            await asyncio.sleep(0)
        some = _taken(rows[at : at + _ROWS], upload)
        await _open(request, upload)
        await _label(backend, request, upload, some)
    await _open(request, upload)


def _pieces(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces of few rows: what is read at once is worked on in one go."""
    ends = data.count(b"\n") + data.count(b"\r")
    size = max(1, len(data) * _PIECE_ROWS // max(ends, _PIECE_ROWS))
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def _open(request: web.Request, upload: _Upload) -> None:
    if upload.response.prepared:
        return
    charset = upload.table.decoder.name or "utf-8"
    upload.response.headers["Content-Disposition"] = 'attachment; filename="labelled.csv"'
    upload.response.headers["Content-Type"] = f"text/csv; charset={charset}"
    told = upload.table.describe().encode("ascii", "backslashreplace").decode()
    upload.response.headers["Waybill-Table"] = told[:_TOLD_CHARS]
    await upload.response.prepare(request)
    await upload.response.write(upload.table.head())


async def _label(
    backend: Backend, request: web.Request, upload: _Upload, rows: Sequence[Row]
) -> None:
    columns = upload.table.columns
    verdicts = await _verdicts(backend, *columns.read([row.cells for row in rows]))
    backend.count([verdict for row, verdict in zip(rows, verdicts, strict=True) if row.cells])
    answer = upload.table.labelled(rows, verdicts)
    await write_within(request, upload.response, answer, backend.read_secs)


async def _verdicts(
    backend: Backend, messages: Sequence[str | None], sources: Sequence[str]
) -> list[Verdict]:
    """What is said of each message, also of those that model or LLM was too late for at first."""
    verdicts = await backend.label(messages, sources)
    end = time.monotonic() + _PATIENCE_SECS
    while time.monotonic() < end:
        late = [i for i, verdict in enumerate(verdicts) if verdict.tier == "pending"]
        if not late:
            break
        await asyncio.sleep(_REST_SECS)
        again = await backend.label([messages[i] for i in late], [sources[i] for i in late])
        for i, verdict in zip(late, again, strict=True):
            verdicts[i] = verdict
    return verdicts


def _taken(rows: Sequence[Row], upload: _Upload) -> list[Row]:
    """The rows that go on. Raises MalformedError (``csv_row``) with ``on_error`` fail."""
    taken: list[Row] = []
    for row in rows:
        done = "pass"
        words, kinds = row.faults(upload.table.columns, upload.policy)
        if kinds:
            upload.faults += 1
            done = upload.policy.of(kinds)
        if done == "fail":
            raise MalformedError("csv_row", f"{row.where}: {words}")
        if done == "pass":
            taken.append(row)
    return taken


def _options(request: web.Request) -> tuple[Choice, Policy]:
    """What the query says. Raises MalformedError (``fields``)."""
    query = request.query
    unknown = [name for name in query if name not in _OPTIONS]
    if unknown:
        raise no_such(unknown[0], _OPTIONS)
    encoding = query.get("encoding")
    if encoding is None and request.content_type == "text/csv":
        encoding = request.charset
        if encoding is not None and encoding.lower() in ("utf-8", "us-ascii"):
            encoding = None  # what clients say without knowing
    choice = make_choice(
        delimiter=query.get("delimiter"),
        encoding=encoding,
        message=query.get("message_column"),
        source=query.get("source_column"),
        label=query.get("label_column"),
        quote=query.get("quote"),
        head=query.get("head"),
        known=query.get("known_labels"),
        source_text=query.get("source"),
        details=query.get("details"),
    )
    return choice, parse_policy(query.get("on_error", "pass"))


def _inflated(
    chunks: AsyncIterator[bytes], encodings: Sequence[Compression], limit_bytes: int
) -> AsyncIterator[bytes]:
    """The chunks with their encodings undone. Raises MalformedError."""
    if not encodings:
        return chunks
    if _is_stream(encodings):
        return _inflated_stream(chunks, encodings[0], limit_bytes)
    return _inflated_whole(chunks, encodings, limit_bytes)


async def _inflated_whole(
    chunks: AsyncIterator[bytes], encodings: Sequence[Compression], limit_bytes: int
) -> AsyncIterator[bytes]:
    """What is no stream, or rare: read whole, within the limit of one body."""
    whole = bytearray()
    async for chunk in chunks:
        whole += chunk
        if len(whole) > limit_bytes:
            raise MalformedError("too_large", "more than limits.body_bytes, not as a stream")
    data = await asyncio.to_thread(decompress, bytes(whole), encodings, limit_bytes)
    for piece in _cut(data):
        yield piece


async def _inflated_stream(
    chunks: AsyncIterator[bytes], encoding: Compression, limit_bytes: int
) -> AsyncIterator[bytes]:
    """A stream as it comes; how much it inflates is bounded, not how long it is."""
    inflater = Inflater(encoding)
    sent = 0
    size = 0
    async for chunk in chunks:
        sent += len(chunk)
        for data in inflater.feed(chunk):
            size += len(data)
            if size > limit_bytes and size > _MOST_TIMES * sent:
                raise MalformedError(
                    "too_large", f"inflates to more than {_MOST_TIMES} times its size"
                )
            for piece in _cut(data):
                yield piece
    inflater.finish()


def _cut(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _CHUNK_BYTES):
        yield data[at : at + _CHUNK_BYTES]


async def _chunks(request: web.Request, backend: Backend) -> AsyncIterator[bytes]:
    """The CSV's bytes, in the time that the client has for them.

    Only the waiting counts: how long rows take to be labelled is not the client's fault.

    Raises:
        OverloadedError: ``slow_body``.
    """
    read = await file_reader(request, backend.read_secs, _CHUNK_BYTES)
    waited = 0.0
    size = 0
    while True:
        begin = time.monotonic()
        left = backend.read_secs * (1 + size // backend.row_bytes) - waited
        try:
            async with asyncio.timeout(max(left, 0)):
                chunk = await read()
        except TimeoutError:
            raise OverloadedError("slow_body") from None
        waited += time.monotonic() - begin
        if not chunk:
            return
        size += len(chunk)
        yield chunk
