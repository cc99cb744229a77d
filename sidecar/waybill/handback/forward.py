"""Handback by Fluent Forward: to Fluent Bit, Vector's ``fluent`` source, Fluentd.

The best way back into Fluent Bit: tag, metadata and nanoseconds are kept, and each frame is done
only when the receiver has acknowledged exactly this frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from waybill.core.batch import Batch
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.handback.forward_pool import ForwardPool
from waybill.handback.push import Push
from waybill.handback.rendering import encoded, rendered
from waybill.handback.target import return_tag
from waybill.settings.schema import ReturnSettings
from waybill.wire import forward as protocol
from waybill.wire.codec import Codec
from waybill.wire.compression import compress
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.rendered import Rendered


class ForwardHandback:
    """Pushes labelled entries to ``settings.url`` and waits for each acknowledgement."""

    name: HandbackName = "forward"

    def __init__(self, settings: ReturnSettings) -> None:
        assert settings.url is not None
        self._settings = settings
        self._form = EntryForm(metadata=settings.metadata != "drop")
        self._pool = ForwardPool(settings)

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in frames of at most ``max_bytes`` of entries, in order.

        Raises:
            HandbackError: ``connect``, ``timeout``, ``closed``, ``ack_mismatch``, ``handshake``.
        """
        entries = await rendered(codec, batch, verdicts, self._form)
        push = Push(self._settings.timeout_secs)
        tag = return_tag(self._settings.tag_prefix, batch.tag)

        async def send_frame(start: int, stop: int) -> None:
            message, chunk = await self._frame(entries, start, stop, tag)
            await push.attempt(lambda: self._pool.send(message, chunk))

        await push.send(entries.sizes, self._settings.max_bytes, send_frame)

    async def close(self) -> None:
        """Close the pooled connections; those in use close when they are given back."""
        self._pool.close()

    async def _frame(
        self, entries: Rendered, start: int, stop: int, tag: str
    ) -> tuple[bytes, bytes]:
        """The message that carries the entries, and the chunk id that must acknowledge it."""
        data = await encoded(entries, start, stop)
        compression = self._settings.compression
        if compression != "none":
            data = await asyncio.to_thread(compress, data, compression)
        return protocol.pack_message(tag, data, stop - start, compression)
