"""Faults between Waybill and its peers, and the order of events."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest

from tests.chaos.oracle import Oracle
from tests.chaos.peers import ForwardProducer, ForwardReceiver, HttpProducer, HttpReceiver
from tests.chaos.process import Waybill
from tests.chaos.proxy import FaultProxy, Faults
from tests.conftest import Running
from tests.memory import ROOM_BYTES, peak_bytes, resident_bytes
from tests.patience import patience, until
from waybill.settings.deadlines import deadlines_of
from waybill.settings.schema import Settings

pytestmark = pytest.mark.e2e
IS_LONG = bool(os.environ.get("CHAOS_LONG"))


@asynccontextmanager
async def pushing(
    folder: Path, *overrides: str
) -> AsyncIterator[tuple[Oracle, HttpReceiver, FaultProxy, Waybill]]:
    """A Waybill that pushes by HTTP through a fault proxy."""
    oracle = Oracle()
    async with HttpReceiver(oracle) as receiver, FaultProxy("127.0.0.1", receiver.port) as proxy:
        push = ("return.type=http", f"return.url=http://127.0.0.1:{proxy.port}/")
        async with Waybill(folder, *push, *overrides) as waybill:
            yield oracle, receiver, proxy, waybill


async def statuses(
    address: str, body: bytes, count: int = 1, *, kind: str = "application/json"
) -> list[int]:
    """The statuses of ``count`` requests at once."""
    headers = {"Content-Type": kind}

    async def one(client: aiohttp.ClientSession) -> int:
        async with client.post(f"{address}/v1/label", data=body, headers=headers) as reply:
            await reply.read()
            return reply.status

    async with aiohttp.ClientSession() as client:
        return await asyncio.gather(*(one(client) for _ in range(count)))


@pytest.mark.parametrize("trouble", [503, 500, 429, "refused"] if IS_LONG else [503, "refused"])
async def test_a_receiver_in_trouble(tmp_path: Path, trouble: int | str) -> None:
    """503 goes out, no storm of retries comes in, and after the recovery everything is there within
    seconds.
    """
    async with pushing(tmp_path, "return.timeout_secs=2") as (oracle, receiver, proxy, waybill):
        producer = HttpProducer(oracle, waybill.address, connections=2)
        receiver.status, receiver.headers = (
            (trouble if isinstance(trouble, int) else None),
            {"Retry-After": "1"},
        )
        proxy.is_off = trouble == "refused"
        begin = time.monotonic()
        running = asyncio.create_task(producer.run(1000))
        await asyncio.sleep(3)
        await until(lambda: oracle.report.statuses)
        assert oracle.report.delivered == 0
        assert set(oracle.report.statuses) == {"503"}
        # Two batches at once, each pushed at most once a second and once more after a connection
        # that had closed.
        assert len(receiver.requests) <= 2 * (time.monotonic() - begin + 2)
        receiver.status, proxy.is_off = None, False
        async with patience():
            await running
        assert oracle.close().is_conserved


async def test_a_receiver_accepts_and_never_answers(tmp_path: Path) -> None:
    """An answer comes before the shipper's 60 s are over, whatever waits are added up."""
    assert deadlines_of(Settings()).answer() < 60
    async with pushing(tmp_path, "return.timeout_secs=1") as (oracle, _, proxy, waybill):
        proxy.down = Faults(is_black_hole=True)
        async with asyncio.timeout(60):
            assert await statuses(waybill.address, oracle.text(oracle.issue(1)[0])) == [503]
        proxy.heal()
        await HttpProducer(oracle, waybill.address).run(400)
        assert oracle.close().is_conserved


def own(chunk: str) -> bytes:
    return bytes(msgpack.packb({"ack": chunk}))


BAD_ACKS = {
    "of another chunk": lambda chunk: own(chunk + "x"),
    "of nothing": lambda _: msgpack.packb({}),
    "that is no map": lambda _: msgpack.packb("ok"),
    "cut": lambda chunk: own(chunk)[:-3],
    "two in one": lambda chunk: own(chunk) * 2,
    "none": lambda _: None,
    "that is no msgpack": lambda _: b"\xc1\xc1\xc1",
}


async def test_an_acknowledgement_that_is_not_ours(tmp_path: Path) -> None:
    """Nothing but the whole acknowledgement of this very frame counts."""
    oracle = Oracle()
    async with ForwardReceiver(oracle) as receiver:
        push = (
            "return.type=forward",
            f"return.url=forward://127.0.0.1:{receiver.port}",
            "return.timeout_secs=1",
        )
        async with Waybill(tmp_path, *push) as waybill:
            good = receiver.ack
            body, _ = HttpProducer(oracle, waybill.address, "msgpack").body(oracle.issue(10))
            for name, bad in BAD_ACKS.items():
                receiver.ack = bad
                assert await statuses(waybill.address, body, kind="application/msgpack") == [503], (
                    name
                )
                receiver.ack = good
                await HttpProducer(oracle, waybill.address, "msgpack").run(20)
            assert oracle.close().is_conserved


BAD_LINES = {
    "bytes one by one": (Faults(slice_bytes=1), 204),
    "late": (Faults(latency_secs=0.05, jitter_secs=0.1), 204),
    "cut": (Faults(limit_bytes=9), 503),
    "reset in the middle": (Faults(limit_bytes=9, is_reset=True), 503),
    "reset": (Faults(limit_bytes=0, is_reset=True), 503),
}


@pytest.mark.parametrize("handback", ["http", "forward"])
async def test_an_answer_on_a_bad_line(tmp_path: Path, handback: str) -> None:
    """An answer in pieces is an answer; half of one is none, although the receiver has the records."""
    oracle = Oracle()
    async with (
        HttpReceiver(oracle) as http,
        ForwardReceiver(oracle) as forward,
        FaultProxy("127.0.0.1", http.port if handback == "http" else forward.port) as proxy,
    ):
        url = f"{handback}://127.0.0.1:{proxy.port}" + ("/" if handback == "http" else "")
        push = (f"return.type={handback}", f"return.url={url}", "return.timeout_secs=1")
        async with Waybill(tmp_path, *push) as waybill:
            for name, (proxy.down, expected) in BAD_LINES.items():
                proxy.reset_all()
                assert await statuses(waybill.address, oracle.text(0)) == [expected], name


async def until_calm(waybill: Waybill) -> None:
    """Wait until it has labelled what it was sent, and labels nothing more."""
    series = 'waybill_records_labelled_total{label="Critical Error",tier="rule"}'
    seen = [0.0]

    async def is_calm() -> bool:
        await asyncio.sleep(0.5)
        seen.append(await waybill.metric(series))
        return seen[-1] == seen[-2] > 0

    await until(is_calm)


async def test_slow_readers_of_our_answers(tmp_path: Path) -> None:
    """They hold what they hold; the others go on, and memory stays within what bodies may take."""
    readers = 50 if IS_LONG else 12
    body = b"\n".join(Oracle().text(n) for n in range(4000))
    async with Waybill(tmp_path) as waybill, FaultProxy("127.0.0.1", waybill.http_port) as proxy:
        proxy.down = Faults(bandwidth=1000)
        async with aiohttp.ClientSession() as client:

            async def read_slowly() -> None:
                async with client.post(
                    f"http://127.0.0.1:{proxy.port}/v1/label", data=body
                ) as reply:
                    await reply.read()

            slow = [asyncio.create_task(read_slowly()) for _ in range(readers)]
            await until_calm(waybill)
            before = resident_bytes(waybill.pid)
            oracle = Oracle()
            await HttpProducer(oracle, waybill.address).run(4000)
            assert oracle.close().is_conserved
            assert resident_bytes(waybill.pid) < before + ROOM_BYTES
            assert peak_bytes(waybill.pid) < before + 2 * ROOM_BYTES
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)


async def test_more_than_it_can_take(tmp_path: Path) -> None:
    """Five times the capacity: some is refused with 503, all of it comes through, memory stays
    bounded.
    """
    async with pushing(tmp_path, "limits.inflight_bytes=800000", "limits.body_bytes=400000") as run:
        oracle, receiver, _, waybill = run

        async def slow() -> None:
            await asyncio.sleep(0.2)

        receiver.before_answer = slow
        before = resident_bytes(waybill.pid)
        producer = HttpProducer(oracle, waybill.address, chunk=400, connections=40)
        await producer.run(120_000 if IS_LONG else 16_000)
        report = oracle.close()
        assert report.is_conserved, report
        assert report.statuses["503"] > 0
        assert set(report.statuses) == {"204", "503"}
        assert peak_bytes(waybill.pid) < before + ROOM_BYTES
        assert (
            await waybill.metric(
                'waybill_batches_refused_total{ingest="http",reason="inflight_bytes"}'
            )
            > 0
        )


async def test_bodies_that_come_drop_by_drop_hold_nobody_up(tmp_path: Path) -> None:
    """A body that takes too long is answered 503 and its connection closed; good clients notice
    nothing.
    """
    count = 500 if IS_LONG else 60
    async with Waybill(tmp_path, "http.read_timeout_secs=2") as waybill:

        async def drip() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", waybill.http_port)
            writer.write(b"POST /v1/label HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            answer = asyncio.create_task(reader.read(1000))
            while not answer.done():
                writer.write(b"[")
                await asyncio.sleep(0.25)
            writer.close()
            return answer.result()

        drips = [asyncio.create_task(drip()) for _ in range(count)]
        oracle = Oracle()
        await HttpProducer(oracle, waybill.address).run(4000)
        assert oracle.close().is_conserved
        assert {answer[:12] for answer in await asyncio.gather(*drips)} == {b"HTTP/1.1 503"}


@pytest.mark.skipif(not IS_LONG, reason="waits for the resolver's cache, 10 s; part of make chaos")
async def test_a_name_that_does_not_resolve_and_then_moves(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while there is no address; a new address is used once the old one is gone."""
    places: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        if host != "receiver.test":
            return real(host, *args, **options)
        if not places:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(places[0], *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    heard: list[str] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer.get_extra_info("sockname")[0])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    url = f"return.url=http://receiver.test:{port}/"
    async with running(
        "model.path=null", "return.type=http", url, "return.timeout_secs=1"
    ) as sidecar:
        assert (await sidecar.post(b'{"log":"a"}'))[0] == 503
        for place in ("127.0.0.1", "127.0.0.2"):
            places[:] = [place]
            server = await asyncio.start_server(answer, place, port)
            async with patience():
                while (await sidecar.post(b'{"log":"a"}'))[0] != 204:
                    pass
            server.close()
            await server.wait_closed()
        assert heard == ["127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize("handback", ["http", "forward"])
async def test_no_2xx_before_the_receivers_own_answer(tmp_path: Path, handback: str) -> None:
    """Order of events: what a shipper is told is done was answered for by the receiver before."""
    oracle, chance = Oracle(), random.Random(4)
    answered: list[int] = []

    async def before_answer() -> None:
        await asyncio.sleep(chance.random() * 0.01)
        answered.append(oracle.report.delivered)

    async with HttpReceiver(oracle) as http, ForwardReceiver(oracle) as forward:
        port = http.port if handback == "http" else forward.port
        http.before_answer = forward.before_answer = before_answer
        right = forward.ack
        forward.ack = lambda chunk: right(chunk) if chance.random() < 0.9 else own(chunk + "x")
        url = f"{handback}://127.0.0.1:{port}" + ("/" if handback == "http" else "")
        flags = (f"return.type={handback}", f"return.url={url}")
        async with Waybill(tmp_path, *flags, with_forward=True) as waybill:
            for _ in range(500 if IS_LONG else 20):
                producer = (HttpProducer(oracle, waybill.address) if handback == "http"
                            else ForwardProducer(oracle, waybill.forward_port))  # fmt: skip
                producer.connections = 1
                await producer.run(5)
                assert answered[-1] == oracle.report.sent


async def test_the_worst_answer_of_several_pushes_counts(tmp_path: Path) -> None:
    """A batch that goes in several parts is not done while one of them is not."""
    oracle = Oracle()
    async with HttpReceiver(oracle) as receiver:
        small = ("return.max_bytes=3000", "return.timeout_secs=2")
        url = f"return.url=http://127.0.0.1:{receiver.port}/"
        async with Waybill(tmp_path, "return.type=http", url, *small) as waybill:

            async def fail_from_the_third_on() -> None:
                if receiver.batches >= 2:
                    receiver.status = 500

            receiver.before_answer = fail_from_the_third_on
            body, _ = HttpProducer(oracle, waybill.address).body(oracle.issue(60))
            assert await statuses(waybill.address, body) == [503]
            assert 0 < oracle.report.delivered < 60
            receiver.before_answer = receiver.status = None
            assert await statuses(waybill.address, body) == [204]
            assert oracle.report.delivered == 60
            assert oracle.report.duplicate > 0


@pytest.mark.parametrize("stage", ["decode", "label", "hand_back", "decompress"])
async def test_whatever_breaks_inside_the_shipper_keeps_its_batch(
    running: Running, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Status closure: an exception that nobody foresaw is 503 with Retry-After, at every stage."""
    errors = [ValueError(), KeyError("x"), RecursionError(), MemoryError(), OSError(), ConnectionResetError(),
              TimeoutError(), AssertionError(), ZeroDivisionError(), EOFError(), aiohttp.ClientError(),
              asyncio.IncompleteReadError(b"", 1), UnicodeDecodeError("utf-8", b"", 0, 1, "")]  # fmt: skip

    def fail(*_: object, **__: object) -> None:
        raise error

    async def fail_later(*_: object, **__: object) -> None:
        raise error

    async with running("model.path=null") as sidecar:
        flow = sidecar.service.flow
        monkeypatch.setattr("waybill.flow.inflating.decompress", fail)
        if stage != "decompress":
            places = {"decode": (flow.wire, fail), "label": (flow.labeller, fail_later),
                      "hand_back": (flow.handback, fail_later)}  # fmt: skip
            place, broken = places[stage]
            monkeypatch.setattr(place, stage, broken)
        headers = {"Content-Encoding": "gzip"} if stage == "decompress" else {}
        for error in errors:
            status, body, answer = await sidecar.post(b'{"log":"a"}', **headers)
            assert (status, json.loads(body)["reason"]) == (503, "internal"), error
            assert int(answer["Retry-After"]) > 0
