"""The waits of one request against the patience of a shipper."""

from __future__ import annotations

import pytest

from waybill.core.deadlines import Deadlines
from waybill.core.errors import ConfigError
from waybill.settings.deadlines import deadlines_of
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings


def settings(*overrides: str) -> Settings:
    return load_settings(overrides=overrides, environ={})


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(*overrides)
    (problem,) = caught.value.problems
    return problem


def test_the_defaults_answer_before_a_shipper_gives_up() -> None:
    deadlines = deadlines_of(settings())
    assert deadlines.answer() == 15 + 0 + 10 + 20
    assert deadlines.answer() < deadlines.shipper


def test_an_encoder_that_is_a_service_gives_up_within_the_models_time() -> None:
    assert Deadlines().encoder == 12
    assert Deadlines(model=5).encoder < 5


def test_each_wait_comes_from_its_setting() -> None:
    deadlines = deadlines_of(
        settings(
            "http.header_timeout_secs=3",
            "http.read_timeout_secs=4",
            "return.timeout_secs=6",
            "llm.provider=groq",
            "llm.wait_ms=700",
            "model.over_budget=defer",
            "model.budget_ms=250",
        )
    )
    assert deadlines == Deadlines(head=3, body=4, model=0.25, llm=0.7, slot=10, push=6)


def test_a_tier_that_is_not_there_takes_no_time() -> None:
    deadlines = deadlines_of(settings("model.path=null"))
    assert (deadlines.model, deadlines.llm) == (0, 0)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["model.over_budget=defer", "model.budget_ms=40000"], id="the model alone"),
        pytest.param(
            [
                "model.over_budget=defer",
                "model.budget_ms=26000",
                "llm.provider=groq",
                "llm.wait_ms=5000",
            ],
            id="model and LLM together",
        ),
    ],
)
def test_waits_that_add_up_to_more_than_a_shipper_waits_are_refused(overrides: list[str]) -> None:
    problem = refusal(*overrides)
    assert problem.startswith("return.timeout_secs: the waits of one request add up to ")
    assert all(name in problem for name in ("model.budget_ms", "llm.wait_ms", "60 s"))
