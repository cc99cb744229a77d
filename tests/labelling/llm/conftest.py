"""Fixtures: the stand-in, and a tier that talks to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from tests.labelling.llm.standin import Standin
from tests.taxonomies import TEN
from waybill.labelling.llm.build import open_llm
from waybill.labelling.llm.prompt import load_prompt
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.artefact import Artefact
from waybill.labelling.rules.ruleset import RuleSet
from waybill.ops.metrics import Metrics
from waybill.settings.schema import LlmSettings, RouteSettings, Settings
from waybill.settings.sources import load_settings

PROMPT = Path(__file__).parents[3] / "config" / "llm.yaml"
NO_RULES = RuleSet(Artefact("0" * 64))
Opening = Callable[..., contextlib.AbstractAsyncContextManager["Bench"]]


class Bench:
    """A tier in a pipeline, its metrics and the stand-in behind it."""

    def __init__(
        self, settings: Settings, tier: LlmTier, standin: Standin, metrics: Metrics
    ) -> None:
        self.tier, self.standin, self.metrics = tier, standin, metrics
        self.pipeline = Pipeline(settings, NO_RULES, {"llm": tier}, metrics, taxonomy=TEN)

    async def label(
        self, *messages: str, source: str = "LegacyCRM"
    ) -> list[tuple[str, str, str | None]]:
        """(label, tier, reason) of each."""
        verdicts = await self.pipeline.label(messages, [source] * len(messages))
        return [(verdict.label, verdict.tier, verdict.reason) for verdict in verdicts]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"waybill_llm_{name}", labels) or 0.0


@pytest.fixture(name="standin")
async def _standin() -> AsyncIterator[Standin]:
    async with Standin().running() as standin:
        yield standin


@pytest.fixture(name="opening")
def _opening(standin: Standin) -> Opening:
    """``async with opening(wait_ms=0) as bench``: a tier with these settings, in front of the
    stand-in.
    """

    @contextlib.asynccontextmanager
    async def opening(
        routes: tuple[RouteSettings, ...] | None = None, **options: object
    ) -> AsyncIterator[Bench]:
        given: dict[str, object] = {
            "provider": "groq",
            "base_url": standin.url,
            "store": "memory",
            "requests_per_minute": 100_000,
            "tokens_per_day": None,
            "pack_wait_ms": 5,
            "timeout_secs": 20,
        }
        llm = msgspec.convert(given | options, LlmSettings)
        if "wait_ms" not in options:  # longer than settings may say: a busy machine is no fault
            llm = msgspec.structs.replace(llm, wait_ms=25_000)
        settings = msgspec.structs.replace(load_settings(environ={}), llm=llm)
        if routes is not None:
            settings = msgspec.structs.replace(settings, routes=routes)
        metrics = Metrics("0")
        async with open_llm(llm, load_prompt(PROMPT, TEN), lambda: "gsk_key", metrics) as tier:
            yield Bench(settings, tier, standin, metrics)

    return opening
