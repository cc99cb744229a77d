"""Handback in the answer's body: for callers that read it (Logstash's http filter, scripts)."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.core.names import HandbackName
from waybill.core.records import Batch, Verdict
from waybill.handback.target import render
from waybill.wire import Codec


class BodyHandback:
    """Gives the labelled body to whoever asked."""

    name: HandbackName = "body"

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The batch's body with the verdicts spliced in."""
        return await render(batch, lambda: codec.splice(batch, verdicts), keeps_encoding=True)

    async def close(self) -> None:
        """Nothing to close."""
