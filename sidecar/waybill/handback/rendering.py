"""Where records are rendered: at once, or on a thread where the event loop would wait too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from waybill.core.batch import Batch
from waybill.core.clock import EPOCH
from waybill.core.records import Verdict
from waybill.wire.codec import Codec
from waybill.wire.otlp.frames import OtlpBatch
from waybill.wire.rendered import Form, Rendered, render
from waybill.wire.rescue import spliced_body

T = TypeVar("T")
#: Records rendered between two turns of the event loop, about 15 ms: 0.3 to 1 µs each where they
#: keep their encoding, 7 to 40 µs where they take another (16,384 records of 120 bytes, each pair
#: of encodings).
_INLINE_RECORDS = 16_384
_INLINE_CONVERSIONS = 512
_INLINE_BYTES = 8 << 20
#: The same of OTLP: two bytes are a frame without records, which takes 2 µs.
_INLINE_FRAME_BYTES = 32 << 10


async def spliced(codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
    """The body of ``batch`` with the verdicts in it."""
    return await _work(batch, _INLINE_RECORDS, lambda: spliced_body(codec, batch, verdicts))


async def rendered(
    codec: Codec,
    batch: Batch,
    verdicts: Sequence[Verdict],
    form: Form,
) -> Rendered:
    """The labelled records in ``form``."""
    is_native = codec.encoding in form.native
    most = _INLINE_RECORDS if is_native else _INLINE_CONVERSIONS
    return await _work(batch, most, lambda: render(codec, batch, verdicts, form, EPOCH))


async def encoded(rendered: Rendered, start: int, stop: int) -> bytes:
    """One body of some of the records; on a thread where that is large, as one record may be."""
    if sum(rendered.sizes[start:stop]) <= _INLINE_BYTES:
        return rendered.encode(start, stop)
    return await asyncio.to_thread(rendered.encode, start, stop)


async def _work(batch: Batch, most_records: int, work: Callable[[], T]) -> T:
    most_bytes = _INLINE_BYTES
    if isinstance(batch, OtlpBatch):
        most_bytes = _INLINE_FRAME_BYTES
    if len(batch) <= most_records and len(batch.body) <= most_bytes:
        return work()
    return await asyncio.to_thread(work)
