"""A Forward listener with a handback that tests hold, and a client that speaks to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgpack

from tests.taxonomies import TEN
from waybill.core.batch import Batch
from waybill.core.errors import HandbackError
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.flow.flow import Flow
from waybill.flow.inflight import Inflight
from waybill.ingest.connections import Connections
from waybill.ingest.forward.server import ForwardServer
from waybill.ingest.listener import Intake
from waybill.labelling.pipeline import Pipeline
from waybill.ops.deadletter import DeadLetters
from waybill.ops.metrics import Metrics
from waybill.ops.tls import ServerTls
from waybill.settings.schema import (
    DeadLetterSettings,
    FieldSettings,
    ForwardSettings,
    LimitSettings,
)
from waybill.wire import Codec, FieldPlan, Wire

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
VERDICT = Verdict("Error", "rule", 1.0, "r")
KEY = b"secret"


class StubPipeline:
    taxonomy = TEN
    passed = TEN.passed
    names: Sequence[str] = ()

    def keep(self, verdict: Verdict, kept: Sequence[bool]) -> Verdict:
        return verdict

    def counted(self, given: Mapping[Verdict, int]) -> None: ...

    async def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        return [VERDICT] * len(messages)


class FakeHandback:
    """Keeps what it is given; waits while ``gate`` is shut, fails as often as ``failures`` says."""

    name: HandbackName = "body"

    def __init__(self) -> None:
        self.gate, self.begun = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.failures = 0
        self.error: Exception = HandbackError("connect")
        self.got: list[tuple[str, list[str | None]]] = []

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        self.begun.set()
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise self.error
        self.got.append((batch.tag, list(batch.messages)))

    async def close(self) -> None:
        pass

    @property
    def logs(self) -> list[str | None]:
        return [log for _, logs in self.got for log in logs]


class Rig:
    """A listening server and everything behind it."""

    def __init__(
        self,
        config: ForwardSettings,
        limits: LimitSettings,
        letters: str | None,
        tls: ServerTls | None,
    ):
        self.handback, self.metrics = FakeHandback(), Metrics("test")
        dead_letters = DeadLetters(DeadLetterSettings(path=letters), self.metrics)
        wire, pipeline = Wire(FieldPlan(FieldSettings())), cast("Pipeline", StubPipeline())
        self.inflight = Inflight(limits, self.metrics.inflight_bytes.set)
        self.flow = Flow(
            wire, pipeline, self.handback, limits, self.metrics, dead_letters, self.inflight
        )
        intake = Intake(
            self.inflight.hold,
            self.flow.run,
            lambda door, reason: self.metrics.refused.labels(door, reason).inc(),
            limits.body_bytes,
            dead_letters,
        )
        connections = Connections(LimitSettings(), self.metrics)
        self.server = ForwardServer(config, intake, connections, tls)

    def refused(self, reason: str) -> float:
        labels = {"ingest": "forward", "reason": reason}
        return (
            self.metrics.registry.get_sample_value("waybill_batches_refused_total", labels) or 0.0
        )

    def connections(self) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "waybill_open_connections", {"ingest": "forward"}
            )
            or 0.0
        )

    async def connect(self, **options: Any) -> Client:
        address = self.server.addresses[0]
        if address.startswith("/"):
            return Client(*await asyncio.open_unix_connection(address, **options))
        host, port = address.rsplit(":", 1)
        return Client(*await asyncio.open_connection(host, int(port), **options))


class Client:
    """A Forward client that sends what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._unpacker = msgpack.Unpacker()

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def answer(self) -> object:
        """The next message from the server, None at the end of the connection."""
        while True:
            with contextlib.suppress(msgpack.OutOfData):
                return self._unpacker.unpack()
            try:
                data = await self.reader.read(1000)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._unpacker.feed(data)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    limits: LimitSettings | None = None,
    letters: Path | None = None,
    tls: ServerTls | None = None,
    **config: Any,
) -> AsyncIterator[Rig]:
    config = config or {"listen": "127.0.0.1:0"}
    rig = Rig(
        ForwardSettings(**config), limits or LimitSettings(), str(letters) if letters else None, tls
    )
    await rig.server.start()
    try:
        yield rig
    finally:
        rig.handback.gate.set()
        await rig.server.stop()
        assert rig.inflight.bytes == 0
        assert rig.connections() == 0


@contextlib.asynccontextmanager
async def talking(rig: Rig, **options: Any) -> AsyncIterator[Client]:
    client = await rig.connect(**options)
    try:
        yield client
    finally:
        await client.close()


def entry(log: str) -> bytes:
    return bytes(msgpack.packb([[msgpack.ExtType(0, bytes(8)), {}], {"log": log}]))


def message(*logs: str, **options: object) -> bytes:
    parts = ["app", b"".join(map(entry, logs)), options]
    return bytes(msgpack.packb(parts if options else parts[:2]))
