"""Why a message gets its label, in the sentences of ``waybill explain``."""

from __future__ import annotations

import logging

from waybill.core.errors import WaybillError
from waybill.labelling.explain import explain
from waybill.labelling.explanation import show
from waybill.web.engine import Engine

log = logging.getLogger(__name__)


async def why(engine: Engine, message: str, source: str) -> list[str]:
    """The way of ``message`` by the workbench's own rules and model, one sentence each."""
    try:
        opened = await engine.opened()
        found = await explain(opened.pipeline, opened.model, source, message)
    except WaybillError as error:
        return [f"This workbench cannot say: {error}"]
    return [line for line in show(found).splitlines() if line.strip()]
