"""JSON answers, and requests that bring a JSON object."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TypeAlias

import orjson
from aiohttp import web

from waybill.core.errors import MalformedError
from waybill.core.near import meant
from waybill.flow.inflight import Grow
from waybill.ingest.http.bodies import BodyReader

#: Answers a request.
Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Of a name that nobody knows so much goes into the answer.
_SHOWN_CHARS = 60
#: What is asked where.
_EXAMPLES: Mapping[str, str] = {
    "/v1/explain": '{"source": "shop", "message": "payment 4711 declined"}',
    "/v1/rules/test": '{"rules": "rules: [...]", "messages": ["payment 4711 declined"]}',
    "/v1/corrections": '{"message": "payment 4711 declined", "label": "Error"}',
}


def no_such(name: str, known: Collection[str]) -> MalformedError:
    """A parameter or member that is not among ``known``; with the one that may be meant."""
    shown = name[:_SHOWN_CHARS]
    told = f"{shown!r} is not one of {', '.join(known)}{meant(shown, known)}"
    return MalformedError("fields", told)


def _wanted(request: web.Request) -> str:
    example = _EXAMPLES.get(request.path.rstrip("/"))
    return f"; expected such as {example}" if example else ""


def as_json(value: object, status: int = 200) -> web.Response:
    """``value`` as the answer."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def in_turn(handler: Answer) -> Answer:
    """``handler`` for one request at a time: what its answer is made of takes many times its size,
    and is counted by nothing. The answer is counted while it is written.
    """
    turn = asyncio.Lock()

    @functools.wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        async with turn:
            return await handler(request)

    return handle


class Questions:
    """Reads what is asked; a question's bytes count like those of a batch."""

    def __init__(
        self, hold: Callable[[], AbstractContextManager[Grow]], reader: BodyReader
    ) -> None:
        self._hold = hold
        self._reader = reader

    async def read(self, request: web.Request) -> dict[str, object]:
        """The JSON object of a request.

        Raises:
            MalformedError: ``not_json``, ``not_an_object``, or as `BodyReader.read`.
            OverloadedError: as `BodyReader.read`.
        """
        with self._hold() as grow:
            body = await self._reader.read(request, grow)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            wanted = _wanted(request)
            raise MalformedError("not_json", f"the body is not JSON: {error}{wanted}") from None
        if not isinstance(value, dict):
            told = f"the body is not a JSON object{_wanted(request)}"
            raise MalformedError("not_an_object", told)
        return value
