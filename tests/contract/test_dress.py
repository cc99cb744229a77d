"""The samples of the shipped rules in every dress and encoding: decided by the same rule."""

from __future__ import annotations

import asyncio
import csv
import functools
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.contract.encodings import KINDS, Kind
from tests.support.shipped import load_shipped
from tests.taxonomies import TEN
from waybill.labelling.explain import explain
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.ruleset import RuleSet
from waybill.settings.schema import FieldSettings, RouteSettings, Settings
from waybill.wire import FieldPlan, Wire
from waybill.wire.table.columns import make_choice
from waybill.wire.table.table import Table

FOLDERS = [Path("rules")]
DRESSES = {
    "crlf": "{}\r\n",
    "colours": "\x1b[31;1m{}\x1b[0m",
    "colour_256": "\x1b[38;5;9m{}\x1b[m\x1b[K",
    "bom": "\ufeff{}",
    "nul": "{}\x00",
    "nul_in_front": "\x00\x01{}",
    "blanks": " \t {}  \n",
    "unicode_blanks": "\xa0\u3000{}\u2003\u2028",
    "zero_width": "\u200b{}\u2060\u200e",
    "title": "\x1b]0;a title\x07{}",
    "link": "\x1b]8;;https://example.org/\x1b\\{}\x1b]8;;\x1b\\",
    "charset": "\x1b(B\x1b[m{}\r",
    "c1": "\x9b31m{}\x9b0m\x85",
}


@functools.cache  # a quarter of a second of parsing
def sorted_samples() -> tuple[list[str], list[str]]:
    """What some rule must match, and what one must not, though another one may."""
    matched: list[str] = []
    others: list[str] = []
    for file in sorted(FOLDERS[0].rglob("*.yaml")):
        for rule in yaml.safe_load(file.read_text())["rules"]:
            matched += rule.get("match", [])
            others += rule.get("no_match", [])
    return matched, others


def samples() -> list[str]:
    matched, others = sorted_samples()
    return matched + others


@pytest.fixture(name="rules", scope="module")
def _rules() -> RuleSet:
    return asyncio.run(load_shipped())


@pytest.fixture(name="pipeline")
def _pipeline(rules: RuleSet) -> Pipeline:
    settings = Settings(routes=(RouteSettings(source=("*",), tiers=("rules",)),))
    return Pipeline(settings, rules, {}, taxonomy=TEN)


async def decided(pipeline: Pipeline, messages: Sequence[str | None]) -> list[str | None]:
    verdicts = await pipeline.label(messages, [""] * len(messages))
    return [verdict.rule for verdict in verdicts]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.encoding.value for kind in KINDS])
@pytest.mark.parametrize("dress", DRESSES)
async def test_a_dress_changes_no_verdict_and_no_byte(
    pipeline: Pipeline, kind: Kind, dress: str
) -> None:
    plain = samples()
    assert len(plain) > 1000
    expected = await decided(pipeline, plain)
    assert None not in expected[: len(sorted_samples()[0])]
    dressed = [DRESSES[dress].format(text) for text in plain]
    body = kind.pack([{"log": text} for text in dressed])
    codec, batch = Wire(FieldPlan(FieldSettings())).decode(body, kind.content_type)
    assert await decided(pipeline, batch.messages) == expected
    verdicts = await pipeline.label(batch.messages, batch.sources)
    records = kind.unpack(codec.splice(batch, verdicts))
    assert [record["log"] for record in records] == dressed


@pytest.mark.parametrize("dress", DRESSES)
async def test_tools_see_the_same_rule(pipeline: Pipeline, rules: RuleSet, dress: str) -> None:
    for text in samples()[::7]:
        dressed = DRESSES[dress].format(text)
        first = rules.first_match(text)
        assert rules.first_match(dressed) is first
        assert rules.matching(dressed) == rules.matching(text)
        explained = await explain(pipeline, None, "", dressed)
        assert explained.decision.rule == (first and first.id)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("dress", DRESSES)
async def test_a_dress_changes_no_verdict_of_a_table(
    pipeline: Pipeline, encoding: str, dress: str
) -> None:
    plain = samples()
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["log", "source"], *([DRESSES[dress].format(one), "s"] for one in plain)])
    table = Table(FieldSettings(), make_choice(), 1 << 20)
    rows = table.feed(text.getvalue().encode(encoding), is_last=True)
    messages, _ = table.columns.read([row.cells for row in rows])
    assert await decided(pipeline, messages) == await decided(pipeline, plain)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("dress", DRESSES)
async def test_a_dress_changes_no_verdict_of_a_line(
    pipeline: Pipeline, encoding: str, dress: str
) -> None:
    """Of lines that are their own messages."""
    plain = [one for one in samples() if "\n" not in one and one[:1] != "{" and "=" not in one]
    assert len(plain) > 600
    # The mark of UTF-16 and a NUL are the mark of UTF-32: the first line has no dress.
    body = "".join(["x\n", *(f"{DRESSES[dress].format(one)}\n" for one in plain)]).encode(encoding)
    _, batch = Wire(FieldPlan(FieldSettings())).decode(body, "text/plain")
    assert await decided(pipeline, batch.messages[1:]) == await decided(pipeline, plain)


def encoded_anew(message: str, separators: tuple[str, str], *, is_sorted: bool) -> str | None:
    """What a library makes of a message that ends in JSON; None of any other."""
    head, mark, rest = message.partition('{"')
    try:
        record = json.loads(mark + rest)
    except json.JSONDecodeError:
        return None
    return head + json.dumps(record, separators=separators, sort_keys=is_sorted)


@pytest.mark.parametrize("is_sorted", [False, True], ids=["in-order", "sorted"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "blanks"])
async def test_json_that_a_shipper_encoded_anew_keeps_its_label(
    pipeline: Pipeline, separators: tuple[str, str], is_sorted: bool
) -> None:
    """Go sorts the members of a map, Python writes blanks."""
    plain = sorted_samples()[0]
    anew = [encoded_anew(one, separators, is_sorted=is_sorted) for one in plain]
    pairs = [(one, new) for one, new in zip(plain, anew, strict=True) if new is not None]
    assert len(pairs) > 60
    told = await pipeline.label([one for one, _ in pairs], [""] * len(pairs))
    found = await pipeline.label([new for _, new in pairs], [""] * len(pairs))
    others = [
        (new, one.label, two.label)
        for (_, new), one, two in zip(pairs, told, found, strict=True)
        if one.label != two.label
    ]
    assert others == []


@pytest.mark.parametrize("blank", ["", " ", "\r\n", "\ufeff", "\x00", "\x1b[0m", "\u200b", "\xa0"])
async def test_blank_is_no_message(pipeline: Pipeline, blank: str) -> None:
    (verdict,) = await pipeline.label([blank], [""])
    assert verdict is TEN.passed["no_message"]
    explained = (await explain(pipeline, None, "", blank)).decision
    assert (explained.label, explained.reason) == (verdict.label, "no_message")
