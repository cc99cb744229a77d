"""Bytes to batches and back: the encodings, and how to tell them apart."""

from __future__ import annotations

import math

from waybill.core.records import Batch
from waybill.wire.fields import FieldPlan
from waybill.wire.json.codec import JsonCodec
from waybill.wire.msgpack.codec import MsgpackCodec
from waybill.wire.otlp import OTLP_JSON, OtlpCodec, OtlpJsonCodec

__all__ = ["Codec", "FieldPlan", "JsonCodec", "MsgpackCodec", "OtlpCodec", "OtlpJsonCodec", "Wire"]

Codec = JsonCodec | MsgpackCodec | OtlpCodec | OtlpJsonCodec


class Wire:
    """The codecs of one `FieldPlan`, chosen by what the body is rather than by what it claims."""

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self.json = JsonCodec(plan)
        self.msgpack = MsgpackCodec(plan)
        self.otlp = OtlpCodec(plan)
        self.otlp_json = OtlpJsonCodec(plan)

    def decode(
        self, body: bytes, content_type: str = "", tag: str = "", care_bytes: float = math.inf
    ) -> tuple[Codec, Batch]:
        """The codec that reads ``body``, and its records.

        Shippers send JSON under several names, so only msgpack is believed on its word; without it,
        an entry's first byte (an array header) cannot begin JSON text. OTLP looks like neither, or
        like any other JSON, so it must be named.

        Raises:
            MalformedError: ``not_json``, ``not_msgpack`` or ``not_otlp``.
            LaboriousError: more than ``care_bytes`` must be read byte by byte.
        """
        codec = self._codec(body, content_type)
        batch = codec.decode(body, tag, care_bytes)
        if self.plan.settings.parse_nested:
            self._read_nested(batch)
        return codec, batch

    def _codec(self, body: bytes, content_type: str) -> Codec:
        if "protobuf" in content_type:
            return self.otlp
        if content_type.startswith(OTLP_JSON):
            return self.otlp_json
        is_msgpack = "msgpack" in content_type or body[:1] in (b"\x92", b"\xdc", b"\xdd")
        return self.msgpack if is_msgpack else self.json

    def _read_nested(self, batch: Batch) -> None:
        """Where a message is itself a JSON object, take message and source from within it."""
        for i, message in enumerate(batch.messages):
            if message is not None and message.startswith("{"):
                nested, source = self.json.read(message)
                batch.messages[i] = nested or message
                batch.sources[i] = batch.sources[i] or source
