"""The file that a client uploads: the first of a multipart form, or the body itself.

Forms are aiohttp's to read. What comes before the file is bounded here: each line and each part of
it costs time on the event loop, and a form of 50,000 empty parts took minutes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from waybill.core.errors import MalformedError, OverloadedError

#: Lines of a form before its file begins: forms of browsers and of curl have about five a field.
_MOST_LINES = 1000
#: Between two turns of the event loop: about 2 ms.
_SLICE_LINES = 10

__all__ = ["Read", "bounded_form", "file_reader", "form_faults"]

Read = Callable[[], Awaitable[bytes]]


async def file_reader(request: web.Request, secs: float, chunk_bytes: int) -> Read:
    """Reads the file's next bytes, at most so many; nothing at its end.

    The client has ``secs`` seconds until its file begins.

    Raises:
        MalformedError: ``multipart``; so does what is returned.
        OverloadedError: ``slow_body``.
    """
    if not request.content_type.startswith("multipart/"):
        return lambda: request.content.read(chunk_bytes)
    try:
        async with asyncio.timeout(secs):
            with form_faults():
                part = await _first_file(request)
    except TimeoutError:
        raise OverloadedError("slow_body") from None

    async def read() -> bytes:
        with form_faults():
            return bytes(await part.read_chunk(chunk_bytes))

    return read


async def _first_file(request: web.Request) -> BodyPartReader:
    async for part in bounded_form(request):
        if isinstance(part, BodyPartReader) and (part.filename or part.name == "file"):
            return part
    raise MalformedError("multipart", "the form holds no file; send one as the field 'file'")


def bounded_form(request: web.Request) -> MultipartReader:
    """Reads the parts of a form; past `_MOST_LINES` lines beside its files it is refused."""
    return MultipartReader(request.headers, cast("StreamReader", _Lines(request.content)))


@contextlib.contextmanager
def form_faults() -> Iterator[None]:
    """Raise as MalformedError what aiohttp raises for what is not a form."""
    try:
        yield
    except HttpProcessingError as error:
        raise MalformedError("multipart", error.message) from None
    except ValueError as error:
        raise MalformedError("multipart", str(error)) from None


class _Lines:
    """A stream out of which a form may take so many lines and no more.

    It has what aiohttp's reader of forms asks a stream for. The lines of a file do not count: they
    are read as bytes.
    """

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self._count = 0
        self.read = content.read
        self.unread_data = content.unread_data
        self.at_eof = content.at_eof

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """The next line. Raises ValueError past the bound."""
        self._count += 1
        if self._count > _MOST_LINES:
            raise ValueError(f"its file does not begin within {_MOST_LINES} lines")
        if self._count % _SLICE_LINES == 0:
            await asyncio.sleep(0)
        if max_line_length is None:
            return await self._content.readline()
        return await self._content.readline(max_line_length=max_line_length)
