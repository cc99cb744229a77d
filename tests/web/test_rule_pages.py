"""The rule pages: what each rule does, drafts that outlive a restart, an edition that moved on."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.web.conftest import Client, opened, pattern, settings_for, share
from waybill.core.pattern import Guess, pattern_id
from waybill.service.opening import Opened
from waybill.web.ruletext import in_shadow, rule_ids, rules_of, with_mode, with_modes

ORDER = "order <id> rejected by partner 0"
OWN = """rules:
  # ours
  - id: order-shadow
    mode: shadow
    label: Workflow Error
    pattern: 'order \\w+ rejected'
  - id: order-first
    label: Error
    pattern: 'zzz never'
"""
NEW = OWN + "  - id: partner\n    label: Error\n    pattern: 'rejected by partner'\n"


@pytest.fixture(name="own")
async def _own(tmp_path: Path) -> AsyncIterator[tuple[Client, Path]]:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "10-own.yaml").write_text(OWN)
    settings = settings_for(tmp_path, folder=str(folder), apply="folder")
    rules = msgspec.structs.replace(settings.rules, extra_paths=(str(folder),))
    async with opened(msgspec.structs.replace(settings, rules=rules)) as client:
        now = time.time()
        await client.put(
            pattern(ORDER, at=now, count=700),
            pattern("zzz <id>", share("Error", 9), count=9, at=now),
        )
        yield client, folder / "10-own.yaml"


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None
    return found[1]


async def test_rules_say_what_they_match_and_would_change(own: tuple[Client, Path]) -> None:
    client, _ = own
    _, text = await client.get("/rules?file=10-own.yaml")
    assert "2 of " in text
    assert "would change 700/day" in text
    assert "rule=order-shadow&amp;mode=enforce" in text
    assert text.count('name="rule" value="order-') == 2
    _, text = await client.get("/rules?state=early&file=10-own.yaml")
    assert "order-first" in text
    assert "order-shadow" not in text


async def test_a_trial_is_a_matrix_with_groups_and_what_to_look_out_for(
    own: tuple[Client, Path],
) -> None:
    client, _ = own
    form = {"file": "10-own.yaml", "text": NEW, "do": "try"}
    _, text = await client.send("/rules/edit", form)
    assert "Very broad" in text
    assert "0 of 1 groups viewed" in text
    assert pattern_id(ORDER) in text
    draft = hidden(text, "draft")
    mark = re.search(r'data-group="([^"]*)" data-mark="([^"]*)"', text)
    assert mark is not None
    fields = {"group": mark[1], "mark": mark[2], "on": "1"}
    await client.send(f"/drafts/{draft}/viewed", fields)
    _, text = await client.send("/rules/edit", {**form, "draft": draft})
    assert "1 of 1 groups viewed" in text
    await client.put(pattern("half rejected by partner <id>", at=time.time()))
    _, text = await client.send("/rules/edit", {**form, "draft": draft})
    assert "0 of 1 groups viewed" in text


async def test_a_trial_that_takes_long_is_shown_as_far_as_it_is(own: tuple[Client, Path]) -> None:
    client, _ = own
    client.running.bench.trials.patience_secs = 0.0
    form = {"file": "10-own.yaml", "text": NEW, "do": "try"}
    _, text = await client.send("/rules/edit", form)
    found = re.search(r'hx-get="(/-/trials/[^"?]+)', text)
    assert found is not None
    async with asyncio.timeout(60):
        while "All patterns are compared" not in text:
            assert "The rest follows here" in text
            _, text = await client.get(f"{found[1]}?part=progress")
    _, text = await client.get(found[1])
    assert "Very broad" in text
    assert "The rest follows here" not in text
    _, text = await client.get("/-/trials/unknown")
    assert "This trial is no longer kept" in text
    trials = client.running.bench.trials
    loop = trials._loop
    assert loop is not None
    under_way = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop)
    await trials.close()
    assert under_way.cancelled()


async def test_an_edition_that_moved_on_is_refused_and_rebased(own: tuple[Client, Path]) -> None:
    client, file = own
    _, text = await client.get("/rules/edit?file=10-own.yaml")
    base = hidden(text, "base")
    file.write_text(OWN + "# bob was here\n")
    form = {"file": "10-own.yaml", "text": NEW, "base": base}
    status, text = await client.send("/rules/edit", {**form, "do": "apply"})
    assert status == 409
    assert "Rebase and try again" in text
    assert "bob was here" in file.read_text()
    _, text = await client.send("/rules/edit", {**form, "do": "rebase"})
    assert "bob was here" in text
    # What it changes has become more since it was tried.
    await client.put(pattern("half rejected by partner <id>", at=time.time(), count=300))
    form = {**form, "base": hidden(text, "base"), "shown": hidden(text, "shown"), "do": "apply"}
    _, text = await client.send("/rules/edit", form)
    assert "Patterns that change: 1 when it was tried, 2 now" in text
    assert "bob was here" in file.read_text()
    await client.send("/rules/edit", {**form, "shown": hidden(text, "shown")})
    assert file.read_text() == NEW


async def test_shadow_is_one_click_and_enforce_is_tried_first(own: tuple[Client, Path]) -> None:
    client, file = own
    _, text = await client.get("/rules/edit?file=10-own.yaml")
    form = {"file": "10-own.yaml", "text": NEW, "base": hidden(text, "base"), "do": "shadow"}
    await client.send("/rules/edit", form)
    assert "- id: partner\n    mode: shadow\n" in file.read_text()
    text = file.read_text().replace("order-first", "order-last")
    base = hidden((await client.get("/rules/edit?file=10-own.yaml"))[1], "base")
    _, page = await client.send("/rules/edit", {**form, "base": base, "text": text})
    assert "Not applied: rule order-first is in force" in page
    assert "order-last" not in file.read_text()
    _, text = await client.get("/rules/edit?rule=order-shadow&mode=enforce")
    assert "700 of" in text


async def test_a_draft_begins_with_the_label_that_somebody_said(own: tuple[Client, Path]) -> None:
    client, _ = own
    where = f"/rules/edit?from={pattern_id(ORDER)}"
    _, text = await client.get(where)
    assert "label: Workflow Error\n  pattern: " in text  # the guess
    await client.send(f"/patterns/{pattern_id(ORDER)}/correct", {"label": "Security Alert"})
    _, text = await client.get(where)
    assert "label: Security Alert\n  pattern: " in text
    await client.put(pattern("told elsewhere <id>", guess=Guess("Of another taxonomy", 0.9)))
    _, text = await client.get(f"/rules/edit?from={pattern_id('told elsewhere <id>')}")
    assert "Of another taxonomy" not in text


async def test_several_rules_change_their_mode_in_one_go(own: tuple[Client, Path]) -> None:
    client, file = own
    _, text = await client.get("/rules/edit?rule=order-shadow&rule=order-first&mode=shadow")
    assert text.count("mode: shadow") >= 2
    assert 'id="trial-head"' in text
    assert file.read_text() == OWN
    for query, words in {
        "rule=disk&mode=shadow": "Choose rules of your own files",
        "mode=enforce": "Choose rules of your own files",
    }.items():
        assert words in (await client.get(f"/rules/edit?{query}"))[1]
    two = {"a.yaml": OWN, "b.yaml": "rules: [{id: b, label: Error, pattern: b}]"}
    assert "one file" in with_modes(two, ["order-first", "b"], "shadow")[2]
    assert with_modes(two, ["b"], "enforce") == ("b.yaml", two["b.yaml"], "")


async def test_a_draft_outlives_the_process_and_can_be_thrown_away(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with opened(settings) as client:
        _, told = await client.send("/drafts", {"file": "a.yaml", "text": "rules: []", "base": "x"})
        assert told.startswith('{"draft": 1, ')
    async with opened(settings) as client:
        _, text = await client.get("/drafts/1")
        assert "rules: []" in text
        assert "have changed since" in text
        await client.send("/drafts/1/discard", {})
        _, text = await client.get("/drafts/1")
        assert "This draft is gone" in text


def test_a_mode_is_put_into_one_rule_and_nothing_else_moves() -> None:
    assert rule_ids(OWN) == ["order-shadow", "order-first"]
    enforced = OWN.replace("    mode: shadow\n", "")
    assert with_mode(OWN, ["order-shadow"], "") == (enforced, "")
    assert with_mode(enforced, ["order-shadow"], "shadow") == (OWN, "")
    both, _ = with_mode(enforced, ["order-first", "order-shadow"], "shadow")
    assert [one["mode"] for one in rules_of(both).values()] == ["shadow"] * 2
    assert with_mode(both, ["order-shadow", "order-first"], "") == (enforced, "")
    for text in (OWN, "a: ["):
        assert with_mode(text, ["nobody"], "shadow") == (text, "nobody")
    assert rule_ids("a: [") == []


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n- {id: new, label: Error, pattern: 'a, b'}\n",
        "rules:\n  - label: Error\n    id: 'new'  # mine\n    pattern: a\n",
        "rules: [{id: new, label: Error, pattern: a}]\n",
        '{"rules": [{"id": "new", "label": "Error", "pattern": "a"}]}',
        "rules:\n- id: new\n",
        "rules:\n-\n  id: new\n  label: Error\n",
        "rules:\n- mode: enforce\n  id: new\n  label: Error\n",
        "rules:\n- {mode: enforce, id: new, label: Error}\n",
        "\ufeffrules:\r\n- id: new\r\n  label: Error\r\n",
        "rules:\n- id: other\n  label: Error\n  match: ['id: new']\n- id: new\n  label: Error",
    ],
)
def test_a_new_rule_is_in_shadow_however_it_is_written(text: str) -> None:
    before = rules_of(text)
    changed, fault = in_shadow("", text)
    assert not fault
    assert {name: rule | {"mode": "shadow"} for name, rule in before.items()} == rules_of(changed)
    enforced, odd = with_mode(changed, ["new"], "")
    assert not odd
    assert rules_of(enforced)["new"].get("mode", "enforce") == "enforce"


def test_what_shadow_mode_would_not_hold_back_is_said() -> None:
    for text in (OWN, "rules: []\n", "# nothing\n"):
        assert "has none" in in_shadow(text, text)[1]
    assert "rule order-first is in force" in in_shadow(OWN, NEW.replace("first", "last"))[1]
    assert "rule order-shadow is in force" in in_shadow(OWN, "rules: []\n")[1]
    assert in_shadow(OWN, "rules: [") == ("rules: [", "")
    merged = "x: &x {id: new, label: Error}\nrules: [*x]\n"
    assert "mode: shadow" in in_shadow("", merged)[1] or "mode: shadow" in in_shadow("", merged)[0]


async def test_a_page_does_not_wait_for_rules_that_are_being_read(
    own: tuple[Client, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = own
    engine = client.running.bench.engine
    is_read = asyncio.Event()
    opened_ones = engine.opened

    async def slowly() -> Opened:
        await is_read.wait()
        return await opened_ones()

    monkeypatch.setattr(engine, "opened", slowly)
    monkeypatch.setattr(client.running.bench.rule_stats, "patience_secs", 0.0)
    _, text = await client.get("/rules")
    assert "The rules are being read" in text
    is_read.set()
    monkeypatch.setattr(client.running.bench.rule_stats, "patience_secs", 60.0)
    _, text = await client.get("/rules?file=10-own.yaml")
    assert "being read" not in text
    assert "2 of " in text


async def test_own_rules_stand_where_a_sidecar_reads_them(own: tuple[Client, Path]) -> None:
    client, file = own
    book = client.running.bench.rulebook
    rules = await book.in_force()
    first = [rule.id for rule in rules.rules[:2]]
    assert first == ["order-shadow", "order-first"]
    said = await book.check(file.name, NEW)
    assert said.compiled is not None
    assert [rule.id for rule in said.compiled.rules[:3]] == [*first, "partner"]
    twin = await book.check("20-twin.yaml", OWN)
    assert all("duplicate" in str(fault) or "20-twin" in str(fault) for fault in twin.faults)
    assert twin.faults


async def test_rules_are_found_by_words_and_sorted_by_what_they_decide(
    own: tuple[Client, Path],
) -> None:
    client, _ = own
    for words, ids in {
        "workflow": ["order-shadow"],
        "ORDER rejected": ["order-shadow"],
        "10-own zzz": ["order-first"],
        "critical disk": ["disk"],
        "zzz login": [],
    }.items():
        _, text = await client.get(f"/rules?q={words.replace(' ', '+')}")
        found = re.findall(r'<td><a href="[^"]*rule=([a-z-]+)', text)
        assert found == ids, words
    assert "No rule matches." in text
    assert 'class="facet"' not in text  # the numbers are those of what is looked for
    now = time.time()
    await client.put(pattern("disk 0 is full", share("Error", 90), count=90, at=now))
    client.running.bench.rule_stats._kept = None
    _, text = await client.get("/rules?sort=-day")
    assert re.findall(r'<td><a href="[^"]*rule=([a-z-]+)', text)[0] == "disk"
    assert "they are tried in another order" in text


async def test_rules_come_page_by_page(own: tuple[Client, Path]) -> None:
    client, file = own
    many = "".join(
        f"  - {{id: r{n}, label: Error, pattern: 'thing{n} broke'}}\n" for n in range(450)
    )
    file.write_text(OWN + many)
    seen: list[str] = []
    path, pages = "/rules", 0
    while path:
        _, text = await client.get(path)
        seen += re.findall(r'id="rule-(\d+)"', text)
        following = re.search('rel="next" href="([^"]*)"', text)
        path, pages = (html.unescape(following[1]) if following else ""), pages + 1
    assert (pages, len(seen)) == (3, len(set(seen)))
    assert f"of {len(seen)} rules" in text
    for nonsense in ("from=9999", "from=-1", "from=x", "from=%C2%B2"):
        _, text = await client.get(f"/rules?{nonsense}")
        assert "1 to 200 of" in text
