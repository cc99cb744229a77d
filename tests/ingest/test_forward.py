"""The Forward listener: an acknowledgement means handed back, silence means send again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.taxonomies import TEN
from waybill.core.batch import Batch
from waybill.core.errors import ConfigError, HandbackError
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.flow.flow import Flow
from waybill.flow.inflight import Inflight
from waybill.ingest.connections import Connections
from waybill.ingest.forward import conversation, delivering, patience, server, sockets
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
    TlsSettings,
)
from waybill.wire import Codec, FieldPlan, Wire
from waybill.wire import forward as protocol
from waybill.wire.compression import compress

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


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_RETRY_SECS", 0.01)
    monkeypatch.setattr(patience, "_LAST_WORDS_SECS", 0.05)


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.005)


def entry(log: str) -> bytes:
    return bytes(msgpack.packb([[msgpack.ExtType(0, bytes(8)), {}], {"log": log}]))


def message(*logs: str, **options: object) -> bytes:
    parts = ["app", b"".join(map(entry, logs)), options]
    return bytes(msgpack.packb(parts if options else parts[:2]))


# -- taking messages
# ----------------------------------------------------------------------------------


async def test_an_ack_follows_the_handback() -> None:
    async with serving() as rig, talking(rig) as client:
        rig.handback.gate.clear()
        client.send(message("a", "b", chunk="c1"))
        await rig.handback.begun.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.05)
        rig.handback.gate.set()
        assert await client.answer() == {"ack": "c1"}
        assert rig.handback.got == [("app", ["a", "b"])]


@pytest.mark.parametrize("chunk", ["text", b"\x00\xff bytes", "x" * 300])
async def test_the_chunk_comes_back_as_it_went(chunk: object) -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(message("a", chunk=chunk))
        assert await client.answer() == {"ack": chunk}


async def test_one_byte_at_a_time() -> None:
    async with serving() as rig, talking(rig) as client:
        for byte in message("a", chunk="c"):
            client.send(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.answer() == {"ack": "c"}


async def test_pipelined_messages_are_acknowledged_in_order() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(*(message(str(i), chunk=f"c{i}") for i in range(50)))
        assert [await client.answer() for _ in range(50)] == [{"ack": f"c{i}"} for i in range(50)]
        assert rig.handback.logs == [str(i) for i in range(50)]


async def test_acks_and_silence_mix_on_one_connection() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(
            b"\xc0", message("a"), message("b", chunk="c"), b"\xc0", message("c", chunk="d")
        )
        assert [await client.answer(), await client.answer()] == [{"ack": "c"}, {"ack": "d"}]
        assert rig.handback.logs == ["a", "b", "c"]


async def test_an_empty_message_is_acknowledged() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(message(chunk="c"))
        assert await client.answer() == {"ack": "c"}


@pytest.mark.parametrize(
    "name", ["fluentbit_forward_ack", "fluentbit_forward_ack_gzip", "fluentbit_forward_packed"]
)
async def test_what_a_real_fluent_bit_sent(name: str) -> None:
    async with serving() as rig, talking(rig) as client:
        client.send((CAPTURES / f"{name}.forward").read_bytes())
        await until(lambda: rig.handback.got)
        count = (CAPTURES / "input.ndjson").read_bytes().count(b"\n")
        await until(lambda: len(rig.handback.logs) == count)
        assert rig.handback.got[0][0] == "kube.prod.crm"


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
    st.lists(st.booleans(), min_size=1, max_size=6),
)
@settings(max_examples=20, deadline=None)
def test_however_it_is_cut_everything_comes_in_order(steps: list[int], asks: list[bool]) -> None:
    async def run() -> None:
        async with serving() as rig, talking(rig) as client:
            pieces = (
                message(str(i), **({"chunk": str(i)} if ask else {})) for i, ask in enumerate(asks)
            )
            stream, at, i = b"".join(pieces), 0, 0
            while at < len(stream):
                client.send(stream[at : at + steps[i % len(steps)]])
                await asyncio.sleep(0)
                at, i = at + steps[i % len(steps)], i + 1
            await until(lambda: len(rig.handback.got) == len(asks))
            assert rig.handback.logs == [str(i) for i in range(len(asks))]
            wanted = [{"ack": str(i)} for i, ask in enumerate(asks) if ask]
            assert [await client.answer() for _ in wanted] == wanted

    asyncio.run(run())


# -- trouble
# ------------------------------------------------------------------------------------------


async def test_no_ack_when_the_handback_fails() -> None:
    async with serving() as rig:
        rig.handback.failures = 1
        async with talking(rig) as client:
            client.send(message("a", chunk="c"), message("b", chunk="d"))
            assert await client.answer() is None
        assert rig.handback.got == []
        assert rig.refused("connect") == 1
        async with talking(rig) as client:
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}


async def test_who_asks_for_no_ack_gets_pressure_and_loses_nothing() -> None:
    async with serving(LimitSettings(body_bytes=1 << 20)) as rig:
        async with talking(rig) as client:
            client.writer.transport.set_write_buffer_limits(0)
            rig.handback.failures = 10**9
            sent = 0
            with contextlib.suppress(TimeoutError):  # TCP takes no more
                while sent < 4000:
                    client.send(message(f"{sent} " + "x" * 50_000))
                    sent += 1
                    await asyncio.wait_for(client.writer.drain(), 0.3)
            assert 1 < sent < 4000
            assert rig.inflight.bytes < 100_000
            rig.handback.failures = 0
            await client.writer.drain()
            await until(lambda: len(rig.handback.got) == sent)
        assert [str(log).split()[0] for log in rig.handback.logs] == [str(i) for i in range(sent)]


async def test_who_asks_for_no_ack_may_leave_before_the_receiver_is_back() -> None:
    async with serving() as rig:
        rig.handback.failures = 20
        async with talking(rig) as client:
            client.send(message("a"), message("b"))
        await until(lambda: rig.handback.logs == ["a", "b"])


async def test_overload_closes_without_an_ack() -> None:
    async with (
        serving(LimitSettings(body_bytes=1000, inflight_bytes=1000)) as rig,
        talking(rig) as client,
    ):
        with rig.inflight.hold() as grow:
            grow(1000)
            client.send(message("a", chunk="c"))
            assert await client.answer() is None
        assert rig.refused("inflight_bytes") == 1


async def test_who_asks_for_no_ack_waits_for_room() -> None:
    async with (
        serving(LimitSettings(body_bytes=1000, inflight_bytes=1000)) as rig,
        talking(rig) as client,
    ):
        with rig.inflight.hold() as grow:
            grow(1000)
            client.send(message("a"))
            await until(lambda: rig.refused("inflight_bytes") > 2)
            assert rig.handback.got == []
        await until(lambda: rig.handback.logs == ["a"])


UNREADABLE = bytes(msgpack.packb(["app", b"\xc1\xc1", {"chunk": "c"}]))
TORN = bytes(msgpack.packb(["app", b"\x1f\x8b torn", {"chunk": "c", "compressed": "gzip"}]))


@pytest.mark.parametrize("data", [UNREADABLE, TORN])
async def test_what_nobody_can_read_is_acknowledged_once_it_is_kept(
    data: bytes, tmp_path: Path
) -> None:
    async with serving(letters=tmp_path) as rig, talking(rig) as client:
        client.send(data)
        assert await client.answer() == {"ack": "c"}
        assert len(list(tmp_path.glob("*.body"))) == 1


async def test_what_nobody_can_read_or_keep_stays_its_clients() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(UNREADABLE)
        assert await client.answer() is None
        assert rig.refused("not_msgpack") == 1


async def test_what_nobody_can_read_or_send_again_does_not_stop_the_rest() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(msgpack.packb(["app", b"\xc1"]), message("b", chunk="c"))
        assert await client.answer() == {"ack": "c"}
        assert rig.handback.logs == ["b"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "malformed_frame"),
        (b"\xc1", "malformed_frame"),
        (b"\x92\xa1t\xdd\xff\xff\xff\xff", "too_large"),
        (b"\x92\xa1t\xc6\xff\xff\xff\xff" + bytes(5000), "too_large"),
        (msgpack.packb(["t", b"", {"fluent_signal": 1, "chunk": "c"}]), "unsupported_signal"),
        (msgpack.packb(["t", b"", {"compressed": "lz4", "chunk": "c"}]), "unsupported_encoding"),
    ],
)
async def test_a_broken_stream_is_closed_and_counted_once(data: bytes, reason: str) -> None:
    async with serving(LimitSettings(body_bytes=4096)) as rig, talking(rig) as client:
        client.send(message("a", chunk="c"), data)
        assert await client.answer() == {"ack": "c"}
        assert await client.answer() is None
        assert rig.refused(reason) == 1


async def test_too_much_after_inflation_is_refused() -> None:
    body = protocol.pack_message("t", compress(bytes(100_000), "gzip"), 1, "gzip")[0]
    async with serving(LimitSettings(body_bytes=4096)) as rig, talking(rig) as client:
        client.send(body)
        assert await client.answer() is None
        assert rig.refused("too_large") == 1


async def test_a_fault_of_ours_ends_one_connection(tmp_path: Path) -> None:
    async with serving(letters=tmp_path) as rig:
        rig.handback.failures, rig.handback.error = 2, ZeroDivisionError()
        for data in (message("a", chunk="c"), message("b")):
            async with talking(rig) as client:
                client.send(data)
                assert await client.answer() is None
        assert rig.refused("internal") == 2
        (kept,) = tmp_path.glob("*.body")
        assert kept.read_bytes() == entry("b")
        async with talking(rig) as client:
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}


async def test_a_client_that_vanishes_is_forgotten() -> None:
    async with serving() as rig:
        async with talking(rig) as client:
            client.send(message("a", chunk="c")[:-5])
            await until(lambda: rig.connections() == 1)
            client.writer.transport.abort()
        await until(lambda: rig.connections() == 0)


async def test_half_open_connections_are_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[socket.socket] = []
    keep_alive = sockets.keep_alive

    def spy(writer: asyncio.StreamWriter) -> None:
        keep_alive(writer)
        seen.append(writer.get_extra_info("socket"))

    monkeypatch.setattr(server, "keep_alive", spy)
    async with serving() as rig, talking(rig) as client:
        client.send(message("a", chunk="c"))
        await client.answer()
        assert seen[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert seen[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


# -- stopping
# -----------------------------------------------------------------------------------------


async def test_draining_refuses_what_can_be_sent_again_and_takes_the_rest() -> None:
    async with serving() as rig, talking(rig) as asking, talking(rig) as silent:
        rig.handback.gate.clear()
        asking.send(message("a", chunk="c1"), message("b", chunk="c2"))
        silent.send(message("x"), message("y"))
        await until(lambda: rig.connections() == 2)
        await rig.handback.begun.wait()
        await until(lambda: rig.flow._running == 2)
        rig.server.pause()
        draining = asyncio.create_task(rig.flow.drain(20))
        rig.handback.gate.set()
        assert await draining
        await rig.server.stop()
        assert [await asking.answer(), await asking.answer()] == [{"ack": "c1"}, None]
        assert sorted(map(str, rig.handback.logs)) == ["a", "x", "y"]
        assert rig.refused("draining") == 1


async def test_stop_lets_a_message_under_way_end() -> None:
    async with serving() as rig, talking(rig) as client:
        rig.handback.gate.clear()
        client.send(message("a", chunk="c"))
        await rig.handback.begun.wait()
        stopping = asyncio.create_task(rig.server.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        rig.handback.gate.set()
        await stopping
        assert await client.answer() == {"ack": "c"}


async def test_stop_waits_for_what_is_between_two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_RETRY_SECS", 0.3)
    async with serving() as rig, talking(rig) as client:
        rig.handback.failures = 1
        client.send(message("a"))
        await until(lambda: rig.refused("connect"))
        assert await rig.flow.drain(5)
        await rig.server.stop()
        assert rig.handback.logs == ["a"]


async def test_what_stop_must_give_up_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STOP_SECS", 0.1)
    async with serving(letters=tmp_path) as rig, talking(rig) as asking, talking(rig) as silent:
        rig.handback.gate.clear()
        asking.send(message("a", chunk="c"))
        silent.send(message("b"))
        await until(lambda: rig.flow._running == 2)
        await rig.server.stop()
        assert await asking.answer() is None
        assert [file.read_bytes() for file in tmp_path.glob("*.body")] == [entry("b")]
        assert rig.refused("stopped") == 1


async def test_idle_connections_end_with_the_server() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(message("a", chunk="c"))
        await client.answer()
        await rig.server.stop()
        assert await client.answer() is None
        with pytest.raises(IndexError):
            await rig.connect()


# -- sockets and secrets
# ------------------------------------------------------------------------------


async def test_a_unix_socket_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "waybill.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with serving(unix=str(path)) as rig:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with talking(rig) as client:
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}
    assert not path.exists()


async def test_both_listeners_at_once(tmp_path: Path) -> None:
    async with serving(listen="127.0.0.1:0", unix=str(tmp_path / "s")) as rig:
        assert len(rig.server.addresses) == 2


async def test_only_a_stale_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "waybill.sock"
    async with serving(unix=str(path)):
        with pytest.raises(ConfigError, match="another process"):
            async with serving(unix=str(path)):
                pass
        await asyncio.sleep(0.05)  # the first server has met the second one's probe
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        async with serving(unix=str(path)):
            pass
    assert path.read_text() == "precious"


@pytest.fixture(name="key_file")
def _key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    return path


async def shake(client: Client, key: bytes, cut: int | None = None) -> bool:
    greeting = await client.reader.read(1000)
    ping, check = protocol.ping(greeting, "client", key)
    for part in (ping[:cut], ping[cut:]) if cut else (ping,):
        client.send(part)
        await client.writer.drain()
        await asyncio.sleep(0.01)
    answer = await client.reader.read(1000)
    return bool(answer) and protocol.is_pong(answer, check, key)


@pytest.mark.parametrize("cut", [None, 20])
async def test_who_knows_the_key_may_send(key_file: Path, cut: int | None) -> None:
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        assert await shake(client, KEY, cut)
        client.send(message("a", chunk="c"))
        assert await client.answer() == {"ack": "c"}


async def test_who_does_not_know_the_key_is_sent_away(key_file: Path) -> None:
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        assert not await shake(client, b"guess")
        client.send(message("a"))
        assert await client.reader.read() == b""
        assert (rig.refused("unauthorised"), rig.handback.got) == (1, [])


@pytest.mark.parametrize(
    "junk", [b"\xc1", b"\x96\xa4PING\x81\x90\xc0\xc0\xc0\xc0\xc0", message("a"), b"x" * 99_999]
)
async def test_who_does_not_shake_hands_is_sent_away(key_file: Path, junk: bytes) -> None:
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        client.send(junk)
        await until(lambda: rig.refused("unauthorised") == 1)
        assert rig.handback.got == []


async def test_who_keeps_silent_is_sent_away(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "HANDSHAKE_SECS", 0.05)
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        assert isinstance(await client.answer(), list)
        assert await client.answer() is None
        assert rig.refused("unauthorised") == 1


async def test_an_empty_key_file_is_a_fault_of_configuration(key_file: Path) -> None:
    key_file.write_bytes(b" \n")
    with pytest.raises(ConfigError):
        async with serving(listen="127.0.0.1:0", shared_key_file=str(key_file)):
            pass


@pytest.fixture(name="tls")
def _tls(tmp_path: Path) -> tuple[TlsSettings, ssl.SSLContext]:
    authority = trustme.CA()
    cert = authority.issue_cert("localhost", "127.0.0.1")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    cert.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return TlsSettings(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")), context


async def test_tls(tls: tuple[TlsSettings, ssl.SSLContext], key_file: Path) -> None:
    config, context = tls
    async with serving(
        tls=ServerTls(config), listen="127.0.0.1:0", shared_key_file=str(key_file)
    ) as rig:
        async with talking(rig, ssl=context) as client:
            assert await shake(client, KEY)
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}
        async with talking(rig) as plain:
            plain.send(message("b"))
            assert await plain.reader.read() in (
                b"",
                b"\x15\x03\x01\x00\x02\x02\x46",
                b"\x15\x03\x03\x00\x02\x02\x46",
            )
        assert rig.handback.logs == ["a"]
