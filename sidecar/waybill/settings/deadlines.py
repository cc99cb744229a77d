"""The `Deadlines` that the settings leave, and whether they fit into the patience of a shipper."""

from __future__ import annotations

from collections.abc import Iterator

from waybill.core.deadlines import Deadlines
from waybill.settings.problems import Problem
from waybill.settings.schema import Settings


def deadlines_of(settings: Settings) -> Deadlines:
    """How long each step may take, in seconds; a step that is not configured takes none."""
    model_secs = 0.0
    if settings.model.path is not None:
        model_secs = Deadlines().model
        if settings.model.over_budget == "defer":
            model_secs = settings.model.budget_ms / 1000
    llm_secs = 0.0
    if settings.llm.provider is not None:
        llm_secs = settings.llm.wait_ms / 1000
    return Deadlines(
        head=settings.http.header_timeout_secs,
        body=settings.http.read_timeout_secs,
        model=model_secs,
        llm=llm_secs,
        push=settings.return_.timeout_secs,
    )


def check_deadlines(settings: Settings) -> Iterator[Problem]:
    """A problem, if an answer can come after its shipper has given up and sent the batch again."""
    deadlines = deadlines_of(settings)
    total = deadlines.answer()
    if total <= deadlines.shipper:
        return
    yield Problem(
        "return.timeout_secs",
        f"the waits of one request add up to {total:g} s, but shippers give up after"
        f" {deadlines.shipper:g} s and send the batch again: {deadlines.model:g} s for the model"
        f" (model.budget_ms), {deadlines.llm:g} s for the LLM (llm.wait_ms), {deadlines.slot:g} s"
        f" for its turn and {deadlines.push:g} s for the receiver (return.timeout_secs);"
        " shorten one",
    )
