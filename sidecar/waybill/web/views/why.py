"""Why a message gets its label: who was asked, what each said, and what nearly matched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple, cast

from waybill.core.errors import WaybillError
from waybill.labelling.explain import explain
from waybill.labelling.explanation import show
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


class Near(NamedTuple):
    """A line of the training that is near, its label and its distance."""

    label: str
    text: str
    distance: float


class Way(NamedTuple):
    """The way of a message by the workbench's own rules and model; ``fault``: it cannot say."""

    sentences: Sequence[str]
    matching: Sequence[str] = ()
    misses: Sequence[NearMiss] = ()
    nearest: Sequence[Near] = ()
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
    told = cast("Sequence[Mapping[str, str]]", found["rules"])
    matching = list(map(itemgetter("id"), told))
    rules = opened.pipeline.rules.rules
    misses = await asyncio.to_thread(near_misses, rules, matching, message)
    nearest = _nearest(found.get("model"))
    sentences = list(_sentences(show(found)))
    return Way(sentences, matching, misses, nearest, label=str(found["label"]))


def _sentences(told: str) -> Sequence[str]:
    return list(filter(_is_sentence, told.splitlines()))


def _is_sentence(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(_TOLD_APART)


def _nearest(model: object) -> list[Near]:
    if not isinstance(model, Mapping):
        return []
    found = []
    for one in model.get("nearest", ()):
        if isinstance(one, Mapping):
            text = str(one.get("text") or one.get("line") or one.get("template") or "")
            found.append(Near(str(one.get("label", "")), text, float(one.get("distance", 0))))
    return found
