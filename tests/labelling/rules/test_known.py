"""Rules beside a database that stands already decide as rules that were compiled whole."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.taxonomies import LABELS
from waybill.core.errors import RuleSetError
from waybill.labelling.rules import loading
from waybill.labelling.rules.artefact import Artefact, CompileRequest, Known
from waybill.labelling.rules.compiler import build
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_artefact, opened
from waybill.labelling.rules.ruleset import RuleSet

#: Plain ones, alike ones, ones that must be confirmed, and ones that no database holds.
PATTERNS = (
    r"order \d+ rejected",
    r"(?i)ORDER",
    r"rejected$",
    r"order \d+ rejected",
    r"(?<!not )rejected",
    r"(\w+) \1",
    r"^\S+ \d{2,4}",
    r"quota|rejected",
)
MESSAGES = (
    "order 12 rejected",
    "Order 7 not rejected",
    "order order 12",
    "quota of 12 used up",
    "",
    "nothing of that",
)
PICKS = st.lists(st.integers(0, len(PATTERNS) - 1), max_size=6)


def rule_file(picks: Sequence[int], mode: str = "enforce") -> RuleFile:
    """Rules with these patterns, in this order."""
    rules = [
        {"id": f"r{n}", "label": LABELS[n % 3], "pattern": PATTERNS[pick], "mode": mode}
        for n, pick in enumerate(picks)
    ]
    return RuleFile("a.yaml", msgspec.json.encode({"rules": rules}))


def artefact_of(
    picks: Sequence[int], mode: str = "enforce", known: Known | None = None
) -> Artefact:
    """`rule_file`, compiled."""
    file = rule_file(picks, mode)
    return build(CompileRequest((file,), LABELS, 10, 1 << 30, 65_536, known=known))


@given(PICKS, PICKS, st.sampled_from(["enforce", "shadow"]))
@settings(max_examples=20, deadline=None)
def test_split_and_whole_decide_the_same(before: list[int], now: list[int], mode: str) -> None:
    known = artefact_of(before).known()
    split = RuleSet(artefact_of(now, mode, known))
    whole = RuleSet(artefact_of(now, mode))
    assert split.version == whole.version
    assert [rule.describe() for rule in split.rules] == [rule.describe() for rule in whole.rules]
    for of_split in (split, split.for_thread()):
        for message in MESSAGES:
            found = [rule.id for rule in of_split.matching(message)]
            assert found == [rule.id for rule in whole.matching(message)]
    firsts = [[rule and rule.id for rule in one.first_matches(MESSAGES)] for one in (split, whole)]
    assert firsts[0] == firsts[1]
    assert split.take_counts() == whole.take_counts()


def test_what_is_known_is_not_compiled_again() -> None:
    known = artefact_of([0, 1, 4]).known()
    assert known is not None
    beside = artefact_of([1, 6, 0, 0], known=known)
    assert beside.known_rules == (2, 0, -1)
    assert beside.known_database == known.database
    assert beside.known() is None
    only_known = artefact_of([4], known=known)
    assert only_known.database == b""


def test_faults_are_those_of_the_whole() -> None:
    known = artefact_of([0]).known()
    text = b"rules:\n- {id: a, label: Error, pattern: 'order \\d+ rejected', match: [nothing]}\n"
    told = []
    for one in (known, None):
        request = CompileRequest(
            (RuleFile("a.yaml", text),), LABELS, 10, 1 << 30, 65_536, known=one
        )
        try:
            build(request)
        except RuleSetError as refusal:
            told.append(list(map(str, refusal.errors)))
    assert len(told) == 2
    assert told[0] == told[1] != []


async def test_what_stood_already_is_neither_sent_nor_read_twice() -> None:
    request = CompileRequest((rule_file([0, 1, 4]),), LABELS, 10, 1 << 30, 65_536)
    whole = await compile_artefact(request)
    rules = await opened(whole, request.max_message_bytes)
    known = whole.known()
    assert known is not None
    beside = msgspec.structs.replace(request, files=(rule_file([1, 6, 0]),), known=known)
    for _ in range(2):  # compiled, and from memory
        artefact = await compile_artefact(beside)
        assert artefact.known_database is known.database
    kept = next(reversed(loading._compiled.values()))
    assert len(kept.sent) < len(known.database) + len(artefact.database)
    split = await opened(artefact, beside.max_message_bytes, rules)
    assert split.scanner._known is rules.scanner.own
    for message in MESSAGES:
        found = [rule.id for rule in split.matching(message)]
        assert found == [rule.id for rule in RuleSet(artefact).matching(message)]
