"""``fields.pattern``: the id of its pattern in every record, on every encoding and path."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.collector import JSON, PROTOBUF, Collector, attributes
from tests.conftest import Running
from tests.patience import patience
from waybill.cli.main import main
from waybill.core.pattern import pattern_id
from waybill.core.records import Verdict
from waybill.labelling.marking import Marker
from waybill.labelling.masking import mask
from waybill.settings.addresses import split_address

RULES = "rules:\n- {id: full, label: Resource Usage, pattern: 'disk [0-9]+ is full'}\n"
MESSAGES = ["disk 1 is full", "disk 22 is full", "User a7 left \u00fc", "\x1b[31mred\x1b[0m", "10"]


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> list[str]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one.yaml").write_text(RULES)
    return ["model.path=null", f"rules.path={tmp_path}/rules", "fields.pattern=pattern"]


def expected() -> list[str]:
    return [pattern_id(mask(message)) for message in MESSAGES]


def of_json(body: bytes) -> list[object]:
    return [record.get("pattern") for record in json.loads(body)]


def of_msgpack(body: bytes) -> list[object]:
    return [record.get("pattern") for _, record in msgpack.Unpacker(io.BytesIO(body))]


RECORDS = [{"log": message} for message in MESSAGES]
BODIES: dict[str, tuple[bytes, Callable[[bytes], list[object]]]] = {
    "application/json": (json.dumps(RECORDS).encode(), of_json),
    "application/msgpack": (b"".join(msgpack.packb([1, one]) for one in RECORDS), of_msgpack),
}


async def test_every_record_names_its_pattern(running: Running, settings: list[str]) -> None:
    async with running(*settings) as sidecar:
        for kind, (body, read) in BODIES.items():
            _, answer, _ = await sidecar.post(body, Content_Type=kind)
            assert read(answer) == expected(), kind
        table = io.StringIO()
        csv.writer(table).writerows([["message"], *([message] for message in MESSAGES[:3])])
        path = "/v1/classify/csv"
        _, answer, _ = await sidecar.post(table.getvalue().encode(), path, Content_Type="text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.decode())))
        assert [row["pattern"] for row in rows] == expected()[:3]
        _, told = await sidecar.get("/v1/patterns?limit=1000")
        known = {json.loads(line)["id"]: json.loads(line)["count"] for line in told.splitlines()}
        assert known[expected()[0]] == 6


async def test_a_record_without_a_message_has_no_pattern(
    running: Running, settings: list[str]
) -> None:
    async with running(*settings) as sidecar:
        body = (
            b'[{"log": ""}, {"a": 1}, {"log": "x", "pattern": "mine"}, {"log": "disk 3 is full"}]'
        )
        _, answer, _ = await sidecar.post(body)
        assert of_json(answer) == [None, None, "mine", expected()[0]]


def test_files_name_patterns(settings: list[str], tmp_path: Path) -> None:
    source, target = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    source.write_text("".join(json.dumps(one) + "\n" for one in RECORDS))
    options = [word for setting in settings for word in ("--set", setting)]
    assert main(["label", str(source), "-o", str(target), "-q", *options]) == 0
    found = [json.loads(line).get("pattern") for line in target.read_text().splitlines()]
    assert found == expected()


async def test_records_that_are_alike_share_a_verdict() -> None:
    marker = Marker(10_000)
    verdict = Verdict("Error", "rule", 1.0, "r")
    messages = ["disk 1 is full", "disk 22 is full", "other", None, " "]
    marked = await marker.mark(messages, [verdict] * 5)
    assert marked[0] is marked[1]
    assert marked[0] is not marked[2]
    assert marked[3] is marked[4] is verdict
    assert marker.unmarked(Counter(marked)) == {verdict: 5}


async def test_records_by_otlp_and_forward_name_their_patterns(
    running: Running, settings: list[str], collector: Collector
) -> None:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for message in MESSAGES:
        scope.log_records.add().body.string_value = message
    bodies = {
        PROTOBUF: request.SerializeToString(),
        JSON: json_format.MessageToJson(request).encode(),
    }
    back = ("return.type=otlp", f"return.url={collector.url}", "forward.listen=127.0.0.1:0")
    async with running(*settings, *back) as sidecar:
        for kind, body in bodies.items():
            assert (await sidecar.post(body, "/v1/logs", Content_Type=kind))[0] == 200
        assert sidecar.service.forward is not None
        host, port = split_address(sidecar.service.forward.addresses[0].rpartition("/")[2])
        reader, writer = await asyncio.open_connection(host, port)
        entries = [[1, record] for record in RECORDS]
        writer.write(msgpack.packb(["app", entries, {"chunk": "c"}]))
        async with patience():
            assert msgpack.unpackb(await reader.read(100)) == {"ack": "c"}
        writer.close()
    named = [attributes(record).get("pattern") for record in collector.records]
    assert named == expected() * 3
