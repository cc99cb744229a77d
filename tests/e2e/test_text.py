"""Text, frames and compressed tables over HTTP, in front of a whole service."""

from __future__ import annotations

import gzip
import json
import re
from importlib import resources

import pytest

from tests.conftest import Running
from waybill.api import csv as csv_api
from waybill.api import csv_input
from waybill.core.errors import MalformedError
from waybill.wire.table.faults import parse_policy

OFF = "model.path=null"
LOGIN = "User User1 logged in."


async def test_lines_of_text_are_answered_as_ndjson(running: Running) -> None:
    async with running(OFF) as sidecar:
        for kind in ("text/plain", "text/plain; charset=utf-8", "application/logfmt"):
            body = f"{LOGIN}\nother\n".encode()
            status, answer, headers = await sidecar.post(body, Content_Type=kind)
            assert status == 200
            assert headers["Content-Type"].startswith("application/x-ndjson")
            first, second = map(json.loads, answer.splitlines())
            assert (first["log"], first["target_label"]) == (LOGIN, "User Action")
            assert second["label_reason"] == "model_disabled"
        status, answer, headers = await sidecar.post(b'[{"log":"a"}]', Content_Type="text/plain")
        assert headers["Content-Type"] == "application/json"
        assert sidecar.metric("waybill_records_received_total", ingest="http") == 7


async def test_a_frame_keeps_its_bytes_and_records_get_labels(running: Running) -> None:
    async with running(OFF, "fields.records=logs") as sidecar:
        body = b'{ "host":"h", "logs":[{"log":"%s"}, {"log":"x"}] }' % LOGIN.encode()
        status, answer, _ = await sidecar.post(body)
        assert status == 200
        assert answer.startswith(
            b'{ "host":"h", "logs":[{"log":"User User1 logged in.","target_label":'
        )
        assert [record["target_label"] for record in json.loads(answer)["logs"]] == [
            "User Action", "Unclassified",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"\0\0\0\x0b" + b'{"log":"a"}', "application/json", "framing.method"),
        (b"a,b\n1,2\n", "text/csv", "/v1/classify/csv"),
        (b"plain words", "application/json", "text/plain"),
    ],
)
async def test_a_refusal_says_what_to_send_instead(
    running: Running, body: bytes, kind: str, words: str
) -> None:
    async with running(OFF) as sidecar:
        status, answer, _ = await sidecar.post(body, Content_Type=kind)
        assert (status, json.loads(answer)["reason"]) == (400, "not_json")
        assert words in json.loads(answer)["detail"]


async def test_a_table_that_inflates_without_end_is_cut(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_input, "_MOST_TIMES", 20)
    table = b"log\n" + b"User User1 logged in.\n" * 20_000
    async with running(OFF, "limits.body_bytes=100000") as sidecar:
        packed = gzip.compress(table, mtime=0)
        assert len(table) > 20 * len(packed)
        status, answer, _ = await sidecar.post(packed, "/v1/classify/csv", Content_Encoding="gzip")
        assert (status, json.loads(answer)["reason"]) == (413, "too_large")
        assert "20 times" in json.loads(answer)["detail"]


def test_the_description_names_what_the_table_endpoint_takes() -> None:
    text = resources.files("waybill.api").joinpath("openapi.json").read_text()
    parameters = json.loads(text)["paths"]["/v1/classify/csv"]["post"]["parameters"]
    assert tuple(one["name"] for one in parameters) == csv_api._OPTIONS
    (on_error,) = [one["schema"]["pattern"] for one in parameters if one["name"] == "on_error"]
    for text in ("pass", "fail,quote=skip", "message=fail , skip", "never", "lines=skip"):
        is_taken = True
        try:
            parse_policy(text)
        except MalformedError:
            is_taken = False
        assert bool(re.fullmatch(on_error, text)) is is_taken, text
