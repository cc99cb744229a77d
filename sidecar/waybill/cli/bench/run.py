"""Runs all measures, prints a table and writes the figures."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import orjson

from waybill.cli.bench.in_process import measure_in_process
from waybill.cli.bench.labellings import measure_labellings
from waybill.cli.bench.model import measure_model
from waybill.cli.bench.patterns import measure_patterns
from waybill.cli.bench.reference import RECORDS, reference_batch
from waybill.cli.bench.result import Result
from waybill.cli.bench.service import measure_service
from waybill.settings.schema import Settings

__all__ = ["run"]

_VERDICTS = {True: "", False: "  FALLS SHORT", None: "  not measured"}


def run(settings: Settings, output: Path, *, is_quick: bool) -> int:
    """Measure everything, print a table, write ``output``; 1 when a bar is missed."""
    secs, batches, messages = 3.0, 40, 600
    if is_quick:
        secs, batches, messages = 1.0, 12, 200
    bodies = [orjson.dumps(reference_batch(seed)) for seed in range(batches)]
    print(
        f"reference batch: {RECORDS} records of {len(bodies[0]) // RECORDS} bytes; "
        "yardstick: orjson round trip"
    )
    print(f"{'measure':<58} {'value':>10}  {'bar':<8}")
    results: list[Result] = []
    for result in itertools.chain(
        measure_in_process(bodies),
        measure_patterns(bodies),
        measure_labellings(settings, bodies, messages // 4),
        measure_service(bodies, secs),
        measure_model(settings, messages),
    ):
        results.append(result)
        _print(result)
    told = {"results": [msgspec.to_builtins(one) for one in results]}
    output.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return int(any(result.is_met is False for result in results))


def _print(result: Result) -> None:
    value = "-"
    if result.value is not None:
        value = f"{result.value:.2f} {result.unit}"
    verdict = _VERDICTS[result.is_met]
    print(f"{result.measure:<58} {value:>10}  {result.bar:<8}{verdict}", flush=True)
    if result.detail:
        print(f"    {result.detail}")
