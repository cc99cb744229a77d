"""What these tests share."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgpack
import pytest

from tests.support.streams import StreamServer
from waybill.core.errors import HandbackError
from waybill.core.records import Verdict
from waybill.handback import push as handback_push
from waybill.handback.forward import ForwardHandback
from waybill.settings.schema import FieldSettings, ReturnSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire import forward as protocol

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")
NONCE = bytes(range(0xF0, 0x100))
TIME = struct.pack(">BBII", 0xD7, 0, 1_795_210_250, 95_874_002)
Answer = Callable[[protocol.Message], "bytes | None"]


class Receiver:
    """A Forward server that answers what it is told to (None: hangs up) and keeps what it was sent."""

    def __init__(self) -> None:
        self.frames: list[protocol.Message] = []
        self.answer: Answer = lambda message: message.ack
        self.step: int | None = None
        self.key: bytes | None = None
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.peak = 0
        self.url = ""
        self._server = StreamServer(self._serve)

    async def start(
        self, address: Any = ("127.0.0.1", 0), context: ssl.SSLContext | None = None
    ) -> None:
        if isinstance(address, str):
            await self._server.start(path=address)
            self.url = f"forward+unix://{address}"
            return
        port = await self._server.start(*address, context=context)
        self.url = f"forward://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        self.peak = max(self.peak, len(self.open))
        try:
            if self.key is None or await self._shake_hands(reader, writer, self.key):
                await self._receive(reader, writer)
        except OSError:
            pass
        finally:
            self.open.discard(writer)
            writer.transport.abort()

    async def _shake_hands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes
    ) -> bool:
        writer.write(protocol.helo(NONCE))
        answer, is_known = protocol.pong(await reader.read(1000), NONCE, "receiver", key)
        writer.write(answer)
        await writer.drain()
        return is_known

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = protocol.FrameReader(1 << 26)
        while data := await reader.read(1 << 16):
            for message in filter(None, frames.feed(data)):
                self.frames.append(message)
                answer = self.answer(message)
                if answer is None:
                    return
                step = self.step or max(len(answer), 1)
                for at in range(0, len(answer), step):
                    writer.write(answer[at : at + step])
                    await writer.drain()
                    await asyncio.sleep(0)

    @property
    def logs(self) -> list[Any]:
        bodies = (gzip.decompress(f.entries) if f.encodings else f.entries for f in self.frames)
        return [
            entry[1]["log"]
            for body in bodies
            for entry in msgpack.Unpacker(_file(body), timestamp=0)
        ]


def _file(body: bytes) -> Any:
    return io.BytesIO(body)


def entry(log: str, is_nested: bool = True) -> bytes:
    return (
        b"\x92"
        + (b"\x92" + TIME + b"\x80" if is_nested else TIME)
        + bytes(msgpack.packb({"log": log}))
    )


def body(*logs: str) -> bytes:
    return b"".join(map(entry, logs))


@contextlib.asynccontextmanager
async def pushing(
    url: str, **options: Any
) -> AsyncIterator[Callable[..., Coroutine[Any, Any, None]]]:
    handback = ForwardHandback(
        ReturnSettings(type="forward", url=url, **({"timeout_secs": 5} | options))
    )

    async def push(data: bytes, tag: str = "kube.pod") -> None:
        codec, batch = WIRE.decode(data, tag=tag)
        await handback.hand_back(codec, batch, [VERDICT] * len(batch))

    try:
        yield push
    finally:
        await handback.close()


async def failing(url: str, data: bytes | None = None, **options: Any) -> str:
    """The code with which a push fails, after one attempt: the deadline falls into the wait for the
    next.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handback_push, "RETRY_SECS", 60)
        async with pushing(url, **({"timeout_secs": 1} | options)) as push:
            with pytest.raises(HandbackError) as caught:
                await push(data or body("a"))
    return caught.value.code
