"""The Forward listener: an acknowledgement means handed back, silence means send again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.forward_rig import CAPTURES, message, serving, talking
from tests.patience import until

pytestmark = pytest.mark.usefixtures("impatience")


async def test_an_ack_follows_the_handback() -> None:
    async with serving() as rig, talking(rig) as client:
        rig.handback.gate.clear()
        client.send(message("a", "b", chunk="c1"))
        await rig.handback.begun.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.reader.read(1)
        rig.handback.gate.set()
        assert await client.answer() == {"ack": "c1"}
        assert rig.handback.got == [("app", ["a", "b"])]


@pytest.mark.parametrize("chunk", ["text", b"\x00\xff bytes", "x" * 300])
async def test_the_chunk_comes_back_as_it_went(chunk: object) -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(message("a", chunk=chunk))
        assert await client.answer() == {"ack": chunk}


async def test_a_message_may_come_one_byte_at_a_time() -> None:
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
