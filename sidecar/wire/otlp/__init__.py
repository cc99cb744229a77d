"""OTLP logs: requests of records in scopes of resources, in protobuf and in JSON."""

from sidecar.wire.otlp.frames import OtlpBatch
from sidecar.wire.otlp.proto import OtlpCodec

__all__ = ["OtlpBatch", "OtlpCodec"]
