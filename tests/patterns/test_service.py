"""Patterns of a running service, as they are asked for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import Running, Sidecar
from tests.labelling.llm.test_privacy import CORPUS, traces
from waybill.core.pattern import Pattern, decode, pattern_id
from waybill.labelling.masking import mask

RULES = """rules:
- {id: full, label: Resource Usage, pattern: 'disk [0-9]+ is full'}
- {id: slow, label: Error, pattern: 'took [5-9][0-9]+ ms'}
- {id: fast, label: System Notification, pattern: 'took [0-9]+ ms'}
"""
EXACT = "patterns.sample_every=1"


@pytest.fixture(name="rules")
def _rules(tmp_path: Path) -> str:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one.yaml").write_text(RULES)
    return f"rules.path={tmp_path}/rules"


async def label(sidecar: Sidecar, *records: tuple[str, str]) -> None:
    body = json.dumps([{"source": source, "log": message} for source, message in records])
    status, _, _ = await sidecar.post(body.encode())
    assert status == 200


async def patterns(sidecar: Sidecar, query: str = "") -> list[Pattern]:
    status, body = await sidecar.get(f"/v1/patterns?{query}")
    assert status == 200, body
    return [decode(line) for line in body.splitlines()]


async def test_patterns_tell_what_is_said_and_decided(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT) as sidecar:
        disks = [("db", f"disk {i} is full") for i in range(9)]
        await label(sidecar, *disks, ("web", "disk 7 is full"), ("web", "no idea"))
        first, last = await patterns(sidecar, "order=count")
        assert (first.id, first.mask) == (pattern_id("disk 0 is full"), "disk 0 is full")
        assert (first.count, first.error) == (10, 0)
        assert first.sources == {"db": 9, "web": 1}
        (share,) = first.verdicts
        assert (share.label, share.tier, share.rule, share.count) == (
            "Resource Usage",
            "rule",
            "full",
            10,
        )
        assert len(first.examples) == 3
        assert last.kind == "not_asked"
        (found,) = await patterns(sidecar, f"id={first.id}")
        assert found == first


async def test_one_mask_may_have_several_verdicts(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT) as sidecar:
        await label(sidecar, ("s", "took 3 ms"), ("s", "took 4 ms"), ("s", "took 90 ms"))
        (one,) = await patterns(sidecar)
        assert one.is_mixed
        assert [(share.rule, share.count) for share in one.verdicts] == [("fast", 2), ("slow", 1)]
        assert "took 90 ms" in one.examples
        assert len(await patterns(sidecar, "label=Error")) == 1
        assert await patterns(sidecar, "label=User+Action") == []


async def test_pages_give_every_pattern_once(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT) as sidecar:
        words = [f"{a}{b}" for a in "bcdfg" for b in "klmnp"]
        await label(sidecar, *(("s", f"said {word}") for word in words))
        for order in ("need", "count", "new", "id"):
            seen: list[str] = []
            cursor = ""
            while True:
                path = f"/v1/patterns?limit=4&order={order}&after={cursor}"
                async with sidecar.client.get(sidecar.service.address + path) as reply:
                    assert reply.headers["Waybill-Workers"] == "1/1"
                    seen += [decode(line).mask for line in (await reply.read()).splitlines()]
                    cursor = reply.headers.get("Waybill-Cursor", "")
                if not cursor:
                    break
            assert sorted(seen) == sorted(f"said {word}" for word in words)


async def test_sources_tell_their_labels(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT) as sidecar:
        records = [("db", "disk 1 is full")] * 3 + [("db", "hm"), ("10.1.2.3", "hm")]
        await label(sidecar, *records, ("", "hm"))
        _, body = await sidecar.get("/v1/sources?limit=2")
        told = json.loads(body)
        assert [one["source"] for one in told["sources"]] == ["db", "10.1.2.3"]
        assert told["sources"][0]["labels"] == {"Resource Usage": 3, "Unclassified": 1}
        assert told["sources"][0]["kinds"] == {"decided": 3, "not_asked": 1}
        assert told["other"]["records"] == 1


REFUSED = (
    "limit=0",
    "limit=1001",
    "limit=x",
    "limit=%C2%B2",
    "after=x",
    "after=1_2_3",
    f"after={'9' * 400}",
    "order=up",
    "since=never",
    "since=nan",
    "since=9999-99-99",
    "undecided=maybe",
    "colour=red",
)


async def test_what_cannot_be_understood_is_refused(running: Running, rules: str) -> None:
    async with running("model.path=null", rules) as sidecar:
        for query in REFUSED:
            status, body = await sidecar.get(f"/v1/patterns?{query}")
            assert (status, json.loads(body)["reason"]) == (400, "fields"), query


async def test_what_is_new_is_told_once_and_outlives_a_restart(
    running: Running, rules: str, tmp_path: Path
) -> None:
    settings = ("model.path=null", rules, f"patterns.path={tmp_path}/known")
    name = "waybill_patterns_new_total"
    async with running(*settings, "patterns.learn_secs=3600") as sidecar:
        await label(sidecar, ("db", "disk 1 is full"))
        assert sidecar.metric(name, label="Resource Usage") == 0
    await asyncio.sleep(1.1)  # moments of patterns are whole seconds
    async with running(*settings, "patterns.learn_secs=0.000001") as sidecar:
        await label(sidecar, ("db", "disk 2 is full"), ("db", "took 99 ms"), ("db", "took 98 ms"))
        assert sidecar.metric(name, label="Resource Usage") == 0
        assert sidecar.metric(name, label="Error") == 1
        assert len(await patterns(sidecar, "order=new&since=-3600")) == 2
        assert await patterns(sidecar, f"since={10**10}") == []


async def test_patterns_can_be_off(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, "patterns.enabled=false") as sidecar:
        await label(sidecar, ("db", "disk 1 is full"))
        assert (await sidecar.get("/v1/patterns"))[0] == 404
        assert sidecar.metric("waybill_patterns") == 0


async def test_metrics_name_the_sources_that_have_most(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT, "patterns.named_sources=1") as sidecar:
        many = [("\u00fcber\ud800", "disk 1 is full")] * 1100
        await label(sidecar, *many, ("db", "disk 1 is full"))
        status, body = await sidecar.get("/metrics")
        assert status == 200
        assert b'waybill_source_records_total{label="Resource Usage",source="\xc3\xbcber' in body
        assert b'label="Resource Usage",source="other"} 1' in body


async def test_no_planted_secret_leaves(running: Running, rules: str, tmp_path: Path) -> None:
    settings = ("model.path=null", rules, EXACT, f"patterns.path={tmp_path}/known")
    async with running(*settings) as sidecar:
        await label(sidecar, *((line[:200], line) for line, _ in CORPUS))
        told = b""
        for path in ("/v1/patterns?limit=1000", "/v1/sources?limit=200", "/metrics", "/readyz"):
            told += (await sidecar.get(path))[1]
    told += (tmp_path / "known").read_bytes()
    text = told.decode("utf-8", "replace")
    leaked = {
        trace
        for _, secrets in CORPUS
        for secret in secrets
        for trace in traces(secret)
        if trace in text and trace not in _KNOWN_WORDS
    }
    assert leaked == set()


#: Parts of secrets that are words of the answers themselves.
_KNOWN_WORDS = frozenset(("User", "source"))


async def test_examples_can_be_left_out(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT, "patterns.examples=none") as sidecar:
        await label(sidecar, ("db", "disk 4711 is full"))
        assert b"4711" not in (await sidecar.get("/v1/patterns"))[1]


async def test_a_mask_that_holds_a_secret_says_that_it_is_cleaned(
    running: Running, rules: str
) -> None:
    line = "login of eve@example.com failed"
    async with running("model.path=null", rules, EXACT) as sidecar:
        await label(sidecar, ("db", line), ("db", "plain words"))
        found = {one.id: one for one in await patterns(sidecar)}
        cleaned = found[pattern_id(mask(line))]
        assert cleaned.is_cleaned
        assert "eve" not in cleaned.mask
        assert not found[pattern_id("plain words")].is_cleaned


async def test_a_source_may_hold_anything(running: Running, rules: str) -> None:
    async with running("model.path=null", rules, EXACT) as sidecar:
        await label(sidecar, ("a&b=c ü%", "disk 1 is full"), ("x", "disk 2 is full"), ("x", "hm"))
        assert len(await patterns(sidecar, f"source={quote('a&b=c ü%')}")) == 1
