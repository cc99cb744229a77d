"""Decode, rules, memo and splice without a socket, against the yardstick."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import orjson

from waybill.cli.bench.reference import RECORDS, rule_text
from waybill.cli.bench.result import Result, at_most
from waybill.core.names import SlowTierName
from waybill.core.records import Verdict
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.tier import Answer, Scope
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels
from waybill.wire import FieldPlan, Wire

__all__ = ["Instant", "best_secs", "load_rules", "measure_in_process", "measure_yardstick"]

#: Bodies that are labelled before the clock runs: the shapes of all messages are met once.
_WARM_UP = 3


class Instant:
    """A slow tier that is not slow: measures everything but the model."""

    name: SlowTierName = "model"
    version = "instant@1"
    wait_secs = 1.0

    def submit(self, texts: Sequence[str], scope: Scope) -> list[Answer]:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        futures: list[Answer] = []
        for _ in texts:
            futures.append(loop.create_future())
            futures[-1].set_result(Verdict("System Notification", "model", 0.98, self.version))
        return futures

    async def consult(self, text: str, scope: Scope) -> None: ...

    async def close(self) -> None: ...


def best_secs(work: Callable[[], object], repeat: int) -> float:
    """The fastest of ``repeat`` runs in seconds: noise only ever adds."""
    times: list[float] = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def measure_yardstick(bodies: Sequence[bytes]) -> float:
    """Seconds per record of the orjson round trip.

    Each body once, like the measure that is held against it.
    """
    times: list[float] = []
    for body in bodies:
        begin = time.perf_counter()
        orjson.dumps(orjson.loads(body))
        times.append(time.perf_counter() - begin)
    return statistics.median(times) / RECORDS


def measure_in_process(yardstick: float, bodies: Sequence[bytes]) -> Iterator[Result]:
    """The measures; ``yardstick`` is in seconds per record."""
    ten, hundred, thousand = load_rules(10), load_rules(100), load_rules(1000)
    fresh = _new_messages(hundred, bodies)
    detail = f"{fresh * 1e6:.2f} µs a record, yardstick {yardstick * 1e6:.2f} µs"
    measure = "decode + 100 rules + memo + splice, every message new"
    yield at_most(measure, fresh / yardstick, "x", 1.5, detail)
    known = _known_messages(hundred, bodies[0], len(bodies))
    yield at_most("the same, every message seen before", known / yardstick, "x", 1.5)
    ratios: list[float] = []
    for _ in range(3):
        few = _new_messages(ten, bodies)
        ratios.append(_new_messages(thousand, bodies) / few)
    measure = "1,000 rules against 10, every message new"
    yield at_most(measure, statistics.median(ratios), "x", 1.3)


def load_rules(count: int) -> RuleSet:
    """``count`` rules, of which one decides a third of the records."""
    file = RuleFile("bench.yaml", rule_text(count).encode())
    return asyncio.run(compile_rules([file], labels=read_labels().names))


def _new_messages(rules: RuleSet, bodies: Sequence[bytes]) -> float:
    """Seconds per record, each body once."""
    return statistics.median(asyncio.run(_times(rules, bodies))) / RECORDS


def _known_messages(rules: RuleSet, body: bytes, repeat: int) -> float:
    """Seconds per record, one body over and over."""
    return min(asyncio.run(_times(rules, [body] * (repeat + _WARM_UP)))) / RECORDS


async def _times(rules: RuleSet, bodies: Sequence[bytes]) -> list[float]:
    """Seconds of each body behind the first few."""
    settings = load_settings(environ={})
    wire = Wire(FieldPlan(settings.fields))
    pipeline = Pipeline(settings, rules, {"model": Instant()}, taxonomy=read_labels())
    times: list[float] = []
    for body in bodies:
        begin = time.perf_counter()
        codec, batch = wire.decode(body)
        codec.splice(batch, await pipeline.label(batch.messages, batch.sources))
        times.append(time.perf_counter() - begin)
    return times[_WARM_UP:]
