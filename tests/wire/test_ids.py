"""The id of a record: the same for what came again, another for what only looks alike."""

from __future__ import annotations

import struct

import msgpack
import orjson
import pytest

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire

WIRE = Wire(FieldPlan(FieldSettings(record_id="id")))
VERDICT = Verdict("Error", "model", 0.75, "m@1")


def event(seconds: int, nanos: int = 0, metadata: object = None, text: str = "retry 5") -> bytes:
    time = struct.pack(">BBII", 0xD7, 0, seconds, nanos)
    head = msgpack.packb(metadata or {})
    record = msgpack.packb({"log": text})
    return b"".join((b"\x92\x92", time, head, record))


def otlp(*nanos: int) -> bytes:
    records = [{"timeUnixNano": str(nano), "body": {"stringValue": "retry 5"}} for nano in nanos]
    return orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})


def ids(body: bytes, tag: str = "app", kind: str = "") -> list[str]:
    codec, batch = WIRE.decode(body, kind, tag)
    records = codec.split(batch, [VERDICT] * len(batch))
    if kind == "application/otlp+json":
        found = [orjson.loads(record)["attributes"] for record in records]
        return [
            next(one["value"]["stringValue"] for one in pairs if one["key"] == "id")
            for pairs in found
        ]
    if body[:1] == b"\x92":
        return [msgpack.unpackb(record, strict_map_key=False)[1]["id"] for record in records]
    return [orjson.loads(record)["id"] for record in records]


LINE = b'{"log":"retry 5"}'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"[%b,%b,%b]" % (LINE, LINE, LINE), "", id="equal records in an array"),
        pytest.param(b"\n".join([LINE] * 3), "", id="equal lines"),
        pytest.param(event(1) * 3, "", id="equal events"),
        pytest.param(event(1) + event(2) + event(1, nanos=1), "", id="the same at other times"),
        pytest.param(
            event(1) + event(1, metadata={"a": 1}) + event(1, metadata={"a": 2}),
            "",
            id="other metadata",
        ),
        pytest.param(
            event(1) + event(1, text="retry 6") + event(1, text="retry 7"), "", id="other records"
        ),
        pytest.param(otlp(1, 2, 2), "application/otlp+json", id="otlp"),
    ],
)
def test_what_differs_or_comes_several_times_in_a_batch_has_ids_of_its_own(
    body: bytes, kind: str
) -> None:
    assert len(set(ids(body, kind=kind))) == 3
    assert ids(body, kind=kind) == ids(body, kind=kind)
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids(body, kind=kind))


def test_an_event_has_the_id_of_its_time_and_not_of_its_place() -> None:
    assert ids(event(1) + event(2)) == ids(event(2) + event(1))[::-1]
    assert ids(event(1)) != ids(event(2))


def test_the_whole_tag_counts() -> None:
    long = "kube.var.log.containers." + "a" * 100
    tags = ("", "app", "app2", long + "_one", long + "_two")
    assert len({ids(event(1), tag)[0] for tag in tags}) == len(tags)
