"""Handback in the answer's body: for callers that read it (Logstash's http filter, scripts)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecar.records import Batch, Verdict
from sidecar.wire import Codec

#: Above this a splice is put on a thread; it takes about 1 ms per 4 MiB below it.
_INLINE_BYTES = 8 << 20


class BodyHandback:
    """Gives the labelled body to whoever asked."""

    name = "body"

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The batch's body with the verdicts spliced in."""
        if len(batch.body) > _INLINE_BYTES:
            return await asyncio.to_thread(codec.splice, batch, verdicts)
        return codec.splice(batch, verdicts)

    async def close(self) -> None:
        """Nothing to close."""
