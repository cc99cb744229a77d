"""Bytes to batches and back: the encodings, and how to tell them apart."""

from __future__ import annotations

from waybill.core.batch import UNBOUNDED, Batch, ScanBudget
from waybill.core.prepare import prepare
from waybill.wire.codec import Codec, Encoding
from waybill.wire.fields import FieldPlan
from waybill.wire.json.codec import JsonCodec
from waybill.wire.msgpack.codec import MsgpackCodec
from waybill.wire.otlp import OTLP_JSON, OtlpCodec, OtlpJsonCodec

__all__ = [
    "Codec",
    "Encoding",
    "FieldPlan",
    "JsonCodec",
    "MsgpackCodec",
    "OtlpCodec",
    "OtlpJsonCodec",
    "Wire",
]

#: In front of a nested object may stand a byte order mark, blanks or a colour.
_NESTED_WITHIN = 16
#: The first byte of an entry: an array header, which cannot begin JSON text.
_ARRAY_HEADERS = (b"\x92", b"\xdc", b"\xdd")


class Wire:
    """The codecs of one `FieldPlan`, chosen by what the body is rather than by what it claims."""

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self.json = JsonCodec(plan)
        self.msgpack = MsgpackCodec(plan)
        self.otlp = OtlpCodec(plan)
        self.otlp_json = OtlpJsonCodec(plan)

    def decode(
        self,
        body: bytes,
        content_type: str = "",
        tag: str = "",
        *,
        budget: ScanBudget = UNBOUNDED,
    ) -> tuple[Codec, Batch]:
        """The codec that reads ``body``, and its records.

        Raises:
            MalformedError: ``not_json``, ``not_msgpack`` or ``not_otlp``.
            LaboriousError: reading costs more than ``budget``.
        """
        codec = self.codec_of(body, content_type)
        batch = codec.decode(body, tag=tag, budget=budget)
        if self.plan.settings.parse_nested:
            self._read_nested(batch)
        return codec, batch

    def codec_of(self, body: bytes, content_type: str) -> Codec:
        """The codec for ``body``.

        Shippers send JSON under several names, so only msgpack is believed on its word; without it
        the first byte tells. OTLP looks like neither, or like any other JSON, so it must be named.
        """
        if "protobuf" in content_type:
            return self.otlp
        if content_type.startswith(OTLP_JSON):
            return self.otlp_json
        if "msgpack" in content_type or body[:1] in _ARRAY_HEADERS:
            return self.msgpack
        return self.json

    def codecs(self) -> tuple[Codec, ...]:
        """All of them."""
        return self.json, self.msgpack, self.otlp, self.otlp_json

    def _read_nested(self, batch: Batch) -> None:
        """Where a message is itself a JSON object, take message and source from within it."""
        for i, message in enumerate(batch.messages):
            if message is not None and "{" in message[:_NESTED_WITHIN]:
                nested, source = self.json.read_nested(prepare(message))
                batch.messages[i] = nested or message
                batch.sources[i] = batch.sources[i] or source
