"""Forward push: done means that the receiver has acknowledged exactly each frame."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trustme

from tests.patience import patience, until
from waybill.core.errors import HandbackError
from waybill.core.records import Verdict
from waybill.handback import forward_pool
from waybill.handback import push as handback_push
from waybill.handback.forward import ForwardHandback
from waybill.settings.schema import FieldSettings, ReturnSettings, ReturnTlsSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire import forward as protocol

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")
KEY = b"secret"
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
        self._server: asyncio.Server | None = None

    async def start(
        self, address: Any = ("127.0.0.1", 0), context: ssl.SSLContext | None = None
    ) -> None:
        if isinstance(address, str):
            self._server = await asyncio.start_unix_server(self._serve, address)
            self.url = f"forward+unix://{address}"
            return
        self._server = await asyncio.start_server(self._serve, *address, ssl=context)
        self.url = f"forward://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self.open):
            writer.transport.abort()
        await until(lambda: not self.open)

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
            for message in frames.feed(data):
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


@pytest.fixture(name="receiver")
async def _receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handback_push, "RETRY_SECS", 0.01)


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


# -- what arrives
# -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_nested", [True, False])
async def test_time_and_record_arrive_byte_for_byte(receiver: Receiver, is_nested: bool) -> None:
    async with pushing(receiver.url) as push:
        await push(entry("a", is_nested) + entry("b", is_nested))
    (frame,) = receiver.frames
    codec, batch = WIRE.decode(entry("a", is_nested) + entry("b", is_nested))
    assert frame.tag == "labelled.kube.pod"
    assert frame.entries == b"".join(codec.split(batch, [VERDICT] * 2))
    assert frame.entries.count(TIME) == 2


async def test_metadata_is_dropped_for_receivers_that_do_not_know_it(receiver: Receiver) -> None:
    async with pushing(receiver.url, metadata="drop") as push:
        await push(entry("a"))
        await push(entry("a", is_nested=False))
    assert receiver.frames[0].entries == receiver.frames[1].entries


async def test_gzip(receiver: Receiver) -> None:
    async with pushing(receiver.url, compression="gzip") as push:
        await push(body("a", "b"))
    assert receiver.frames[0].encodings == ("gzip",)
    assert receiver.logs == ["a", "b"]


async def test_json_becomes_entries(receiver: Receiver) -> None:
    async with pushing(receiver.url) as push:
        await push(b'[{"log":"a","date":1795210250.5}]')
    assert receiver.logs == ["a"]


async def test_a_big_batch_goes_in_frames_in_order(receiver: Receiver) -> None:
    logs = [f"{i} " + "x" * (30 if i != 50 else 5000) for i in range(100)]
    async with pushing(receiver.url, max_bytes=2000) as push:
        await push(body(*logs))
    assert receiver.logs == logs
    big = [frame for frame in receiver.frames if len(frame.entries) > 2000]
    assert [len(list(msgpack.Unpacker(_file(frame.entries)))) for frame in big] == [1]
    assert len({frame.chunk for frame in receiver.frames}) == len(receiver.frames) > 5
    assert receiver.connections == 1


async def test_an_empty_batch_sends_nothing(receiver: Receiver) -> None:
    async with pushing(receiver.url) as push:
        await push(b"[]")
    assert receiver.connections == 0


async def test_a_unix_socket(tmp_path: Path) -> None:
    receiver = Receiver()
    await receiver.start(str(tmp_path / "in.sock"))
    async with pushing(receiver.url) as push:
        await push(body("a"))
    assert receiver.logs == ["a"]
    await receiver.stop()


async def test_batches_side_by_side_share_the_pool(receiver: Receiver) -> None:
    async with pushing(receiver.url, connections=3) as push:
        await asyncio.gather(*(push(body(str(i))) for i in range(30)))
    assert sorted(receiver.logs) == sorted(map(str, range(30)))
    assert receiver.peak <= 3


# -- acknowledgements
# ---------------------------------------------------------------------------------


async def test_an_ack_may_come_byte_by_byte_and_as_bin(receiver: Receiver) -> None:
    receiver.step = 1
    receiver.answer = lambda message: bytes(
        msgpack.packb({"ack": msgpack.unpackb(message.chunk or b"").encode()})
    )
    async with pushing(receiver.url) as push:
        await push(body("a"))
        await push(body("b"))
    assert (receiver.logs, receiver.connections) == (["a", "b"], 1)


WRONG: dict[str, tuple[Answer, str]] = {
    "another chunk": (lambda message: b"\x81\xa3ack\xa5other", "ack_mismatch"),
    "an empty map": (lambda message: b"\x80", "ack_mismatch"),
    "two acks": (lambda message: message.ack * 2, "ack_mismatch"),
    "an ack and more": (lambda message: message.ack + b"\x81", "ack_mismatch"),
    "junk": (lambda message: b"\xc1", "ack_mismatch"),
    "text": (lambda message: b"HTTP/1.1 400 Bad Request\r\n\r\n", "ack_mismatch"),
    "far too much": (lambda message: b"\xc6\x00\xff\xff\xff" + bytes(200_000), "ack_mismatch"),
    "a bare chunk": (lambda message: message.chunk, "ack_mismatch"),
    "a closed connection": (lambda message: None, "closed"),
    "a torn ack": (lambda message: message.ack[:-3], "timeout"),
    "nothing": (lambda message: b"", "timeout"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_anything_else_is_no_ack_and_ends_the_connection(
    receiver: Receiver, name: str
) -> None:
    receiver.answer, code = WRONG[name]
    assert await failing(receiver.url) == code
    await until(lambda: not receiver.open)
    assert len(receiver.frames) == receiver.connections == 1


@pytest.mark.parametrize("name", [name for name, (_, code) in WRONG.items() if code != "timeout"])
async def test_what_went_wrong_once_is_tried_again_on_a_new_connection(
    receiver: Receiver, name: str
) -> None:
    wrong, _ = WRONG[name]
    receiver.answer = lambda message: wrong(message) if len(receiver.frames) == 1 else message.ack
    async with pushing(receiver.url) as push:
        await push(body("a"))
    assert (receiver.logs, receiver.connections) == (["a", "a"], 2)
    assert receiver.frames[0].chunk == receiver.frames[1].chunk


async def test_the_ack_of_one_frame_is_not_that_of_the_next(receiver: Receiver) -> None:
    acks: list[bytes] = []

    def late(message: protocol.Message) -> bytes:
        acks.append(message.ack)
        return acks[0]

    receiver.answer = late
    assert await failing(receiver.url, body("a" * 50, "b" * 50), max_bytes=60) == "ack_mismatch"


async def test_one_frame_without_ack_fails_the_batch(receiver: Receiver) -> None:
    receiver.answer = lambda message: b"\x80" if b"bbb" in message.entries else message.ack
    assert (
        await failing(receiver.url, body("a" * 50, "b" * 50, "c" * 50), max_bytes=60)
        == "ack_mismatch"
    )
    assert not any(b"ccc" in frame.entries for frame in receiver.frames)


async def test_a_refusing_receiver_is_not_hammered(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushing(receiver.url) as push:
        await asyncio.gather(*(push(body("a")) for _ in range(4)))
        monkeypatch.setattr(handback_push, "RETRY_SECS", 60)
        receiver.frames.clear()
        receiver.answer = lambda message: b"\x80"
        pushed = asyncio.create_task(push(body("b")))
        await until(lambda: not receiver.open)
        pushed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushed
    assert receiver.logs == ["b"]


# -- connections
# --------------------------------------------------------------------------------------


async def test_a_receiver_that_is_not_there() -> None:
    assert await failing("forward://127.0.0.1:1") == "connect"
    assert await failing("forward+unix:///nowhere/at/all") == "connect"
    assert await failing("forward://" + "x" * 70 + ".invalid:1") == "connect"


async def test_a_receiver_that_comes_late_gets_everything(receiver: Receiver) -> None:
    port = int(receiver.url.rsplit(":", 1)[1])
    await receiver.stop()
    async with pushing(receiver.url, timeout_secs=20) as push:
        pushed = asyncio.create_task(push(body("a")))
        await asyncio.sleep(0.05)
        await receiver.start(("127.0.0.1", port))
        await pushed
    assert receiver.logs == ["a"]


async def test_a_restarted_receiver_costs_no_waiting(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.rsplit(":", 1)[1])
    monkeypatch.setattr(handback_push, "RETRY_SECS", 60)
    async with pushing(receiver.url) as push:
        await asyncio.gather(push(body("a")), push(body("b")))
        await receiver.stop()
        await receiver.start(("127.0.0.1", port))
        await push(body("c"))
    assert receiver.logs[2:] == ["c"]


async def test_a_pooled_connection_that_breaks_under_a_frame_is_replaced_at_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handback_push, "RETRY_SECS", 60)
    async with pushing(receiver.url) as push:
        await push(body("a"))
        receiver.answer = lambda message: None if len(receiver.frames) == 2 else message.ack
        await push(body("b"))
    assert (receiver.logs, receiver.connections) == (["a", "b", "b"], 2)


async def test_a_connection_idle_for_too_long_is_not_used(receiver: Receiver) -> None:
    async with pushing(receiver.url, idle_secs=1e-9) as push:
        await push(body("a"))
        await push(body("b"))
    assert receiver.connections == 2


async def test_a_receiver_that_does_not_read_gets_no_more_once_it_was_given_up() -> None:
    size, loop = 20_000_000, asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"forward://127.0.0.1:{listener.getsockname()[1]}"
        assert await failing(url, entry("x" * size), max_bytes=1 << 30) == "timeout"
        connection, _ = await loop.sock_accept(listener)
        with connection:
            received = 0
            with contextlib.suppress(ConnectionResetError):
                async with patience():
                    while data := await loop.sock_recv(connection, 1 << 20):
                        received += len(data)
    assert received < size


async def test_a_cancelled_push_leaves_no_connection_behind(receiver: Receiver) -> None:
    receiver.answer = lambda message: b"" if len(receiver.frames) == 1 else message.ack
    async with pushing(receiver.url) as push:
        pushed = asyncio.create_task(push(body("a")))
        await until(lambda: receiver.frames)
        pushed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushed
        await until(lambda: not receiver.open)
        await push(body("b"))
    assert receiver.connections == 2


async def test_close_closes_what_is_idle_and_what_is_given_back(receiver: Receiver) -> None:
    answering = asyncio.Event()
    handback = ForwardHandback(ReturnSettings(type="forward", url=receiver.url))
    codec, batch = WIRE.decode(body("a"))
    await handback.hand_back(codec, batch, [VERDICT])
    receiver.answer = lambda message: answering.set() or b""  # type: ignore[func-returns-value]
    under_way = asyncio.create_task(handback.hand_back(codec, batch, [VERDICT]))
    await answering.wait()
    await handback.close()
    (writer,) = receiver.open
    writer.write(receiver.frames[-1].ack)
    await under_way
    await until(lambda: not receiver.open)


async def test_the_clock_of_the_day_does_not_matter(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushing(receiver.url) as push:
        await push(body("a"))
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await push(body("b"))
    assert receiver.connections == 1


# -- secrets
# ------------------------------------------------------------------------------------------


async def test_the_shared_key(receiver: Receiver, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY + b"\n")
    receiver.key = KEY
    async with pushing(receiver.url, shared_key_file=str(key_file)) as push:
        await push(body("a"))
    assert receiver.logs == ["a"]
    receiver.key = b"other"
    assert await failing(receiver.url, shared_key_file=str(key_file)) == "handshake"
    assert receiver.logs == ["a"]


GREETINGS = [
    b"",
    b"\xc1",
    b"\x80",
    b"\x92\xa4HELO\x81\x90\xc0",
    bytes(msgpack.packb(["HELO", {"nonce": None}])),
]


@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize("is_open", [True, False])
async def test_a_receiver_that_does_not_shake_hands(
    greeting: bytes, is_open: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        if is_open:
            with contextlib.suppress(OSError):
                await reader.read()
        writer.transport.abort()

    monkeypatch.setattr(forward_pool, "_HANDSHAKE_SECS", 0.05)
    (tmp_path / "key").write_bytes(KEY)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"forward://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert await failing(url, shared_key_file=str(tmp_path / "key")) == "handshake"
    server.close()


async def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    receiver = Receiver()
    await receiver.start(context=context)
    tls = ReturnTlsSettings(enabled=True, ca_file=str(tmp_path / "ca.pem"))
    async with pushing(receiver.url, tls=tls) as push:
        await push(body("a"))
        await push(body("b"))
    assert (receiver.logs, receiver.connections) == (["a", "b"], 1)
    assert await failing(receiver.url, tls=ReturnTlsSettings(enabled=True)) == "connect"
    assert await failing(receiver.url) in ("closed", "ack_mismatch", "timeout")
    await receiver.stop()
