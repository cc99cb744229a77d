"""OTLP logs: requests of records in scopes of resources, in protobuf and in JSON."""

from waybill.wire.otlp.frames import OtlpBatch
from waybill.wire.otlp.json import OtlpJsonCodec
from waybill.wire.otlp.proto import OtlpCodec

__all__ = ["OTLP_JSON", "OtlpBatch", "OtlpCodec", "OtlpJsonCodec"]

#: What OTLP in JSON is called where other JSON comes in as well; OTLP itself says
#: ``application/json``.
OTLP_JSON = "application/otlp+json"
