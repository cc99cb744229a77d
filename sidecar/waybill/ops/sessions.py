"""HTTP client sessions whose answers cannot hold up the event loop.

aiohttp parses what came in one piece, 256 KB of it: thousands of interim answers (``103 Early
Hints``), which it also reads without end. Here they are parsed in small pieces, and counted.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.http import RawResponseMessage

__all__ = ["PIECE_BYTES", "open_session"]

#: So much is parsed in one piece: some two hundred of the shortest answers.
PIECE_BYTES = 4096
#: A server has a few words before its answer.
_MOST_INTERIM = 16


class _Handler(ResponseHandler):
    """What one connection brings."""

    _interim = 0

    def data_received(self, data: bytes) -> None:
        if len(data) <= PIECE_BYTES:
            self._take(data)
            return
        for start in range(0, len(data), PIECE_BYTES):
            if self.exception() is not None or self.transport is None:
                return
            self._take(data[start : start + PIECE_BYTES])

    def _take(self, data: bytes) -> None:
        super().data_received(data)
        if self._interim > _MOST_INTERIM and self.exception() is None:
            why = f"more than {_MOST_INTERIM} interim answers (1xx) before the answer"
            self.set_exception(aiohttp.ClientConnectionError(why))
            if self.transport is not None:
                self.transport.abort()

    def feed_data(
        self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0
    ) -> None:
        is_interim = data[0].code < 200
        self._interim = self._interim + 1 if is_interim else 0
        super().feed_data(data, size)


def _handler(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Handler(loop)


class _Connector(aiohttp.TCPConnector):
    """Connections with such handlers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_handler, self._loop)


def open_session(
    *,
    connector: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> aiohttp.ClientSession:
    """A session; ``connector`` are the options of its connections.

    Nothing is inflated: answers are asked for as they are, and a body that comes compressed stays
    so. No proxy of the environment is used.
    """
    return aiohttp.ClientSession(
        connector=_Connector(**(connector or {})),
        headers={"Accept-Encoding": "identity"} | (headers or {}),
        auto_decompress=False,
        trust_env=False,
        **options,
    )
