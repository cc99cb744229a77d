"""Why a message gets its label: who was asked, what each said, and what nearly matched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from waybill.core.errors import WaybillError
from waybill.core.reason_words import REASONS
from waybill.labelling.explain import explain
from waybill.labelling.explanation import ModelAnswer
from waybill.labelling.explanation_text import show
from waybill.labelling.model.bundle import Neighbour
from waybill.web.engine import Engine
from waybill.web.nearmiss import NearMiss, near_misses

log = logging.getLogger(__name__)
#: Sentences that stand in tables of their own.
_TOLD_APART = (
    "rules:",
    "rules that match, the first decides:",
    "the nearest of those lines",
    "read as:",
    "  ",
)


class Sentence(NamedTuple):
    """What is said, and the code of the reason that it tells in words ("": it tells none)."""

    words: str
    code: str = ""


class Way(NamedTuple):
    """The way of a message by the workbench's own rules and model; ``fault``: it cannot say."""

    sentences: Sequence[Sentence]
    matching: Sequence[str] = ()
    misses: Sequence[NearMiss] = ()
    nearest: Sequence[Neighbour] = ()
    fault: str = ""
    #: What this workbench would say of the message.
    label: str = ""


async def why(engine: Engine, message: str, source: str) -> Way:
    """The way of ``message``: sentences, rules that match or nearly do, nearest lines."""
    try:
        opened = await engine.opened()
        found = await explain(opened.pipeline, opened.model, source, message)
    except WaybillError as error:
        return Way((), fault=f"This workbench cannot say: {error}")
    decision = found.decision
    matching = [rule.id for rule in decision.rules]
    rules = opened.pipeline.rules.rules
    misses = await asyncio.to_thread(near_misses, rules, matching, message)
    nearest: Sequence[Neighbour] = ()
    if isinstance(decision.model, ModelAnswer):
        nearest = decision.model.nearest
    sentences = [_sentence(line) for line in show(found).splitlines() if _is_sentence(line)]
    return Way(sentences, matching, misses, nearest, label=decision.label)


def _is_sentence(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(_TOLD_APART)


def _sentence(line: str) -> Sentence:
    """``line`` and the code at its end, if there is one."""
    words, bracket, code = line.removesuffix("]").rpartition(" [")
    if bracket and code in REASONS:
        return Sentence(words, code)
    return Sentence(line)
