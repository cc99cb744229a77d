"""A label that is null or an empty text is none: a record that brings one gets ours in its place."""

from __future__ import annotations

import json

import msgpack
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.rescue import spliced_body

VERDICT = Verdict("Error", "rule", 1.0, "r")
OURS = {"target_label": "Error", "label_tier": "rule", "label_confidence": 1.0, "label_rule": "r"}
PROTOBUF = "application/x-protobuf"


def otlp(record: dict[str, str | None]) -> str:
    attributes = [
        {"key": name, "value": {} if value is None else {"stringValue": value}}
        for name, value in record.items()
        if name != "log"
    ]
    one = {"body": {"stringValue": record["log"]}, "attributes": attributes}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [one]}]}]})


def labelled(body: bytes, content_type: str, settings: FieldSettings) -> bytes:
    codec, batch = Wire(FieldPlan(settings)).decode(body, content_type)
    return spliced_body(codec, batch, [VERDICT] * len(batch))


def of_otlp(text: str) -> dict[str, object]:
    (frame,) = json.loads(text)["resourceLogs"]
    (record,) = frame["scopeLogs"][0]["logRecords"]
    pairs = [(one["key"], list(one["value"].values())) for one in record["attributes"]]
    assert len(dict(pairs)) == len(pairs)
    return {name: values[0] if values else None for name, values in pairs}


def by_way(way: str, record: dict[str, str | None], settings: FieldSettings) -> dict[str, object]:
    """What comes of ``record``, without its message; no name twice."""
    if way == "json":
        answer = labelled(json.dumps(record).encode(), "application/json", settings)
        pairs = json.loads(answer, object_pairs_hook=list)
    elif way == "msgpack":
        body = msgpack.packb([1, record])
        answer = labelled(body, "application/msgpack", settings)
        pairs = msgpack.unpackb(answer, object_pairs_hook=list)[1]
    elif way == "otlp-json":
        answer = labelled(otlp(record).encode(), "application/json", settings)
        return of_otlp(answer.decode())
    else:
        request = json_format.Parse(otlp(record), ExportLogsServiceRequest())
        answer = labelled(request.SerializeToString(), PROTOBUF, settings)
        return of_otlp(json_format.MessageToJson(ExportLogsServiceRequest.FromString(answer)))
    assert len(dict(pairs)) == len(pairs)
    return {name: value for name, value in pairs if name != "log"}


WAYS = ("json", "msgpack", "otlp-json", "otlp")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("blank", [None, ""])
@pytest.mark.parametrize("relabel", [False, True])
def test_ours_stands_in_the_place_of_none(way: str, blank: str | None, relabel: bool) -> None:
    settings = FieldSettings(relabel=relabel)
    for record in (
        {"target_label": blank, "log": "disk full"},
        {"log": "disk full", "label_tier": blank, "k": "v", "target_label": blank},
    ):
        kept = {"k": "v"} if "k" in record else {}
        assert by_way(way, record, settings) == {**kept, **OURS}


@pytest.mark.parametrize("way", WAYS)
def test_a_label_stays_whatever_is_blank_beside_it(way: str) -> None:
    record = {"log": "disk full", "target_label": "Mine", "label_tier": None, "label_rule": ""}
    assert by_way(way, record, FieldSettings()) == {
        name: value for name, value in record.items() if name != "log"
    }
