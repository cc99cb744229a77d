"""Forward push: done means that the receiver has acknowledged exactly each frame."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgpack
import pytest

from tests.handback.forward_rig import (
    TIME,
    VERDICT,
    WIRE,
    Answer,
    Receiver,
    _file,
    body,
    entry,
    failing,
    pushing,
)
from tests.patience import until
from waybill.handback import push as handback_push
from waybill.wire import forward as protocol

pytestmark = pytest.mark.usefixtures("impatience")

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


async def test_entries_are_compressed_as_configured(receiver: Receiver) -> None:
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


async def test_entries_go_over_a_unix_socket(tmp_path: Path) -> None:
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
