"""A receiver for each handback: keeps what it took, and can be in trouble."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Literal, Protocol

import msgpack
from aiohttp import web

from tests.contract.encodings import KINDS, Record
from tests.support.streams import StreamServer
from waybill.handback.body import BodyHandback
from waybill.handback.forward import ForwardHandback
from waybill.handback.handback import Handback
from waybill.handback.http import HttpHandback
from waybill.handback.otlp import OtlpHandback
from waybill.ops.metrics import Metrics
from waybill.settings.schema import ReturnSettings
from waybill.wire import Encoding
from waybill.wire import forward as protocol

_UNPACK = {kind.encoding: kind.unpack for kind in KINDS}


class Receiver(Protocol):
    """The other side of a handback."""

    url: str
    records: list[Record]
    #: So many requests are turned away before any is taken.
    trouble: int

    async def start(self) -> None:
        """Listen."""
        ...

    async def stop(self) -> None:
        """Close everything."""
        ...


class HttpReceiver:
    """Takes JSON lines and OTLP requests; in trouble it answers 503."""

    def __init__(self) -> None:
        self.url = ""
        self.records: list[Record] = []
        self.trouble = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.trouble:
            self.trouble -= 1
            return web.Response(status=503, text="still\nstarting")
        if request.content_type == "application/x-protobuf":
            self.records += _UNPACK[Encoding.OTLP](body)
        elif request.content_type == "application/json":
            self.records += _UNPACK[Encoding.OTLP_JSON](body)
        else:
            self.records += [json.loads(line) for line in body.splitlines()]
        return web.Response()


class ForwardReceiver:
    """Takes frames and acknowledges them; in trouble it hangs up."""

    def __init__(self) -> None:
        self.url = ""
        self.records: list[Record] = []
        self.trouble = 0
        self._server = StreamServer(self._serve)

    async def start(self) -> None:
        self.url = f"forward://127.0.0.1:{await self._server.start()}"

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = protocol.FrameReader(1 << 20)
        while data := await reader.read(65_536):
            for message in filter(None, frames.feed(data)):
                if self.trouble:
                    self.trouble -= 1
                    writer.transport.abort()
                    return
                unpacker = msgpack.Unpacker(strict_map_key=False)
                unpacker.feed(message.entries)
                self.records += [record for _, record in unpacker]
                writer.write(message.ack)


Opened = Callable[[str, float], Handback]


def open_http(url: str, timeout_secs: float) -> Handback:
    """A handback by HTTP."""
    return HttpHandback(ReturnSettings(type="http", url=url, timeout_secs=timeout_secs))


def open_forward(url: str, timeout_secs: float) -> Handback:
    """A handback by Forward."""
    return ForwardHandback(ReturnSettings(type="forward", url=url, timeout_secs=timeout_secs))


def open_otlp(url: str, timeout_secs: float) -> Handback:
    """A handback by OTLP."""
    settings = ReturnSettings(type="otlp", url=url, timeout_secs=timeout_secs)
    return OtlpHandback(settings, Metrics("test"))


def open_body(url: str, timeout_secs: float) -> Handback:
    """A handback in the answer; it has no receiver."""
    return BodyHandback()


def open_otlp_in(format_: Literal["protobuf", "json"]) -> Opened:
    """A handback by OTLP in one encoding, whatever comes."""

    def opened(url: str, timeout_secs: float) -> Handback:
        settings = ReturnSettings(type="otlp", url=url, timeout_secs=timeout_secs, format=format_)
        return OtlpHandback(settings, Metrics("test"))

    return opened


PUSHES: dict[str, tuple[Opened, Callable[[], Receiver]]] = {
    "http": (open_http, HttpReceiver),
    "forward": (open_forward, ForwardReceiver),
    "otlp": (open_otlp, HttpReceiver),
    "otlp protobuf": (open_otlp_in("protobuf"), HttpReceiver),
    "otlp json": (open_otlp_in("json"), HttpReceiver),
}
