"""``POST /v1/classify/csv``: a CSV goes in, the same with labels comes out, row by row."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aiohttp import web

from waybill.api.answers import no_such
from waybill.api.csv_input import inflated, inflating_bytes, read_chunks
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.core.turns import in_turns
from waybill.flow.inflight import Grow
from waybill.ingest.http.errors import about
from waybill.ops.streaming import write_within
from waybill.settings.schema import FieldSettings
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.compression import encodings_of
from waybill.wire.hints import no_table_hint
from waybill.wire.table.columns import Choice, make_choice
from waybill.wire.table.faults import Policy, parse_policy
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table

__all__ = ["Backend", "routes"]

log = logging.getLogger(__name__)
#: Rows labelled at once: enough to fill the model's batches, few enough to stream.
_ROWS = 500
#: What a table on its way takes beside what is read of it: its rows, their labels, the buffers of
#: its connection.
_UPLOAD_BYTES = 1 << 20
#: Rows read from the text between two turns of the event loop: about 5 ms.
_PIECE_ROWS = 250
#: Above this a row that is still open is read on a thread: it may turn out to be as many rows.
_INLINE_CHARS = 4 << 10
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


def routes(backend: Backend) -> list[web.RouteDef]:
    """The endpoint."""

    async def classify(request: web.Request) -> web.StreamResponse:
        """A CSV with message and source columns; answers it with label, confidence, tier."""
        choice, policy = _options(request)
        encodings = encodings_of(request.headers.get("Content-Encoding"))
        most_chars = min(backend.row_bytes, MOST_RECORD_BYTES)
        table = Table(backend.fields[0], choice, most_chars, further=backend.fields[1:])
        with backend.hold() as grow:
            upload = _Upload(backend, request, table, policy, grow)
            grow(_UPLOAD_BYTES + inflating_bytes(encodings, backend.row_bytes))
            sent = read_chunks(request, backend.row_bytes, backend.read_secs)
            try:
                await upload.answer(inflated(sent, encodings, backend.row_bytes))
            except ConnectionError as error:
                if not upload.response.prepared:
                    raise
                error.__traceback__ = None  # the stream keeps its error, and so rows
                log.info("a client left before its table was labelled", extra=about(request))
        if upload.faults:
            log.warning("rows of a CSV had faults", extra={"rows": upload.faults})
        return upload.response

    return [web.post("/v1/classify/csv", classify)]


class _Upload:
    """One table on its way."""

    def __init__(
        self, backend: Backend, request: web.Request, table: Table, policy: Policy, grow: Grow
    ) -> None:
        self.response = web.StreamResponse()
        #: Rows with faults so far.
        self.faults = 0
        self._backend = backend
        self._request = request
        self._table = table
        self._policy = policy
        self._grow = grow
        #: Bytes that are accounted for.
        self._held = 0

    async def answer(self, chunks: AsyncIterator[bytes]) -> None:
        """Label what comes until it ends.

        Raises:
            MalformedError: it is not a table, or has a fault where the policy is to fail.
            ConnectionError: the client left, or reads nothing.
        """
        is_first = True
        async for data in chunks:
            told = no_table_hint(data) if is_first else None
            if told is not None:
                raise MalformedError("csv_columns", told)
            is_first = False
            for piece in _pieces(data):
                await self._feed(piece, is_last=False)
                await asyncio.sleep(0)
        await self._feed(b"", is_last=True)
        await self._write(self._table.rest())
        await self.response.write_eof()

    async def _feed(self, data: bytes, *, is_last: bool) -> None:
        """Label what ``data`` completes, and write it; the head goes out before the first row."""
        table = self._table
        in_memory = table.pending_chars + len(data)
        if in_memory > self._held:
            self._grow(in_memory - self._held)
            self._held = in_memory
        if table.pending_chars > _INLINE_CHARS:
            rows = await asyncio.to_thread(table.feed, data, is_last)
        else:
            rows = table.feed(data, is_last)
        if not table.has_head:
            return
        async for some in in_turns(rows, _ROWS):
            # Before the head: a fault of the first rows is still a refusal.
            taken = self._taken(some)
            await self._open()
            await self._label(taken)
        await self._open()

    async def _open(self) -> None:
        """Write the head, unless it is written."""
        response = self.response
        if response.prepared:
            return
        charset = self._table.decoder.name or "utf-8"
        response.headers["Content-Disposition"] = 'attachment; filename="labelled.csv"'
        response.headers["Content-Type"] = f"text/csv; charset={charset}"
        told = self._table.describe().encode("ascii", "backslashreplace").decode()
        response.headers["Waybill-Table"] = told[:_TOLD_CHARS]
        await response.prepare(self._request)
        await response.write(self._table.head())

    async def _label(self, rows: Sequence[Row]) -> None:
        messages, sources = self._table.columns.read([row.cells for row in rows])
        verdicts = await _verdicts(self._backend.label, messages, sources)
        given = [verdict for row, verdict in zip(rows, verdicts, strict=True) if row.cells]
        self._backend.count(given)
        await self._write(self._table.labelled(rows, verdicts))

    async def _write(self, data: bytes) -> None:
        await write_within(self._request, self.response, data, self._backend.read_secs)

    def _taken(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that go on. Raises MalformedError (``csv_row``) with ``on_error`` fail."""
        taken: list[Row] = []
        for row in rows:
            done = "pass"
            words, kinds = row.faults(self._table.columns, self._policy)
            if kinds:
                self.faults += 1
                done = self._policy.of(kinds)
            if done == "fail":
                raise MalformedError("csv_row", f"{row.where}: {words}")
            if done == "pass":
                taken.append(row)
        return taken


def _pieces(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces of few rows: what is read at once is worked on in one go."""
    ends = data.count(b"\n") + data.count(b"\r")
    size = max(1, len(data) * _PIECE_ROWS // max(ends, _PIECE_ROWS))
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def _verdicts(
    label: Label, messages: Sequence[str | None], sources: Sequence[str]
) -> list[Verdict]:
    """What is said of each message, also of those that model or LLM was too late for at first."""
    verdicts = await label(messages, sources)
    end = time.monotonic() + _PATIENCE_SECS
    while time.monotonic() < end:
        late = [i for i, verdict in enumerate(verdicts) if verdict.tier == "pending"]
        if not late:
            break
        await asyncio.sleep(_REST_SECS)
        again = await label([messages[i] for i in late], [sources[i] for i in late])
        for i, verdict in zip(late, again, strict=True):
            verdicts[i] = verdict
    return verdicts


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
