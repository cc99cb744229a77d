"""``POST /v1/classify/csv``: a CSV goes in, the same with labels comes out, row by row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from aiohttp import BodyPartReader, web

from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire.csv import RowSplitter, Table, write_rows

#: Rows labelled at once: enough to fill the model's batches, few enough to stream.
_ROWS = 500
_CHUNK_BYTES = 1 << 16
#: Labels messages and their sources, in order.
Label = Callable[[Sequence[str | None], Sequence[str]], Awaitable[list[Verdict]]]


def routes(
    fields: FieldSettings,
    row_bytes: int,
    label: Label,
    count: Callable[[Sequence[Verdict]], None],
) -> list[web.RouteDef]:
    """The endpoint; a row has at most ``row_bytes`` bytes; ``count`` counts verdicts."""

    async def classify(request: web.Request) -> web.StreamResponse:
        """A CSV with message and source columns; answers it with label, confidence, tier."""
        rows = _rows(request, row_bytes)
        head = await anext(rows, [""])
        table = Table(head or [], fields)
        response = web.StreamResponse(
            headers={
                "Content-Disposition": 'attachment; filename="labelled.csv"',
                "Content-Type": "text/csv; charset=utf-8",
            }
        )
        await response.prepare(request)
        await response.write(write_rows([table.header]).encode())
        async for some in _chunked(rows):
            verdicts = await label(
                [table.message(row) for row in some], [table.source(row) for row in some]
            )
            count(verdicts)
            pairs = zip(some, verdicts, strict=True)
            text = write_rows(table.labelled(row, verdict) for row, verdict in pairs)
            await response.write(text.encode())
        await response.write_eof()
        return response

    return [web.post("/v1/classify/csv", classify)]


async def _rows(request: web.Request, row_bytes: int) -> AsyncIterator[list[str]]:
    splitter = RowSplitter(row_bytes)
    async for data in _chunks(request):
        for row in splitter.feed(data):
            yield row
    for row in splitter.feed(b"", is_last=True):
        yield row


async def _chunked(rows: AsyncIterator[list[str]]) -> AsyncIterator[list[list[str]]]:
    chunk: list[list[str]] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The CSV's bytes: the first file of a multipart form, or the body itself."""
    if not request.content_type.startswith("multipart/"):
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            yield chunk
        return
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and (part.filename or part.name == "file"):
                while chunk := await part.read_chunk(_CHUNK_BYTES):
                    yield chunk
                return
    except ValueError as error:
        raise MalformedError("multipart", str(error)) from None
    raise MalformedError("multipart", "the form holds no file; send one as the field 'file'")
