"""How bodies and the work on them share the memory that there is."""

from __future__ import annotations

import asyncio

import pytest

from waybill.core.errors import OverloadedError
from waybill.core.names import Compression
from waybill.flow import inflating
from waybill.flow.delivery import Delivery
from waybill.flow.inflating import inflate_body
from waybill.flow.inflight import WORK_TIMES, Inflight
from waybill.settings.schema import LimitSettings
from waybill.wire.compression import ENCODINGS, compress, decompress

BODY = 1000


def inflight(times: int, wait_secs: float = 5.0) -> Inflight:
    """Room for ``times`` bodies of the largest size."""
    limits = LimitSettings(body_bytes=BODY, inflight_bytes=times * BODY)
    return Inflight(limits, lambda _: None, wait_secs)


async def test_work_waits_for_room_in_the_order_in_which_it_came() -> None:
    bounded, order = inflight(8), []

    async def work(name: int) -> None:
        async with bounded.work(BODY):
            order.append(name)
            assert bounded.bytes <= 8 * BODY
            await asyncio.sleep(0)

    await asyncio.gather(*(work(i) for i in range(9)))
    assert order == list(range(9))
    assert bounded.bytes == 0


async def test_a_body_that_is_alone_always_has_its_turn() -> None:
    bounded = inflight(1)
    with bounded.hold() as grow:
        grow(BODY)
        async with bounded.work(BODY) as grow_work:
            grow_work(100 * BODY)
            assert bounded.bytes == (1 + WORK_TIMES + 100) * BODY
    assert bounded.bytes == 0


async def test_bodies_leave_room_for_work_on_the_largest() -> None:
    bounded = inflight(8)
    with bounded.hold() as grow, pytest.raises(OverloadedError):
        grow(8 * BODY)
    with bounded.hold() as grow:
        grow(5 * BODY)
        async with bounded.work(BODY):
            assert bounded.bytes <= 8 * BODY


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_body_is_inflated_only_in_room_that_is_counted(
    encoding: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 8 << 20
    limits = LimitSettings(body_bytes=limit, inflight_bytes=4 * limit)
    counted: list[int] = []
    bounded = Inflight(limits, counted.append)
    whole: list[int] = []

    def note(body: bytes, encodings: list[Compression], most: int) -> bytes:
        found = decompress(body, encodings, most)
        whole.append(bounded.bytes - len(found))
        return found

    monkeypatch.setattr(inflating, "decompress", note)
    bomb, usual = bytes(limit - 1), b"".join(b"order %d failed\n" % i for i in range(50_000))
    for body in (bomb, usual, b'{"log":"x"}'):
        delivery = Delivery(compress(body, encoding), "http", encodings=[encoding])
        found = await asyncio.gather(*(inflate_body(delivery, limit, bounded) for _ in range(4)))
        assert found == [body] * 4
    assert all(spare >= 0 for spare in whole[:8])
    assert max(counted) <= 4 * limit
    assert bounded.bytes == 0


async def test_work_that_has_no_turn_in_time_is_refused_and_its_successor_is_not() -> None:
    bounded = inflight(4, wait_secs=0.05)
    async with bounded.work(BODY):
        with pytest.raises(OverloadedError):
            async with bounded.work(BODY):
                pass
    async with bounded.work(BODY):
        assert bounded.bytes == WORK_TIMES * BODY


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    bounded = inflight(4)
    async with bounded.work(BODY):
        waiting = asyncio.create_task(bounded.work(BODY).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with bounded.work(BODY):
        assert bounded.bytes == WORK_TIMES * BODY
