"""What a batch may cost the event loop and the memory, whatever its sources and messages are."""

from __future__ import annotations

import fnmatch
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import allowed
from tests.gaps import gaps
from tests.taxonomies import LABELS, TEN
from waybill.core.batch import MAX_SOURCE_CHARS
from waybill.labelling import groups
from waybill.labelling.groups import MAX_GROUPS
from waybill.labelling.memo import BoundedMap
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.scopes import GlobIndex
from waybill.labelling.slices import slices
from waybill.settings.sources import load_settings

#: About the longest piece of work, in seconds of processor time.
WORST = 0.05
GLOBS = {
    "beginnings": ["team{i}-*", "app{i}-*"],
    "ends": ["*-team{i}", "*.app{i}"],
    "middles": ["*-team{i}-*"],
    "names": ["team{i}"],
    "sets": ["[a-c]team{i}*"],
}


async def pipeline_of(folder: Path, globs: list[list[str]]) -> Pipeline:
    lines = ["rules:"]
    for i, scope in enumerate(globs):
        where = ", ".join(f"'{glob}'" for glob in scope)
        lines.append(
            f"- {{id: r{i}, label: Error, pattern: 'zz{i} failed', where: {{source: [{where}]}}}}"
        )
    (folder / "rules.yaml").write_text("\n".join(lines))
    rules = await load_ruleset([folder], labels=LABELS)
    settings = load_settings(environ={})
    return Pipeline(settings, rules, {}, taxonomy=TEN)


GLOB = st.text("ab*?[]!-", min_size=1, max_size=6)


@given(globs=st.lists(GLOB, max_size=8), names=st.lists(st.text("ab-]", max_size=6), max_size=8))
def test_the_index_finds_what_fnmatch_finds(globs: list[str], names: list[str]) -> None:
    index = GlobIndex(globs)
    for name in names:
        expected = {i for i, glob in enumerate(globs) if fnmatch.fnmatchcase(name, glob)}
        assert index.fitting(name) == expected


@pytest.mark.parametrize("kind", GLOBS)
async def test_new_sources_and_many_rules_with_where_do_not_stop_the_loop(
    tmp_path: Path, kind: str
) -> None:
    globs = [[glob.format(i=i) for glob in GLOBS[kind]] for i in range(300)]
    pipeline = await pipeline_of(tmp_path, globs)
    sources = [f"pod-{i}-{i * 7919 % 65536:x}" for i in range(4096)]
    async with gaps() as found:
        await pipeline.label(["hello world"] * len(sources), sources)
    assert found.worst < allowed(WORST)


async def test_the_same_rules_decide_with_and_without_a_table(tmp_path: Path) -> None:
    pipeline = await pipeline_of(tmp_path, [["team1-*"], ["*-db"], ["*"]])
    verdicts = await pipeline.label(
        ["zz0 failed", "zz0 failed", "zz1 failed", "zz2 failed"],
        ["team1-x", "team2-x", "team1-db", "any"],
    )
    assert [verdict.rule for verdict in verdicts] == ["r0", None, "r1", "r2"]


async def test_a_source_of_any_length_is_remembered_by_its_beginning(tmp_path: Path) -> None:
    pipeline = await pipeline_of(tmp_path, [["team*"]])
    for i in range(200):
        sources = [f"team-{i}-" + "x" * 100_000, f"{i}" * 50_000]
        verdicts = await pipeline.label(["zz0 failed"] * 2, sources)
        assert [verdict.rule for verdict in verdicts] == ["r0", None]
    groups = pipeline.edition.groups
    assert max(map(len, groups)) <= MAX_SOURCE_CHARS
    assert len(groups.distinct) == 2


async def test_of_all_sources_a_bounded_number_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MAX_SOURCES", 50)
    pipeline = await pipeline_of(tmp_path, [["team*"]])
    for batch in range(5):
        sources = [f"{kind}-{batch}-{i}" for kind in ("team", "other") for i in range(30)]
        verdicts = await pipeline.label(["zz0 failed"] * 60, sources)
        assert [verdict.rule for verdict in verdicts] == ["r0"] * 30 + [None] * 30
        assert len(pipeline.edition.groups) <= 50


async def test_combinations_of_globs_are_bounded_and_share_one_memo(tmp_path: Path) -> None:
    names = [f"n{i}x" for i in range(20)]
    pipeline = await pipeline_of(tmp_path, [[f"*-{name}-*"] for name in names])
    pick = random.Random(1)
    for batch in range(4):
        sources = [
            "-" + "--".join(name for name in names if pick.random() < 0.5) + "-"
            for _ in range(1000)
        ]
        messages = [f"message {batch} {i} " + "y" * 2000 for i in range(1000)]
        async with gaps() as found:
            await pipeline.label(messages, sources)
        assert found.worst < allowed(2 * WORST)
    groups = pipeline.edition.groups.distinct.values()
    assert len(groups) <= MAX_GROUPS
    kept = sum(len(key) for group in groups for key in group.exact.recent)
    assert kept <= load_settings(environ={}).memo.bytes


async def test_large_messages_are_cut_into_slices(tmp_path: Path) -> None:
    pipeline = await pipeline_of(tmp_path, [["*"]])
    text = "error failed user login from port connection refused status=200 10.0.0.1 " * 800
    messages = [f"{i} {text}" for i in range(500)]
    async with gaps() as found:
        await pipeline.label(messages, ["s"] * len(messages))
    assert found.worst < allowed(WORST)


@given(sizes=st.lists(st.none() | st.integers(0, 30), max_size=60), most=st.integers(1, 20))
def test_slices_cover_everything_in_order(sizes: list[int | None], most: int) -> None:
    messages = [None if size is None else "x" * size for size in sizes]
    found = list(slices(messages, lambda: most, 40))
    assert [i for start, stop in found for i in range(start, stop)] == list(range(len(sizes)))
    for start, stop in found:
        assert stop - start <= most
        weights = [len(message or "") for message in messages[start:stop]]
        assert sum(weights[:-1]) <= 40


def test_a_map_that_gets_smaller_forgets_at_once() -> None:
    kept: BoundedMap[int] = BoundedMap(1 << 20)
    for i in range(2000):
        kept.put(str(i), i)
    kept.resize(1 << 12)
    assert len(kept) == 0
    kept.put("a", 1)
    assert kept.get("a") == 1
