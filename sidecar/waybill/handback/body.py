"""Handback in the answer's body: for callers that read it (Logstash's http filter, scripts)."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.core.batch import Batch
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.handback.rendering import spliced
from waybill.wire.codec import Codec


class BodyHandback:
    """Gives the labelled body back in the answer, in the encoding in which it came."""

    name: HandbackName = "body"

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The batch's body with the verdicts spliced in."""
        batch.messages = [None] * len(batch)  # their memory is the answer's
        return await spliced(codec, batch, verdicts)

    async def close(self) -> None:
        """Nothing to close."""
