"""Handback by OTLP/HTTP: to an OpenTelemetry Collector, Fluent Bit's ``opentelemetry`` input, or a store.

OTLP requests go on as they came, in protobuf or JSON, their records in the resources and scopes they came
in; what came as Fluent or JSON records goes as protobuf (`wire.otlp.convert`). Parts, retries and refusals
are those of `HttpHandback`. A partial success is final by the specification: what the receiver rejected is
counted and logged, and never sent again.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Sequence

import orjson

from waybill.core.names import HandbackName
from waybill.core.records import Batch, Verdict
from waybill.handback.http import HttpHandback, Load
from waybill.handback.target import render
from waybill.ops.metrics import Metrics
from waybill.settings.schema import ReturnSettings
from waybill.wire import Codec, JsonCodec, MsgpackCodec, OtlpCodec, OtlpJsonCodec
from waybill.wire.otlp import OtlpBatch, protobuf
from waybill.wire.otlp.convert import plain_record, to_request
from waybill.wire.transcode import RAW_FIELD, wrap_record

log = logging.getLogger(__name__)


class OtlpHandback(HttpHandback):
    """Pushes labelled records as OTLP requests; done when every part was answered 2xx."""

    name: HandbackName = "otlp"

    def __init__(
        self, settings: ReturnSettings, metrics: Metrics, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(settings)
        self._metrics, self._now = metrics, now

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in parts of at most ``max_bytes``.

        Raises:
            HandbackError: ``timeout``, ``connect``, ``refused`` or ``unavailable``.
        """
        is_otlp = isinstance(batch, OtlpBatch)
        load = await render(
            batch, lambda: self._load(codec, batch, verdicts), keeps_encoding=is_otlp
        )
        await self.push(load, batch.tag)

    def _load(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> Load:
        if isinstance(codec, JsonCodec | MsgpackCodec):
            body, kept = to_request(codec, batch, verdicts, self._now)
            otlp = OtlpCodec(codec.plan)
            return self._otlp_load(otlp, otlp.decode(body, batch.tag), kept, is_labelled=True)
        assert isinstance(batch, OtlpBatch)
        return self._otlp_load(codec, batch, verdicts)

    def _otlp_load(
        self,
        codec: OtlpCodec | OtlpJsonCodec,
        batch: OtlpBatch,
        verdicts: Sequence[Verdict],
        is_labelled: bool = False,
    ) -> Load:
        records = batch.records() if is_labelled else codec.split(batch, verdicts)

        def wrap(i: int) -> bytes:
            wrapped = wrap_record(records[i], codec.plan, verdicts[i])
            if isinstance(codec, OtlpCodec):
                # Protobuf is no text: its message is told as such, the whole record beside it.
                raw = base64.b64encode(records[i]).decode()
                wrapped |= {codec.plan.message[0][0]: batch.messages[i] or "", RAW_FIELD: raw}
            return plain_record(
                wrapped, codec.plan, self._now(), is_json=isinstance(codec, OtlpJsonCodec)
            )

        return Load(
            codec.content_type,
            batch.sizes(records),
            lambda start, stop: codec.join(batch, records, start, stop),
            wrap,
        )

    def note_answer(self, status: int, answer: bytes) -> None:
        """Count what a partial success says was rejected."""
        rejected, text = partial_success(answer) if 200 <= status < 300 and answer else (0, "")
        if rejected > 0:
            self._metrics.records_rejected.labels(self.name).inc(rejected)
            log.warning(
                "the receiver rejected records for good",
                extra={"records": rejected, "detail": text[:500]},
            )


def partial_success(answer: bytes) -> tuple[int, str]:
    """(rejected records, the receiver's words) of an ``ExportLogsServiceResponse``; (0, "") when it says nothing."""
    try:
        if answer.lstrip()[:1] == b"{":
            found = orjson.loads(answer)
            partial = found.get("partialSuccess") or found.get("partial_success") or {}
            rejected = partial.get("rejectedLogRecords") or partial.get("rejected_log_records") or 0
            return int(rejected), str(
                partial.get("errorMessage") or partial.get("error_message") or ""
            )
        rejected, text = 0, ""
        for number, kind, _, start, end in protobuf.fields(answer, 0, len(answer)):
            if (number, kind) != (1, protobuf.LENGTH):
                continue
            for inner, inner_kind, _, at, stop in protobuf.fields(answer, start, end):
                if (inner, inner_kind) == (1, protobuf.VARINT):
                    rejected = protobuf.varint(answer, at, stop)[0]
                elif (inner, inner_kind) == (2, protobuf.LENGTH):
                    text = answer[at:stop].decode("utf-8", "replace")
        return rejected, text
    except (ValueError, TypeError, AttributeError):
        # Some stores answer with a text of their own; the status is what counts.
        return 0, ""
