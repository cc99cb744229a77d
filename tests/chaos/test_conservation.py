"""What was acknowledged came out, once at least, byte for byte, whatever was killed meanwhile.

`make chaos` runs each pair with 200,000 records and 20 kills; here it is a seeded handful.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.chaos.oracle import Oracle, Report
from tests.chaos.peers import ForwardProducer, ForwardReceiver, HttpProducer, HttpReceiver, Producer
from tests.chaos.process import Waybill
from tests.patience import patience

pytestmark = pytest.mark.e2e
RECORDS = int(os.environ.get("CHAOS_RECORDS", "4000"))
KILLS = int(os.environ.get("CHAOS_KILLS", "2"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
#: ingest and form -> handback
ALL_PAIRS = ("http ndjson -> body", "http ndjson -> http", "http json -> http", "http msgpack -> http",
         "http msgpack -> forward", "forward -> forward", "forward -> http")  # fmt: skip
PAIRS = (
    ALL_PAIRS
    if os.environ.get("CHAOS_LONG")
    else ("http json -> http", "http msgpack -> forward", "forward -> forward")
)


class Killer:
    """Kills at seeded moments: in the middle of a batch that the receiver has, and that nobody was
    told of yet.
    """

    def __init__(self, waybill: Waybill, batches: int, kills: int, seed: int) -> None:
        self._waybill, self._chance = waybill, random.Random(seed)
        self._due = sorted(self._chance.sample(range(2, max(kills + 3, batches * 3 // 4)), kills))
        self._seen = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()

    async def before_answer(self) -> None:
        """Count a batch; when it is one of those, kill now or a moment later."""
        self._seen += 1
        if self._due and self._seen >= self._due[0]:
            self._due.pop(0)
            wait = self._chance.choice((0.0, 0.0, self._chance.random() * 0.05))
            self._tasks.append(asyncio.create_task(self._kill(wait)))
            await asyncio.sleep(0.02)

    async def _kill(self, wait: float) -> None:
        await asyncio.sleep(wait)
        async with self._lock:
            await self._waybill.kill()

    async def done(self) -> None:
        """Wait until every kill is over."""
        await asyncio.gather(*self._tasks)


async def conserve(
    folder: Path, pair: str, records: int, kills: int, seed: int, *, is_default: bool = False
) -> Report:
    """One run; gives the report after a fresh record has passed."""
    ingest, _, handback = pair.partition(" -> ")
    kind, _, form = ingest.partition(" ")
    oracle = Oracle(seed)
    is_text = form in ("ndjson", "json")
    async with HttpReceiver(oracle, is_text=is_text) as http, ForwardReceiver(oracle) as forward:
        target = {"body": (), "http": ("return.type=http", f"return.url=http://127.0.0.1:{http.port}/"),
                  "forward": ("return.type=forward", f"return.url=forward://127.0.0.1:{forward.port}")}  # fmt: skip
        waybill = Waybill(
            folder, *target[handback], is_default=is_default, with_forward=kind == "forward"
        )
        producer: Producer
        if kind == "forward":
            producer = ForwardProducer(oracle, waybill.forward_port)
        else:
            producer = HttpProducer(oracle, waybill.address, form)
        killer = Killer(waybill, records // producer.chunk, kills, seed)
        http.before_answer = forward.before_answer = killer.before_answer
        if handback == "body":  # there is no receiver: the answer itself hands the records back
            producer.before_done = killer.before_answer
        async with waybill:
            await producer.run(records)
            await killer.done()
            async with patience():
                await producer.run(producer.chunk)
            assert waybill.kills == kills
    return oracle.close()


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_kill_9_under_load_loses_no_record(tmp_path: Path, pair: str) -> None:
    report = await conserve(tmp_path, pair, RECORDS, KILLS, SEED)
    print(f"{pair}: {report}")
    assert report.is_conserved, report
    assert report.acknowledged == report.sent == report.delivered
    # Without a record that came twice, no kill has hit where it hurts and the run has shown
    # nothing.
    assert report.duplicate > 0 or pair.endswith("body")


async def test_kill_9_with_the_default_rules_and_model(tmp_path: Path) -> None:
    report = await conserve(
        tmp_path, "http msgpack -> forward", RECORDS, KILLS, SEED + 1, is_default=True
    )
    print(f"defaults: {report}")
    assert report.is_conserved, report
    assert report.duplicate > 0
