"""Records one by one in another encoding, as receivers get them in runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.wire import Codec
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.rendered import render


def json_records(codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
    """Each labelled record as the text of one JSON object."""
    rendered = render(codec, batch, verdicts, JsonForm(lines=False), lambda: 0.0)
    return [rendered.encode(i, i + 1)[1:-1] for i in range(len(rendered.sizes))]


def msgpack_entries(
    codec: Codec, batch: Batch, verdicts: Sequence[Verdict], now: Callable[[], float]
) -> list[bytes]:
    """Each labelled record as one entry."""
    rendered = render(codec, batch, verdicts, EntryForm(), now)
    return [rendered.encode(i, i + 1) for i in range(len(rendered.sizes))]
