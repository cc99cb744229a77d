"""Handback by OTLP/HTTP: to an OpenTelemetry Collector, Fluent Bit, or a store.

Records of OTLP requests go on in the resources and scopes they came in. ``return.format`` says in
which encoding: by default as they came, and in protobuf what came as Fluent or JSON records. A
partial success is final by the specification: what the receiver rejected is counted and logged, and
never sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from waybill.core.batch import Batch
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.handback.http_client import HttpClient
from waybill.handback.push import excerpt_of_text
from waybill.handback.rendering import rendered
from waybill.ops.metrics import Metrics
from waybill.settings.schema import ReturnSettings
from waybill.wire.codec import Codec, Encoding
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.otlp.answer import partial_success

log = logging.getLogger(__name__)
#: What ``return.format`` asks for; all others leave OTLP as it came.
_ENCODINGS: dict[str | None, Encoding] = {"protobuf": Encoding.OTLP, "json": Encoding.OTLP_JSON}


class OtlpHandback:
    """Pushes labelled records as OTLP requests; done when every part was answered 2xx."""

    name: HandbackName = "otlp"

    def __init__(self, settings: ReturnSettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._form = OtlpForm(_ENCODINGS.get(settings.format))
        self._client = HttpClient(settings, self._count_rejected)

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in parts of at most ``max_bytes``.

        Raises:
            HandbackError: ``timeout``, ``connect``, ``closed``, ``refused`` or ``unavailable``.
        """
        records = await rendered(codec, batch, verdicts, self._form)
        await self._client.push(records, batch.tag)

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._client.close()

    def _count_rejected(self, answer: bytes) -> None:
        """Count what a partial success says was rejected."""
        rejected, words = partial_success(answer)
        if rejected > 0:
            self._metrics.records_rejected.labels(self.name).inc(rejected)
            log.warning(
                "the receiver rejected records for good",
                extra={"records": rejected, "detail": excerpt_of_text(words)},
            )
