"""The LLM tier behind a whole sidecar: shipper, HTTP, stand-in."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import Running, Sidecar
from tests.labelling.llm.standin import Fault, Standin
from tests.labelling.llm.tier_rig import SEED, TEMPLATES
from tests.patience import patience, until
from waybill.core.errors import ConfigError

pytestmark = pytest.mark.e2e
PROMPT = Path(__file__).parents[2] / "config" / "llm.yaml"


def llm(standin: Standin, tmp_path: Path, *more: str) -> Sequence[str]:
    """Overrides for a sidecar whose LLM is ``standin``."""
    key = tmp_path / "key"
    if not key.exists():
        key.write_text("first-key\n")
    return (
        "llm.provider=groq",
        f"llm.base_url={standin.url}",
        f"llm.api_key_file={key}",
        f"llm.store={tmp_path / 'llm.sqlite'}",
        "llm.requests_per_minute=1000",
        "llm.poll_secs=0.1",
        "model.path=null",
        *more,
    )


async def label(sidecar: Sidecar, source: str, *messages: str) -> list[dict[str, object]]:
    body = "\n".join(json.dumps({"source": source, "log": message}) for message in messages)
    status, answer, _ = await sidecar.post(body.encode(), Content_Type="application/x-ndjson")
    assert status == 200
    return [json.loads(line) for line in answer.splitlines()]


async def ready(sidecar: Sidecar) -> dict[str, object]:
    status, body = await sidecar.get("/readyz")
    assert status == 200
    return json.loads(body)["llm"]  # type: ignore[no-any-return]


async def test_the_classic_lines_leave_as_correct_requests_and_come_back_labelled(
    running: Running, tmp_path: Path
) -> None:
    async with Standin().running() as standin, running(*llm(standin, tmp_path)) as sidecar:
        records = await label(sidecar, "LegacyCRM", *(line for line, _ in SEED))
        state = await ready(sidecar)
    assert [record["target_label"] for record in records] == [expected for _, expected in SEED]
    assert {record["label_tier"] for record in records} == {"llm"}
    assert {record["label_rule"] for record in records} == {state["version"]}
    assert state["breaker"] == "closed"
    (call,) = standin.calls
    assert standin.keys == ["first-key"]
    assert [message["role"] for message in call["body"]["messages"]] == ["system", "user"]
    assert all(f'"{line.split(" ")[0]}' in call["user"] for line, _ in SEED)
    assert "7324" not in standin.raw[0]


async def test_after_a_restart_nothing_is_paid_for_twice(running: Running, tmp_path: Path) -> None:
    async with Standin().running() as standin:
        messages = [TEMPLATES[i % 40].format(n=i) for i in range(1000)]
        for _ in range(2):
            async with running(*llm(standin, tmp_path)) as sidecar:
                for _ in range(10):
                    records = await label(sidecar, "LegacyCRM", *messages)
                    assert {record["target_label"] for record in records} == {"Workflow Error"}
        assert len(standin.calls) <= 10
        assert len(standin.lines) - 2 * len(standin.calls) == 40


async def test_keys_and_prompts_follow_their_files(running: Running, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt" / "llm.yaml"
    prompt.parent.mkdir()
    prompt.write_text(PROMPT.read_text())
    async with (
        Standin().running() as standin,
        running(*llm(standin, tmp_path, f"llm.prompt={prompt}")) as sidecar,
    ):
        await label(sidecar, "LegacyCRM", "order 1 failed")
        before = (await ready(sidecar))["version"]
        (tmp_path / "key").write_text("second-key")
        os.utime(tmp_path / "key", (1, 1))
        await asyncio.sleep(1.1)
        prompt.write_text("instructions: nothing")
        while not (await ready(sidecar))["refused"]:
            await asyncio.sleep(0.05)
        assert (await ready(sidecar))["version"] == before
        assert sidecar.metric("waybill_last_reload_successful", what="prompt") == 0
        prompt.write_text(PROMPT.read_text().replace("operations team", "night shift"))
        while (await ready(sidecar))["version"] == before:
            await asyncio.sleep(0.05)
        await label(sidecar, "LegacyCRM", "order 1 failed")
    assert standin.keys == ["first-key", "second-key"]
    assert "night shift" in standin.calls[1]["system"]


async def test_a_rule_is_never_overridden(running: Running, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text("rules: []")
    routes = 'routes=[{source: ["*"], tiers: [rules, llm]}]'
    async with Standin().running() as standin:
        standin.latency_secs = 0.5
        overrides = llm(
            standin, tmp_path, routes, f"rules.path={rules}", "rules.poll_secs=0.1", "llm.wait_ms=0"
        )
        async with running(*overrides) as sidecar:
            assert (await label(sidecar, "x", "order 1 failed"))[0]["label_tier"] == "pending"
            (rules / "a.yaml").write_text(
                "rules: [{id: orders, label: Error, pattern: 'order \\d+ failed'}]"
            )
            while (await label(sidecar, "x", "order 1 failed"))[0]["label_tier"] != "rule":
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.6)  # the LLM's verdict, Workflow Error, has come by now
            (found,) = await label(sidecar, "x", "order 2 failed")
            assert (found["target_label"], found["label_rule"]) == ("Error", "orders")
            assert (await label(sidecar, "x", "invoice failed", "invoice failed"))[0][
                "label_tier"
            ] == "pending"


async def test_a_hanging_llm_delays_its_own_records_by_wait_ms_and_no_others(
    running: Running, tmp_path: Path
) -> None:
    async with Standin().running() as standin:
        standin.habit = Fault("hang")
        overrides = llm(standin, tmp_path, "llm.wait_ms=5000", "llm.timeout_secs=600")
        async with running(*overrides) as sidecar:
            waiting = asyncio.ensure_future(label(sidecar, "LegacyCRM", "case a failed"))
            await until(lambda: standin.calls)
            for i in range(5):
                lines = [f"User User{i}{n} logged in." for n in range(20)]
                await label(sidecar, "ModernCRM", *lines)
            assert not waiting.done()
            async with patience():  # and not the 600 s that the provider may take
                (found,) = await waiting
            assert (found["label_tier"], found["label_reason"]) == ("pending", "llm_over_budget")
            assert (await ready(sidecar))["breaker"] == "closed"


async def test_a_dead_llm_loses_nothing_and_comes_back_by_itself(
    running: Running, tmp_path: Path
) -> None:
    async with Standin().running() as standin:
        standin.habit = Fault("cut")
        overrides = llm(
            standin, tmp_path, "llm.breaker_failures=3", "llm.breaker_secs=0.3", "llm.wait_ms=500"
        )
        async with running(*overrides) as sidecar:
            began, count = time.monotonic(), 0
            while time.monotonic() < began + 1:
                cases = [f"case {chr(97 + count % 26)}{n}x failed" for n in range(5)]
                async with asyncio.timeout(50):  # and not the 60 s of a request
                    assert len(await label(sidecar, "LegacyCRM", *cases)) == 5
                count += 1
            # 3 to open it, then a probe every 0.3 s.
            assert len(standin.calls) <= 3 + 1 + (time.monotonic() - began) / 0.3
            assert (await ready(sidecar))["breaker"] in ("open", "half_open")
            standin.habit = None

            async def is_back() -> bool:
                (found,) = await label(sidecar, "LegacyCRM", "case zz failed")
                return found["target_label"] == "Workflow Error"

            await until(is_back)


async def test_without_a_key_the_sidecar_serves(running: Running, tmp_path: Path) -> None:
    async with Standin().running() as standin:
        overrides = [*llm(standin, tmp_path), f"llm.api_key_file={tmp_path / 'later'}"]
        async with running(*overrides) as sidecar:
            assert (await label(sidecar, "LegacyCRM", "case a failed"))[0][
                "label_reason"
            ] == "llm_no_key"
            (tmp_path / "later").write_text("key")
            assert (await label(sidecar, "LegacyCRM", "case a failed"))[0][
                "target_label"
            ] == "Workflow Error"


async def test_a_prompt_that_cannot_be_used_keeps_the_service_from_starting(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "llm.yaml").write_text("labels: {}")
    with pytest.raises(ConfigError, match=r"llm\.prompt"):
        async with running(
            "llm.provider=groq", f"llm.prompt={tmp_path / 'llm.yaml'}", "model.path=null"
        ):
            pass


async def test_no_key_and_no_text_gets_into_log_or_metrics(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "key").write_text("gsk_very-secret-key")
    caplog.set_level("DEBUG")
    async with (
        Standin().running() as standin,
        running(*llm(standin, tmp_path, "llm.pack_messages=1")) as sidecar,
    ):
        for fault in (
            None,
            Fault("status", status=401, message="bad key gsk_very-secret-key"),
            Fault("text", text="zanzibar"),
            Fault("cut"),
        ):
            standin.habit = fault
            await label(sidecar, "LegacyCRM", f"zanzibar {fault.kind if fault else 'fine'} failed")
        _, metrics = await sidecar.get("/metrics")
    told = caplog.text + str([vars(record) for record in caplog.records]) + metrics.decode()
    assert "very-secret" not in told
    assert "zanzibar" not in told
