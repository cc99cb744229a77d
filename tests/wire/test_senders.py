"""What other systems send, in the form that their manuals give: docs/http-api.md tells the same."""

from __future__ import annotations

import base64

import msgpack
import orjson
import pytest

from waybill.core.errors import MalformedError
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire

JSON, TEXT, PACKED = "application/json", "text/plain", "application/x-msgpack"


def lines(*records: object) -> bytes:
    return b"\n".join(map(orjson.dumps, records))


TAKEN: dict[str, tuple[str, bytes]] = {
    "logstash json_batch": (JSON, orjson.dumps([{"message": "disk full", "@version": "1"}])),
    "logstash message": (TEXT, b"disk full"),
    "fluentd msgpack": (PACKED, msgpack.packb({"log": "disk full"})),
    "vector native_json": (JSON, orjson.dumps([{"log": {"message": "disk full"}}])),
    "vector logfmt": (TEXT, b'message="disk full" host=x'),
    "gelf": (JSON, lines({"version": "1.1", "short_message": "disk full"}) + b"\0"),
    "splunk hec": (JSON, lines({"event": "disk full", "time": 1.1})),
    "datadog": (JSON, orjson.dumps([{"ddsource": "x", "message": "disk full"}])),
    "elasticsearch bulk": (JSON, lines({"create": {}}, {"message": "disk full"}) + b"\n"),
    "journald": ("application/json-seq", b"\x1e" + lines({"MESSAGE": "disk full"}) + b"\n"),
    "journald bytes": (JSON, lines({"MESSAGE": [*b"disk full"]})),
    "event grid": (JSON, orjson.dumps([{"eventType": "x", "data": {"message": "disk full"}}])),
    "sns": (TEXT, lines({"Type": "Notification", "Message": "disk full"})),
    "google": (JSON, lines({"textPayload": "disk full"})),
    "serilog": (JSON, orjson.dumps([{"RenderedMessage": "disk full"}])),
    "netlify, vercel, railway": (JSON, orjson.dumps([{"message": "disk full"}])),
    "log4j": (JSON, b'{"message":"disk full"}\r\n,\r\n{"message":"disk full"}'),
    "powershell": (JSON, '[{"message":"disk full"}]'.encode("utf-16")),
    "utf-16 without a mark": (JSON, '{"message":"disk full"}'.encode("utf-16-le")),
    "utf-32": (JSON, '{"message":"disk full"}'.encode("utf-32")),
}


@pytest.mark.parametrize(("content_type", "body"), TAKEN.values(), ids=TAKEN)
def test_what_is_taken_as_it_comes(content_type: str, body: bytes) -> None:
    _, batch = Wire(FieldPlan(FieldSettings())).decode(body, content_type)
    assert {message for message in batch.messages if message} == {"disk full"}


FRAMED: dict[str, tuple[FieldSettings, object]] = {
    "cloudwatch": (FieldSettings(records="logEvents"), {"logEvents": [{"message": "disk full"}]}),
    "azure": (FieldSettings(records="records"), {"records": [{"properties": {"message": "disk full"}}]}),
    "google": (FieldSettings(records="entries"), {"entries": [{"textPayload": "disk full"}]}),
    "serilog": (FieldSettings(records="events"), {"events": [{"RenderedMessage": "disk full"}]}),
    "okta": (
        FieldSettings(records="data.events", message=("displayMessage",)),
        {"data": {"events": [{"displayMessage": "disk full"}]}},
    ),
    "kafka rest": (
        FieldSettings(records="records", message=("value.msg",)),
        {"records": [{"value": {"msg": "disk full"}}]},
    ),
    "eventbridge": (FieldSettings(message=("detail.message",)), {"detail": {"message": "disk full"}}),
    "cloudevents": (FieldSettings(message=("data",)), {"specversion": "1.0", "data": "disk full"}),
    "supabase": (FieldSettings(message=("event_message",)), [{"event_message": "disk full"}]),
    "winston": (FieldSettings(records="params"), {"params": {"message": "disk full"}}),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "sent"), FRAMED.values(), ids=FRAMED)
def test_what_a_setting_makes_readable(settings: FieldSettings, sent: object) -> None:
    _, batch = Wire(FieldPlan(settings)).decode(orjson.dumps(sent), JSON)
    assert batch.messages == ["disk full"]


UNREAD: dict[str, tuple[str, bytes]] = {
    "firehose": (JSON, lines({"requestId": "1", "records": [{"data": base64.b64encode(b"x").decode()}]})),
    "loki": (JSON, lines({"streams": [{"stream": {}, "values": [["1", "disk full"]]}]})),
    "logpush": (JSON, lines({"ClientIP": "192.0.2.1", "EdgeResponseStatus": 500})),
    "workers trace": (JSON, lines({"Logs": [{"Message": ["disk full"]}], "Outcome": "ok"})),
}  # fmt: skip


@pytest.mark.parametrize(("content_type", "body"), UNREAD.values(), ids=UNREAD)
def test_what_has_no_message_is_one_record(content_type: str, body: bytes) -> None:
    _, batch = Wire(FieldPlan(FieldSettings())).decode(body, content_type)
    assert [special.reason for special in batch.specials.values()] == ["no_message"]


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "avro": ("application/avro", b"Obj\x01\x04\x14avro.codec", "not_json"),
    "vector protobuf": ("application/x-protobuf", b"\x0f\x01", "not_otlp"),
    "csv": ("text/csv", b"a,b\nc,d\n", "not_json"),
    "ltsv": ("text/tab-separated-values", b"log:a\tn:1\n", "not_json"),
    "form": ("application/x-www-form-urlencoded", b"message=disk+full&host=x", "not_json"),
    "server-sent events": ("text/event-stream", b'data: {"MESSAGE":"x"}\n\n', "not_json"),
    "journal": (JSON, b"__CURSOR=s=1\nMESSAGE=x\n\n", "not_json"),
    "xml": ("application/xml", b"<Event><Message>x</Message></Event>", "not_json"),
    "yaml": ("application/yaml", b"- log: x\n", "not_json"),
    "python": (JSON, b"[{'log':'x'}]", "not_json"),
    "jsonp": (JSON, b'callback([{"log":"x"}]);', "not_json"),
}


@pytest.mark.parametrize(("content_type", "body", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_has_a_reason(content_type: str, body: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        Wire(FieldPlan(FieldSettings())).decode(body, content_type)
    assert caught.value.code == reason
