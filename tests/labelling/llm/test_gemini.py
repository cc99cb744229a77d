"""Gemini behind the same interface: the same tier, another client and another wire."""

from __future__ import annotations

import pytest

from tests.labelling.llm.conftest import Opening
from tests.labelling.llm.standin import Fault, Standin
from tests.taxonomies import UNCLASSIFIED

pytest.importorskip("google.genai", reason="google-genai is not installed (extra gemini)")


async def test_lines_come_back_labelled(opening: Opening, standin: Standin) -> None:
    async with opening(provider="gemini") as bench:
        assert await bench.label("order 1 failed", "The 'Reports' module will be retired") == [
            ("Workflow Error", "llm", None),
            ("Deprecation Warning", "llm", None),
        ]
        assert bench.tier.version.startswith("gemini-2.5-flash-lite@")
        assert bench.metric("tokens_total", direction="out") == 12 * 4
    (call,) = standin.calls
    config = call["body"]["generationConfig"]
    assert (config["temperature"], config["responseMimeType"]) == (0, "application/json")
    labels = config["responseJsonSchema"]["properties"]["answers"]["items"]["properties"]["label"][
        "enum"
    ]
    assert labels == ["Deprecation Warning", "Workflow Error", UNCLASSIFIED]
    assert standin.keys == ["gsk_key"]


async def test_a_new_key_is_used_from_the_next_call_on(opening: Opening, standin: Standin) -> None:
    async with opening(provider="gemini") as bench:
        await bench.label("alpha failed")
        bench.tier._provider._key = lambda: "new"  # type: ignore[attr-defined]
        await bench.label("bravo failed")
        bench.tier._provider._key = lambda: None  # type: ignore[attr-defined]
        assert (await bench.label("charlie failed"))[0][2] == "llm_no_key"
    assert standin.keys == ["gsk_key", "new"]


async def test_the_form_of_answer_falls_back(opening: Opening, standin: Standin) -> None:
    standin.unsupported = {"json_schema", "json_object"}
    async with opening(provider="gemini") as bench:
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]
    assert [call["form"] for call in standin.calls] == ["json_schema", "json_object", "text"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("status", status=500), "unavailable"),
        (Fault("status", status=401), "auth"),
        (Fault("status", status=429, retry_after="1e9"), "rate_limited"),
        (Fault("hang"), "timeout"),
        (Fault("drip"), "timeout"),
        (Fault("cut"), "connect"),
        (Fault("redirect", to="http://127.0.0.1:9/"), "bad_request"),
        (Fault("body", text="<html>", content_type="text/html"), "bad_answer"),
        (Fault("body", text="{}", content_type="application/json"), "bad_answer"),
        (Fault("body", text='{"candidates": [{"finishReason": "SAFETY"}]}', content_type="application/json"), "bad_answer"),
        (Fault("body", body=b"x" * 10_000_000, content_type="application/json"), "connect"),
        (Fault("text", text="Sorry, no."), "bad_answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)  # fmt: skip
async def test_whatever_the_provider_does_a_record_goes_on_with_a_reason(
    opening: Opening, standin: Standin, fault: Fault, reason: str
) -> None:
    standin.habit = fault
    secs = 0.5 if reason == "timeout" else 20.0
    async with opening(provider="gemini", timeout_secs=secs) as bench:
        assert await bench.label("order 1 failed") == [(UNCLASSIFIED, "none", f"llm_{reason}")]
    assert len(standin.calls) == 1  # the client's own retries are off
