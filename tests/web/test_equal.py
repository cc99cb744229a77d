"""What a page says of a label or of a change is what the sidecar and `waybill backtest` say."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.conftest import pattern, settings_for, share
from waybill.core.child import Ended
from waybill.core.correction import new_correction, withdrawal
from waybill.core.errors import RuleSetError
from waybill.core.pattern import Pattern
from waybill.core.prepare import prepare
from waybill.core.records import Verdict
from waybill.core.version import VERSION
from waybill.labelling.masking import mask
from waybill.labelling.rules import compiler, loading
from waybill.labelling.rules.artefact import EXIT_FAULTS, CompileRequest, Fault
from waybill.learn.backtest.result import Backtest
from waybill.learn.backtest.run import Plan, backtest
from waybill.learn.backtest.sides import SideSpec
from waybill.ops.metrics import Metrics
from waybill.service.opening import open_pipeline
from waybill.service.reading_rules import read_rules
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels
from waybill.web.engine import Engine
from waybill.web.model_trial import _patterns
from waybill.web.rulebook import Rulebook, with_own_rules
from waybill.web.store.corrections import add_correction, apply_waiting, export
from waybill.web.store.database import Database
from waybill.web.store.recording import NodeAnswer, record_answer
from waybill.web.trials import Trial, Trials

#: A trial is waited for until all is compared.
PATIENCE_SECS = 60.0
LABELS = ("Error", "User Action", "HTTP Status")
PATTERNS = (
    r"order \d+ failed",
    "failed",
    r"code [45]\d\d",
    "^user",
    r"order 4\d",
    "shop|crm",
    "late$",
)
NAMES = ("10-a.yaml", "50-workbench.yaml", "99-z.yaml")

lines = st.builds(
    "{} {} {} {}".format,
    st.sampled_from(["order 41", "order 7", "user bob", "disk"]),
    st.sampled_from(["failed", "passed", "at shop", "at crm"]),
    st.sampled_from(["code 404", "code 200", "code 503", ""]),
    st.sampled_from(["late", "soon"]),
)
rules = st.lists(
    st.tuples(
        st.sampled_from(PATTERNS), st.sampled_from(LABELS), st.sampled_from(["", "shop", "crm"])
    ),
    min_size=1,
    max_size=3,
)
messages = st.lists(st.tuples(lines, st.sampled_from(["shop", "crm"])), min_size=1, max_size=12)
said = st.lists(st.tuples(st.integers(0, 11), st.sampled_from(LABELS), st.booleans()), max_size=3)


def written(found: list[tuple[str, str, str]], prefix: str) -> str:
    """Rules as YAML."""
    parts = ["rules:"]
    for number, (expression, label, source) in enumerate(found):
        where = f", where: {{source: [{source}]}}" if source else ""
        parts.append(f"- {{id: {prefix}{number}, label: {label}, pattern: '{expression}'{where}}}")
    return "\n".join(parts) + "\n"


@pytest.fixture(autouse=True)
def _compiled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile without a process for each rule set."""

    async def run(request: CompileRequest) -> Ended:
        try:
            return Ended(0, msgspec.msgpack.encode(compiler.build(request)), b"")
        except RuleSetError as refusal:
            faults = [Fault.of(error) for error in refusal.errors]
            return Ended(EXIT_FAULTS, msgspec.msgpack.encode(faults), b"")

    monkeypatch.setattr(loading, "_run_compiler", run)
    monkeypatch.setattr(compiler, "_note_place", lambda _: None)


class Found(NamedTuple):
    """What page and sidecar said of the same messages, and of the same change."""

    page: list[Verdict]
    sidecar: list[Verdict]
    early: Trial
    trial: Trial
    flips: int


def told_of(records: list[tuple[str, str]]) -> list[Pattern]:
    """The patterns that a node tells of these records."""
    found: dict[str, list[tuple[str, str]]] = {}
    for message, source in records:
        found.setdefault(mask(prepare(message)), []).append((message, source))
    now = time.time()
    return [
        pattern(
            text, share("Unclassified", len(some)), count=len(some), at=now,
            sources=dict(Counter(source for _, source in some)),
            examples=tuple(dict.fromkeys(message for message, _ in some))[:3],
        )
        for text, some in found.items()
    ]  # fmt: skip


async def labelled(these: Settings, records: list[tuple[str, str]]) -> list[Verdict]:
    """What a sidecar with these settings says."""
    async with open_pipeline(these, Metrics(VERSION)) as opened:
        texts, sources = zip(*records, strict=True)
        return await opened.pipeline.label(list(texts), list(sources))


async def both(
    place: Path, name: str, texts: tuple[str, str, str], records: list[tuple[str, str]],
    corrections: list[tuple[int, str, bool]],
) -> tuple[Found, Settings]:  # fmt: skip
    """Ask the page's parts, and a sidecar of the same files."""
    for folder in ("base", "own", "new"):
        (place / folder).mkdir()
    (place / "base" / "40-base.yaml").write_text(texts[0])
    (place / "own" / name).write_text(texts[1])
    (place / "new" / name).write_text(texts[2])
    here = settings_for(place)
    files = msgspec.structs.replace(
        here.rules, path=str(place / "base"), extra_paths=(str(place / "own"),)
    )
    here = with_own_rules(msgspec.structs.replace(here, rules=files))
    taxonomy = read_labels(here.labels.path)
    database = Database(Path(here.workbench.store))
    rulebook = Rulebook(here, taxonomy)
    engine = Engine(here, rulebook, database)
    told = told_of(records)

    def fill(store: object) -> None:
        record_answer(store, NodeAnswer("n", time.time(), told))  # type: ignore[arg-type]
        for number, label, is_taken_back in corrections:
            line = new_correction(told[number % len(told)].mask, label, by="ann")
            add_correction(store, line)  # type: ignore[arg-type]
            if is_taken_back:
                add_correction(store, withdrawal(line, by="ann"))  # type: ignore[arg-type]
        apply_waiting(store, 1)  # type: ignore[arg-type]

    await database.write(fill)
    (place / "corrections.ndjson").write_bytes(await database.read(export))
    (place / "patterns.ndjson").write_bytes(
        await database.read(lambda store: b"".join(_patterns(store)))
    )
    theirs = msgspec.structs.replace(
        here, corrections=msgspec.structs.replace(
            here.corrections, path=str(place / "corrections.ndjson"))
    )  # fmt: skip
    page = []
    for message, source in records:
        page += await engine.label([message], [source])
    trials = Trials(engine, rulebook, database)
    trials.patience_secs = 0.0
    early = await trials.attempt(name, texts[2])
    trials.patience_secs = PATIENCE_SECS
    trial = await trials.attempt(name, texts[2])
    await trials.close()
    in_force = await rulebook.in_force()
    assert in_force.version == (await read_rules(here, taxonomy)).version
    changed = msgspec.structs.replace(
        theirs, rules=msgspec.structs.replace(here.rules, extra_paths=(str(place / "new"),))
    )
    before, after = await labelled(theirs, records), await labelled(changed, records)
    flips = sum(old.label != new.label for old, new in zip(before, after, strict=True))
    await engine.close()
    await rulebook.close()
    database.close()
    return Found(page, before, early, trial, flips), theirs


def told(found: Backtest) -> tuple[object, ...]:
    """What a page shows of a backtest."""
    flips = [flip for flip in found.matrix if flip.old != flip.new]
    against = [one for one in found.contradictions if one.is_new]
    changes = sorted(found.changes, key=lambda one: one.id)
    return found.records, found.low, found.high, found.held, flips, changes, against


@given(
    base=rules, own=rules, new=rules, records=messages, corrections=said,
    name=st.sampled_from(NAMES),
)  # fmt: skip
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_labels_and_changes_are_those_of_the_sidecar(
    base: list[tuple[str, str, str]],
    own: list[tuple[str, str, str]],
    new: list[tuple[str, str, str]],
    records: list[tuple[str, str]],
    corrections: list[tuple[int, str, bool]],
    name: str,
) -> None:
    texts = (written(base, "base"), written(own, "own"), written(new, "new"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found, theirs = asyncio.run(both(place, name, texts, records, corrections))
        assert [(one.label, one.tier, one.rule) for one in found.page] == [
            (one.label, one.tier, one.rule) for one in found.sidecar
        ]
        assert found.trial.found is not None, found.trial.fault
        # Over records it is exact; over patterns it lies within what is said.
        assert found.trial.is_done
        assert found.trial.found.low <= found.flips <= found.trial.found.high
        if found.early.found is not None:  # not all was compared, and it says so
            assert found.early.found.low <= found.flips <= found.early.found.high
        sides = (SideSpec(), SideSpec(rules=str(place / "new")))
        known = (place / "corrections.ndjson",)
        plan = Plan(str(place / "patterns.ndjson"), *sides, corrections=known)
        assert told(backtest(plan, theirs)) == told(found.trial.found)
