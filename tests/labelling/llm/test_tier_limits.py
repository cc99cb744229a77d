"""What holds a tier back: breaker, budget, key, allowed sources, audit."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from pathlib import Path

import pytest

from tests.labelling.llm.conftest import PROMPT, Opening
from tests.labelling.llm.standin import Fault, Standin
from tests.labelling.llm.tier_rig import WORDS
from tests.patience import patience, until
from tests.taxonomies import TEN, UNCLASSIFIED
from waybill.core.records import Verdict
from waybill.labelling.llm import build
from waybill.labelling.llm.breaker import Breaker
from waybill.labelling.llm.prompt import load_prompt
from waybill.settings.schema import RouteSettings


async def test_the_breaker_opens_and_a_probe_closes_it(
    opening: Opening, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(build, "Breaker", functools.partial(Breaker, clock=lambda: now))
    standin.habit = Fault("status", status=500)
    async with opening(breaker_failures=3, breaker_secs=10) as bench:
        reasons = [(await bench.label(f"{word} failed"))[0][2] for word in WORDS[:6]]
        assert reasons == ["llm_unavailable"] * 3 + ["llm_breaker_open"] * 3
        assert (len(standin.calls), bench.metric("breaker_state", state="open")) == (3, 1)
        now += 10
        assert (await bench.label("golf failed"))[0][2] == "llm_unavailable"
        assert len(standin.calls) == 4
        standin.habit = None
        now += 10
        assert bench.tier.breaker_state == "half_open"
        assert await bench.label("golf failed") == [("Workflow Error", "llm", None)]
        assert bench.metric("breaker_state", state="closed") == 1


async def test_garbage_opens_the_breaker_within_the_configured_failures(
    opening: Opening, standin: Standin
) -> None:
    standin.habit = Fault("text", text="garbage")
    async with opening(breaker_failures=4) as bench:
        found = await bench.label(*(f"{word} failed" for word in WORDS))
        assert {reason for _, _, reason in found} == {"llm_breaker_open"}
    assert 4 <= len(standin.calls) <= 5  # two calls may be under way at once


async def test_retry_after_is_honoured(opening: Opening, standin: Standin) -> None:
    standin.script.append(Fault("status", status=429, retry_after="1.5"))
    async with opening(breaker_failures=1) as bench:
        assert (await bench.label("alpha failed"))[0][2] == "llm_rate_limited"
        assert await bench.label("bravo failed") == [("Workflow Error", "llm", None)]
        assert bench.tier.breaker_state == "closed"
    assert standin.times[1] - standin.times[0] > 1.4


async def test_a_long_retry_after_is_not_waited_for(opening: Opening, standin: Standin) -> None:
    standin.script.append(Fault("status", status=429, retry_after="1000000000"))
    async with opening() as bench:
        await bench.label("alpha failed")
        async with patience():
            assert (await bench.label("bravo failed"))[0][2] == "llm_rate_limited"
    assert len(standin.calls) == 1


async def test_what_a_provider_says_that_it_used_spends_no_more_than_it_can_have(
    opening: Opening, standin: Standin
) -> None:
    usage = {"prompt_tokens": 10**30, "completion_tokens": -(10**30)}
    said = {"choices": [{"message": {"content": "no"}}], "usage": usage}
    fault = Fault("body", text=json.dumps(said), content_type="application/json")
    standin.script.append(fault)
    async with opening(tokens_per_day=100_000) as bench:
        assert (await bench.label("alpha failed"))[0][2] == "llm_bad_answer"
        assert 1000 < bench.metric("tokens_total", direction="in") < 50_000
        assert await bench.label("bravo failed") == [("Workflow Error", "llm", None)]


async def test_the_budget_stops_calls_and_says_so_once(
    opening: Opening, standin: Standin, caplog: pytest.LogCaptureFixture
) -> None:
    async with opening(
        budget_per_day=0.001, price_in=0.5, price_out=0.5, reply_tokens=100
    ) as bench:
        with caplog.at_level(logging.WARNING):
            found = [(await bench.label(f"{word} failed"))[0][2] for word in WORDS]
        calls = found.count(None)
        assert 0 < calls < 20
        assert set(found[calls:]) == {"llm_day_budget"}
        assert len(standin.calls) == calls
        assert bench.metric("cost_total") <= 0.001
        assert bench.metric("refused_total", reason="day_budget") == 20 - calls
    assert [record.message for record in caplog.records] == [
        "the LLM has used up its day; records go on without it"
    ]


async def test_a_restart_does_not_reset_the_day_and_nodes_take_a_share(
    opening: Opening, standin: Standin, tmp_path: Path
) -> None:
    options = {
        "store": str(tmp_path / "s"),
        "tokens_per_day": 12_000,
        "nodes": 4,
        "reply_tokens": 100,
    }
    total = 0
    for _ in range(4):
        async with opening(**options) as bench:
            for word in WORDS[total:]:
                if (await bench.label(f"{word} failed"))[0][2]:
                    break
                total += 1
            used = bench.metric("tokens_total", direction="in") + bench.metric(
                "tokens_total", direction="out"
            )
            assert used <= 3000
    assert 0 < total < 10
    assert len(standin.calls) == total


async def test_without_a_key_nobody_is_asked_and_records_go_on_at_once(
    opening: Opening, standin: Standin
) -> None:
    async with opening() as bench:
        bench.tier._provider._key = lambda: None  # type: ignore[attr-defined]
        async with asyncio.timeout(60):  # 50 times `llm.wait_ms` would be 250 s
            for _ in range(50):
                assert await bench.label("alpha failed") == [(UNCLASSIFIED, "none", "llm_no_key")]
    assert standin.calls == []


async def test_a_new_prompt_asks_anew(opening: Opening, standin: Standin, tmp_path: Path) -> None:
    (tmp_path / "llm.yaml").write_text(
        PROMPT.read_text().replace("You label log lines", "Please label log lines")
    )
    async with opening() as bench:
        await bench.label("alpha failed")
        before = bench.tier.version
        bench.tier.swap_prompt(load_prompt(tmp_path / "llm.yaml", TEN))
        bench.pipeline.swap_tier(bench.tier)
        (verdict,) = await bench.pipeline.label(["alpha failed"], ["LegacyCRM"])
        assert verdict.rule == bench.tier.version != before
    assert len(standin.calls) == 2


async def test_only_allowed_sources_leave(opening: Opening, standin: Standin) -> None:
    routes = (RouteSettings(("Legacy*",), ("llm",), ("Workflow Error",)), RouteSettings(("*",)))
    async with opening(routes, sources=["LegacyCRM"]) as bench:
        assert await bench.label("alpha failed", source="LegacyERP") == [
            (UNCLASSIFIED, "none", "llm_source_not_allowed")
        ]
        assert await bench.label("alpha failed", source="shop") == [
            (UNCLASSIFIED, "none", "undecided")
        ]
        assert standin.calls == []
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]


async def test_a_record_of_nothing_but_placeholders_is_not_asked_about(
    opening: Opening, standin: Standin
) -> None:
    async with opening() as bench:
        assert (
            await bench.label("10.0.0.1 42 !!", "7 %")
            == [(UNCLASSIFIED, "none", "llm_nothing_to_read")] * 2
        )
        assert await bench.label("") == [(UNCLASSIFIED, "none", "no_message")]
    assert standin.calls == []


async def test_the_audit_log_holds_exactly_what_left(
    opening: Opening, standin: Standin, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    async with opening(audit=str(file), audit_bytes=3000) as bench:
        await bench.label("alpha failed")
        await bench.label("bravo failed")
    kept = [json.loads(path.read_text()) for path in (tmp_path / "audit.jsonl.1", file)]
    assert [(one["system"], one["user"]) for one in kept] == [
        (call["system"], call["user"]) for call in standin.calls
    ]
    assert file.stat().st_mode & 0o777 == 0o600


async def test_what_cannot_be_recorded_does_not_leave(
    opening: Opening, standin: Standin, tmp_path: Path
) -> None:
    async with opening(audit=str(tmp_path)) as bench:
        assert await bench.label("alpha failed") == [(UNCLASSIFIED, "none", "llm_audit")]
    assert standin.calls == []


async def test_a_store_that_fails_costs_money_but_no_label(
    opening: Opening, standin: Standin, tmp_path: Path
) -> None:
    async with opening(store=str(tmp_path / "s")) as bench:
        await bench.tier._store.close()
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]
        await until(lambda: bench.metric("store_errors_total", reason="closed") >= 2)


async def test_closing_answers_everything_that_was_accepted(
    opening: Opening, standin: Standin
) -> None:
    standin.habit = Fault("hang")
    async with opening(wait_ms=5000) as bench:
        waiting = [asyncio.ensure_future(bench.label(f"{word} failed")) for word in WORDS]
        await until(lambda: standin.calls)
        await bench.tier.close()
        assert {found[0] for found in await asyncio.gather(*waiting)} == {
            (UNCLASSIFIED, "none", "llm_closed")
        }
        assert await bench.label("zulu failed") == [(UNCLASSIFIED, "none", "llm_closed")]


async def test_a_later_tier_is_not_asked_while_an_earlier_is_busy(
    opening: Opening, standin: Standin
) -> None:
    class Busy:
        name, version, wait_secs, most_texts = "model", "m@1", 0.01, 1000

        def submit(self, texts: list[str], route: object) -> list[asyncio.Future[Verdict | None]]:
            return [asyncio.get_running_loop().create_future() for _ in texts]

    routes = (RouteSettings(("*",), ("model", "llm")),)
    async with opening(routes) as bench:
        bench.pipeline.swap_tier(Busy())  # type: ignore[arg-type]
        assert await bench.label("alpha failed") == [(UNCLASSIFIED, "pending", "model_over_budget")]
    assert standin.calls == []


async def test_any_server_that_speaks_the_chat_api_will_do(
    opening: Opening, standin: Standin
) -> None:
    async with opening(base_url=standin.url + "/v1", model="llama") as bench:
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]
        assert bench.tier.version.startswith("llama@")
    assert standin.raw[0].startswith("POST /v1/chat/completions ")
    assert "reasoning_effort" not in standin.calls[0]["body"]


async def test_a_proxy_is_used_when_it_is_configured(
    opening: Opening, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with opening(base_url="http://nowhere.invalid", proxy=standin.url) as bench:
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]
    async with opening() as bench:
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]


async def test_an_error_that_nobody_has_thought_of_costs_its_records_the_label_only(
    opening: Opening, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.core.again._REST_SECS", 0.01)
    async with opening() as bench:
        for owner, name in ((bench.tier, "_look_up"), (bench.tier._caller, "ask")):
            with monkeypatch.context() as patch:

                def explode(*_: object) -> None:
                    raise ZeroDivisionError

                patch.setattr(owner, name, explode)
                assert await bench.label(f"{name} failed") == [(UNCLASSIFIED, "none", "llm_failed")]
            assert await bench.label(f"{name} failed") == [("Workflow Error", "llm", None)]
