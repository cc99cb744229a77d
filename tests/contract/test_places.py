"""Where message and source are: in what shippers and libraries write, flat and nested."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgpack
import pytest

from waybill.core.batch import Batch
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.members import Places

Record = dict[str, object]
FIELDS = FieldSettings()
WIRE = Wire(FieldPlan(FIELDS))
READERS: dict[str, Callable[[Record], Batch]] = {
    "array": lambda record: WIRE.json.decode(json.dumps([record], separators=(",", ":")).encode()),
    "spaced array": lambda record: WIRE.json.decode(b" [ %b ]" % json.dumps(record).encode()),
    "line": lambda record: WIRE.json.decode(json.dumps(record).encode() + b"\n"),
    "tolerant": lambda record: WIRE.json.decode(
        json.dumps(record | {"odd": float("nan")}).encode()
    ),
    "msgpack": lambda record: WIRE.msgpack.decode(msgpack.packb([1, record])),
    "tolerant msgpack": lambda record: WIRE.msgpack.decode(msgpack.packb([1, {1: 2} | record])),
}
CASES: list[tuple[Record, str | None, str]] = [
    ({"log": "", "message": "m"}, "m", ""),
    ({"log": " \r\n", "message": "\ufeff", "msg": "m"}, "m", ""),
    ({"log": "\x1b[0m", "short_message": "m"}, "m", ""),
    ({"log": "m", "source": "", "service": "s"}, "m", "s"),
    ({"log": "m", "source": "\xa0", "service": {"name": "s"}}, "m", "s"),
    ({"MESSAGE": "m", "_SYSTEMD_UNIT": "s", "SYSLOG_IDENTIFIER": "x"}, "m", "s"),
    ({"MESSAGE": "m", "SYSLOG_IDENTIFIER": "s"}, "m", "s"),
    ({"version": "1.1", "host": "s", "short_message": "m", "full_message": "x"}, "m", "s"),
    ({"message": "m", "log": {"logger": "s"}, "host": {"name": "x"}}, "m", "s"),
    ({"message": "m", "log.logger": "s", "log.level": "x"}, "m", "s"),
    ({"message": "m", "service.name": "s"}, "m", "s"),
    ({"message": "m", "service": {"name": "s"}, "log": {"level": "x"}}, "m", "s"),
    ({"textPayload": "m", "resource": {"labels": {"container_name": "s"}}}, "m", "s"),
    ({"jsonPayload": {"message": "m"}, "resource": {"type": "x"}}, "m", ""),
    ({"@mt": "m", "Properties": {"SourceContext": "s"}}, "m", "s"),
    ({"Message": "m", "SourceContext": "s"}, "m", "s"),
    ({"@message": "m", "kubernetes.container_name": "s"}, "m", "s"),
    ({"event": "m", "logger": "x"}, "m", "x"),
    ({"event": {"kind": "x"}, "message": "m"}, "m", ""),
    ({"log": "m", "kubernetes": "x", "resource": None, "Properties": 7}, "m", ""),
    ({"log": "m", "service": "s", "source": None}, "m", "s"),
    ({"log": {"message": "m"}, "body": {"a": 1}}, "m", ""),
    ({"body": {"stringValue": "m"}, "service_name": "s"}, "m", "s"),
    ({"Body": "m", "resource": {"service.name": "s"}}, "m", "s"),
    ({"_raw": "m", "host": "s"}, "m", "s"),
    ({"eventMessage": "m", "programname": "s", "host": "x"}, "m", "s"),
    ({"content": "m", "text": "x", "app": "s"}, "x", "s"),
    ({"event": {"original": "m"}, "ident": "s"}, "m", "s"),
    ({"properties": {"log": "m"}, "k8s.container.name": "s"}, "m", "s"),
    ({"level": "error", "error": {"message": "m"}, "application": "s"}, "m", "s"),
    ({"exception": {"message": "m"}, "host": {"name": "x"}}, "m", ""),
    ({"body": {"message": "m"}, "kubernetes": {"container": {"name": "s"}}}, "m", "s"),
    ({"event": {"message": "m"}, "serviceName": "s"}, "m", "s"),
    ({"log": {"level": "x"}, "body": {"a": 1}}, None, ""),
    ({"log": "\u200b"}, None, ""),
    ({"other": "x"}, None, ""),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("record", "message", "source"), CASES)
def test_every_reader_finds_the_same(
    reader: str, record: Record, message: str | None, source: str
) -> None:
    batch = READERS[reader](record)
    assert (batch.messages, batch.sources) == ([message], [source])
    places = Places(FIELDS)
    assert (places.message_of(record), places.source_of(record)) == (message, source)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"log": 5}, "message_not_a_string"),
        ({"log": " ", "full_message": {"a": 1}}, "message_not_a_string"),
        ({"log": {"level": "info"}}, "message_not_a_string"),
        ({"log": True, "message": ""}, "message_not_a_string"),
        ({"log": None}, "no_message"),
        ({"log": "\r\n"}, "no_message"),
        ({"jsonPayload": {"other": 1}}, "no_message"),
    ],
)
def test_every_reader_says_why_there_is_none(reader: str, record: Record, reason: str) -> None:
    batch = READERS[reader](record)
    assert batch.messages == [None]
    assert batch.specials[0].reason == reason
