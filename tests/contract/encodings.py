"""Each encoding as the contract tests see it: plain records to a body, and a body to plain records."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgpack
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from waybill.wire import Codec, Encoding, Wire
from waybill.wire.otlp.protobuf import pack_field

Record = dict[str, object]


@dataclass(frozen=True)
class Kind:
    """An encoding. ``pack`` takes records without nested values; bytes stand for a broken one."""

    encoding: Encoding
    content_type: str
    pack: Callable[[Sequence[Record | bytes]], bytes]
    unpack: Callable[[bytes], list[Record]]
    #: A record that cannot be read, as it stands in a body.
    broken: bytes

    def codec(self, wire: Wire) -> Codec:
        """The codec of this encoding."""
        (codec,) = [codec for codec in wire.codecs() if codec.encoding is self.encoding]
        return codec


def _pack_json(records: Sequence[Record | bytes]) -> bytes:
    texts = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return b"".join(text + b"\n" for text in texts)


def _unpack_json(body: bytes) -> list[Record]:
    return [json.loads(line) for line in body.splitlines()]


def _pack_entries(records: Sequence[Record | bytes]) -> bytes:
    return b"".join(r if isinstance(r, bytes) else msgpack.packb([7, r]) for r in records)


def _unpack_entries(body: bytes) -> list[Record]:
    unpacker = msgpack.Unpacker()
    unpacker.feed(body)
    return [record for _, record in unpacker]


def _any_value(value: object) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    assert isinstance(value, int)
    return AnyValue(int_value=value)


def _request(record: Record) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    log = request.resource_logs.add().scope_logs.add().log_records.add()
    for name, value in record.items():
        if name == "log":
            log.body.CopyFrom(_any_value(value))
        else:
            log.attributes.add(key=name).value.CopyFrom(_any_value(value))
    return request


def _pack_otlp(records: Sequence[Record | bytes]) -> bytes:
    logs = []
    for record in records:
        data = record
        if not isinstance(data, bytes):
            (log,) = _request(data).resource_logs[0].scope_logs[0].log_records
            data = log.SerializeToString()
        logs.append(pack_field(2, data))
    return pack_field(1, pack_field(2, b"".join(logs)))


def _pack_otlp_json(records: Sequence[Record | bytes]) -> bytes:
    logs = []
    for record in records:
        data = record
        if not isinstance(data, bytes):
            found = json_format.MessageToDict(_request(data))
            data = json.dumps(found["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]).encode()
        logs.append(data)
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % b", ".join(logs)


def _records(request: ExportLogsServiceRequest) -> list[Record]:
    found = []
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for log in scope.log_records:
                record: Record = {pair.key: _plain(pair.value) for pair in log.attributes}
                assert len(record) == len(log.attributes), "a name stands twice"
                if log.HasField("body"):
                    record["log"] = _plain(log.body)
                found.append(record)
    return found


def _plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def _unpack_otlp(body: bytes) -> list[Record]:
    return _records(ExportLogsServiceRequest.FromString(body))


def _unpack_otlp_json(body: bytes) -> list[Record]:
    return _records(json_format.Parse(body, ExportLogsServiceRequest()))


KINDS = (
    Kind(Encoding.JSON, "application/json", _pack_json, _unpack_json, b'{"log":"cut'),
    Kind(
        Encoding.MSGPACK, "application/msgpack", _pack_entries, _unpack_entries, b"\x93\x01\x02\x03"
    ),
    Kind(Encoding.OTLP, "application/x-protobuf", _pack_otlp, _unpack_otlp, b"\x2a\x05ab"),
    Kind(Encoding.OTLP_JSON, "application/otlp+json", _pack_otlp_json, _unpack_otlp_json, b"[5]"),
)
