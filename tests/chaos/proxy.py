"""A TCP proxy that misbehaves on command, in the vocabulary of toxiproxy.

Faults are set on a running proxy and hold for every connection from then on; ``down`` is the
direction from the server to the client, ``up`` the other one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from tests.support.streams import StreamServer

Direction = Literal["up", "down"]
_CHUNK = 1 << 16


class Faults(msgspec.Struct):
    """What is wrong with one direction.

    ``latency_secs`` plus up to ``jitter_secs`` before each piece; ``bandwidth`` in bytes a second;
    ``slice_bytes`` hands on that many bytes at a time; after ``limit_bytes`` the connection is
    closed, or, with ``is_reset``, reset; ``is_black_hole`` swallows everything and closes nothing;
    ``slow_close_secs`` delays the end.
    """

    latency_secs: float = 0.0
    jitter_secs: float = 0.0
    bandwidth: float = 0.0
    slice_bytes: int = 0
    limit_bytes: int | None = None
    is_reset: bool = False
    is_black_hole: bool = False
    slow_close_secs: float = 0.0


class FaultProxy:
    """Forwards ``127.0.0.1:port`` to a target; use as an async context manager."""

    def __init__(self, host: str, port: int, seed: int = 1) -> None:
        self._target = (host, port)
        self._chance = random.Random(seed)
        self.up, self.down = Faults(), Faults()
        #: Refuses new connections while True.
        self.is_off = False
        self.port = 0
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = StreamServer(self._serve)

    async def __aenter__(self) -> FaultProxy:
        self.port = await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reset_all()
        await self._server.stop()

    def heal(self) -> None:
        """No faults any more; connections that suffered from one are reset."""
        self.up, self.down, self.is_off = Faults(), Faults(), False
        self.reset_all()

    def reset_all(self) -> None:
        """Reset every connection (RST)."""
        for writer in list(self._writers):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_off:
            _reset(writer)
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, far_writer}
        ways = [
            asyncio.create_task(self._carry(reader, far_writer, "up")),
            asyncio.create_task(self._carry(far_reader, writer, "down")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for one in (writer, far_writer):
                one.close()
            self._writers -= {writer, far_writer}

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction
    ) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                async for piece in self._pieces(data, way):
                    faults: Faults = getattr(self, way)
                    if faults.limit_bytes is not None and carried + len(piece) > faults.limit_bytes:
                        writer.write(piece[: faults.limit_bytes - carried])
                        await writer.drain()
                        if faults.is_reset:
                            _reset(writer)
                        return
                    carried += len(piece)
                    writer.write(piece)
                    await writer.drain()
            await asyncio.sleep(getattr(self, way).slow_close_secs)

    async def _pieces(self, data: bytes, way: Direction) -> AsyncIterator[bytes]:
        faults: Faults = getattr(self, way)
        size = faults.slice_bytes or (
            max(1, int(faults.bandwidth / 20)) if faults.bandwidth else len(data)
        )
        for at in range(0, len(data), size):
            while getattr(self, way).is_black_hole:
                await asyncio.sleep(0.05)
            faults = getattr(self, way)
            piece = data[at : at + size]
            wait = faults.latency_secs + self._chance.random() * faults.jitter_secs
            wait += len(piece) / faults.bandwidth if faults.bandwidth else 0.0
            if wait or faults.slice_bytes:
                await asyncio.sleep(wait)
            yield piece


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
