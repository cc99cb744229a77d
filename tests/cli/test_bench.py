"""The benchmark measures what it says it measures."""

from __future__ import annotations

import re
from pathlib import Path

import orjson

from tests.taxonomies import LABELS
from waybill.cli.bench.in_process import measure_yardstick
from waybill.cli.bench.reference import RECORDS, reference_batch, rule_text
from waybill.labelling.rules.loading import load_ruleset


def test_the_reference_batch_is_of_the_announced_size_and_repeats_no_message() -> None:
    batches = [reference_batch(seed) for seed in range(3)]
    sizes = [len(orjson.dumps(batch)) / RECORDS for batch in batches]
    assert all(850 < size < 950 for size in sizes)
    assert len({record["log"] for batch in batches for record in batch}) == 3 * RECORDS
    assert reference_batch(1) == batches[1]


async def test_the_rules_decide_a_third_of_it_whatever_their_number(tmp_path: Path) -> None:
    messages = [str(record["log"]) for record in reference_batch(5)]
    for count in (10, 100):
        (tmp_path / "rules.yaml").write_text(rule_text(count))
        rules = await load_ruleset([tmp_path], labels=LABELS)
        assert len(rules.rules) == count
        decided = sum(rule is not None for rule in rules.first_matches(messages))
        assert decided == sum(bool(re.search(r"failed with code", message)) for message in messages)
        assert 250 < decided < 420


def test_the_yardstick_is_a_time_per_record() -> None:
    assert 0 < measure_yardstick([orjson.dumps(reference_batch(0))]) < 0.01
