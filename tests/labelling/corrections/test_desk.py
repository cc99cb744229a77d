"""What a person says is checked before it is kept: labels, sources, and masks that hide values."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.taxonomies import TEN
from waybill.core.correction import (
    Overruled,
    decode_correction,
    encode_correction,
    new_correction,
)
from waybill.core.errors import CorrectError
from waybill.labelling.corrections.desk import CorrectionRequest, Desk, Taken
from waybill.labelling.corrections.redraw import find_deciding
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.rules.ruleset import RuleSet

RULES = r"""
rules:
- {id: fault, label: Error, pattern: 'status 5\d\d\b'}
- {id: fine, label: User Action, pattern: 'status 2\d\d\b'}
- {id: killed, label: Critical Error, pattern: 'exit code 137\b'}
- {id: odd, label: Error, pattern: 'port 61616 '}
- {id: own, label: Security Alert, pattern: 'from 169\.254\.169\.254'}
- {id: any, label: Error, pattern: 'disk \d+ is bad'}
- {id: vip, label: Error, pattern: 'customer 8240117 '}
- {id: quiet, label: Error, pattern: 'took 7 ms', mode: shadow}
"""


@pytest.fixture(name="desk")
def _desk(rules: RuleSet, tmp_path: Path) -> Desk:
    file = tmp_path / "c.ndjson"
    return Desk(TEN, CorrectionSource([file]), file, lambda: rules)


async def refusal(desk: Desk, saying: CorrectionRequest) -> CorrectError:
    with pytest.raises(CorrectError) as raised:
        await desk.take(saying)
    return raised.value


async def say(desk: Desk, message: str, label: str = "Error", by: str = "ann") -> Taken:
    return await desk.take(CorrectionRequest(message=message, label=label, by=by))


async def test_what_is_said_is_kept(desk: Desk, tmp_path: Path) -> None:
    taken = await say(desk, "\x1b[31mdisk 17 is wobbly\r\n")
    kept = decode_correction((tmp_path / "c.ndjson").read_bytes())
    assert kept == taken.correction
    assert (kept.mask, kept.source, kept.taxonomy) == ("disk 0 is wobbly", "*", TEN.version)
    assert taken.overrules is None


async def test_saying_it_again_adds_nothing(desk: Desk, tmp_path: Path) -> None:
    first = await say(desk, "disk 17 is wobbly")
    again = await say(desk, "disk 18 is wobbly")
    assert (again.correction, again.is_new) == (first.correction, False)
    assert (await say(desk, "disk 18 is wobbly", by="bob")).is_new
    assert (await say(desk, "disk 18 is wobbly", "User Action")).is_new
    assert (await say(desk, "disk 18 is wobbly")).is_new
    assert len((tmp_path / "c.ndjson").read_bytes().splitlines()) == 4


async def test_what_was_said_can_be_taken_back(desk: Desk) -> None:
    first = await say(desk, "disk 17 is wobbly")
    back = await desk.take(CorrectionRequest(withdraws=first.correction.id, by="bob"))
    assert back.correction.withdraws == first.correction.id
    assert (await say(desk, "disk 17 is wobbly")).is_new
    assert (await refusal(desk, CorrectionRequest(withdraws="nobody's"))).code == "unknown_id"


async def test_the_rule_that_is_overruled_is_named(desk: Desk) -> None:
    taken = await say(desk, "disk 17 is bad", "User Action")
    assert taken.overrules == Overruled("any", "Error")
    assert (await say(desk, "disk 17 is bad", "Error")).overrules is None


@pytest.mark.parametrize(
    ("saying", "code", "words"),
    [
        (CorrectionRequest(message="m"), "fields", "the labels are Security Alert, "),
        (CorrectionRequest(label="Error"), "fields", "message is missing"),
        (CorrectionRequest(message="m", label="Eror"), "label", "did you mean Error"),
        (CorrectionRequest(message="", label="Error"), "no_message", "nothing"),
        (CorrectionRequest(message="\x1b[0m \ufeff", label="Error"), "no_message", "nothing"),
        (CorrectionRequest(message="m", label="Error", source="crm-*"), "source", "is a pattern"),
        (CorrectionRequest(mask="disk 17", label="Error"), "fields", "a message, no mask"),
        (CorrectionRequest(message="a 1", mask="b 0", label="Error"), "fields", "which is 'a 0'"),
        (CorrectionRequest(message="m", label="Error", by="x" * 201), "fields", "200 characters"),
        (
            CorrectionRequest(message="m", label="Error", note="x" * 2001),
            "fields",
            "2000 characters",
        ),
        (CorrectionRequest(message="a \ud800", label="Error"), "fields", "surrogate"),
        (CorrectionRequest(message="m", label="E" * 1_000_000), "label", "is not a label"),
        (CorrectionRequest(mask="a\nb", label="Error"), "fields", "line ends"),
        (CorrectionRequest(mask="\x1b[0ma", label="Error"), "fields", "control characters"),
        (CorrectionRequest(mask="a\x07b", label="Error"), "fields", "control characters"),
        (CorrectionRequest(message="m", label="Error", by="ann\x1b[2J"), "fields", "by holds"),
        (CorrectionRequest(message="m", label="Error", by="a\u2028b"), "fields", "by holds"),
        (CorrectionRequest(message="m", label="Error", note="a\u202eb"), "fields", "note holds"),
    ],
)
async def test_what_cannot_be_taken_says_why(
    desk: Desk, saying: CorrectionRequest, code: str, words: str
) -> None:
    error = await refusal(desk, saying)
    assert (error.code, words in error.detail) == (code, True)


async def test_without_a_path_the_setting_is_named(rules: RuleSet) -> None:
    desk = Desk(TEN, CorrectionSource(()), None, lambda: rules, follows="http://bench:9890")
    error = await refusal(desk, CorrectionRequest(message="m", label="Error"))
    assert error.code == "no_path"
    assert "corrections.path" in error.detail
    assert "http://bench:9890" in error.detail


async def test_a_huge_message_is_masked_like_any_other(desk: Desk) -> None:
    taken = await say(desk, "disk 17 is wobbly " * 60_000)
    assert len(taken.correction.mask) <= 512


async def test_files_with_a_fault_take_no_more(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "c.ndjson").write_text("message,label\n")
    error = await refusal(desk, CorrectionRequest(message="m", label="Error"))
    assert error.code == "damaged"
    assert "c.ndjson:1" in error.detail


@pytest.mark.parametrize(
    ("message", "label", "values"),
    [
        ("GET / status 200 in 7 ms", "Error", {"200"}),
        ("GET / status 404", "Security Alert", {"404"}),
        ("worker ended with exit code 1", "System Notification", {"1"}),
        ("listening on port 80 now", "System Notification", {"80"}),
        ("login from 10.0.0.7", "User Action", {"10.0.0.7"}),
        ("disk 17 is bad", "User Action", set()),
        ("it took 9 ms", "User Action", set()),
        ("worker ended with exit code 1", "Critical Error", set()),
        ("nothing of note", "Error", set()),
    ],
)
def test_values_that_decide_are_found(
    rules: RuleSet, message: str, label: str, values: set[str]
) -> None:
    found = find_deciding(rules, message, label)
    assert {one.value for one in found} == values


async def test_a_mixed_mask_is_answered_with_a_rule_that_keeps_the_value(desk: Desk) -> None:
    saying = CorrectionRequest(message="GET /a/17 status 404 in 7 ms", label="Security Alert")
    error = await refusal(desk, saying)
    assert error.code == "mixed"
    assert "in the place of 404" in error.detail
    (rule,) = yaml.safe_load(str(error.more["rule"]))["rules"]
    assert rule["label"] == "Security Alert"
    assert rule["pattern"] == r"GET\s+/a/\d+\s+status\s+\b404\b\s+in\s+\d+\s+ms"


async def test_values_that_came_by_are_tried(rules: RuleSet, tmp_path: Path) -> None:
    """A rule that asks for one of a million ids is found by the message that it took."""
    seen = {"customer 0 left": ["customer 12 left", "customer 8240117 left"]}
    source = CorrectionSource([tmp_path / "c.ndjson"])
    saying = CorrectionRequest(message="customer 7 left", label="User Action")
    blind = Desk(TEN, source, tmp_path / "c.ndjson", lambda: rules)
    assert (await blind.check(saying))[0].mask == "customer 0 left"
    desk = Desk(TEN, source, tmp_path / "c.ndjson", lambda: rules, known=lambda mask: seen[mask])
    error = await refusal(desk, saying)
    assert error.code == "mixed"
    assert "with 8240117 in the place of 7 the rule vip says Error" in error.detail


async def test_no_more_are_taken_than_are_read(
    rules: RuleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.labelling.corrections.desk.MAX_LINES", 1)
    file = tmp_path / "c.ndjson"
    file.write_bytes(encode_correction(new_correction("m", "Error")))
    table = CorrectionSource([file]).load(TEN)
    full = Desk(TEN, CorrectionSource([file]), file, lambda: rules, in_force=lambda: table)
    assert (await refusal(full, CorrectionRequest(message="n", label="Error"))).code == "too_many"
