"""Answers in JSON, and questions that come as a JSON object."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import orjson
from aiohttp import web

from waybill.core.errors import MalformedError
from waybill.flow.inflight import Grow
from waybill.ingest.http.bodies import BodyReader

#: Answers a request.
Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
            raise MalformedError("not_json", f"the body is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise MalformedError("not_an_object", "the body is a JSON object")
        return value
