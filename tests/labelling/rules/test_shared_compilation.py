"""Who asks for the same rules at the same time waits for the same child."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.patience import until
from waybill.core.child import Ended, run_child
from waybill.core.errors import RuleSetError
from waybill.labelling.rules import loading
from waybill.labelling.rules.artefact import EXIT_FAULTS
from waybill.labelling.rules.files import RuleFile
from waybill.service.reading_rules import compile_ahead, read_rules
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels

_LABELS = ("Error", "Unclassified")
_TEXT = "rules: [{id: %s, label: Error, pattern: boom}]"


class _Child:
    """In place of the child: counts its runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.killed = 0
        self.may_end = asyncio.Event()
        self.code = 0

    async def __call__(self, *_: object, **__: object) -> Ended:
        self.runs += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.killed += 1
            raise
        return Ended(self.code, b"\x90", b"")


@pytest.fixture
async def child(monkeypatch: pytest.MonkeyPatch) -> _Child:
    child = _Child()
    monkeypatch.setattr(loading, "run_child", child)
    monkeypatch.setattr(loading, "_compiled", {})
    return child


def _ask(name: str = "one") -> asyncio.Task[object]:
    files = [RuleFile(f"{name}.yaml", (_TEXT % name).encode())]
    return asyncio.create_task(loading.compile_rules(files, labels=_LABELS))


async def test_one_child_serves_all_and_a_fault_reaches_all(child: _Child) -> None:
    asked = [_ask(), _ask(), _ask("other")]
    await until(lambda: child.runs == 2)
    child.code = EXIT_FAULTS
    child.may_end.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuleSetError] * 3
    assert (child.runs, loading._under_way) == (2, {})


async def test_however_many_ask_a_few_children_run_at_once(child: _Child) -> None:
    """Each has 25 MB: twenty-four small forms had 578 MB in 24 processes."""
    asked = [_ask(f"rule-{i}") for i in range(30)]
    await until(lambda: child.runs == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    assert child.runs == 2
    asked[-1].cancel()  # it has not begun
    child.code = EXIT_FAULTS
    child.may_end.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:-1]] == [RuleSetError] * 29
    assert (child.runs, child.killed, loading._under_way) == (29, 0, {})


async def test_the_child_is_ended_when_the_last_one_leaves(child: _Child) -> None:
    first, second = _ask(), _ask()
    await until(lambda: child.runs == 1)
    first.cancel()
    await asyncio.wait([first])
    assert child.killed == 0
    second.cancel()
    await asyncio.wait([second])
    assert child.killed == 1  # and not some time later, when no loop may run any more
    assert loading._under_way == {}


async def test_what_was_compiled_ahead_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    async def counted(*args: Any, **options: Any) -> Ended:
        runs.append(args)
        return await run_child(*args, **options)

    monkeypatch.setattr(loading, "run_child", counted)
    text = "rules:\n- {id: boom, label: Error, pattern: boom, match: [boom]}\n"
    (tmp_path / "one.yaml").write_text(text)
    settings = load_settings(None, [f"rules.path={tmp_path}"])
    ahead = asyncio.create_task(compile_ahead(settings))
    await until(lambda: runs)
    rules = await read_rules(settings, read_labels(settings.labels.path))
    await ahead
    assert [rule.id for rule in rules.rules] == ["boom"]
    assert len(runs) == 1


async def test_faults_are_left_to_whoever_reads_the_rules(tmp_path: Path) -> None:
    settings = load_settings(None, [f"rules.path={tmp_path}"])
    await compile_ahead(settings)
    with pytest.raises(RuleSetError):
        await read_rules(settings, read_labels(settings.labels.path))
