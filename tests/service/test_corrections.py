"""Corrections in a running sidecar: sent, in force, the same on every way in, and exported."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import msgpack
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.collector import JSON, PROTOBUF, Collector, attributes
from tests.conftest import Running, Sidecar
from waybill.core.correction import decode_correction, encode_correction, new_correction
from waybill.labelling.masking import mask
from waybill.library import Labeller
from waybill.service.corrections import CorrectionsPart
from waybill.service.fetching import Fetched, Fetcher
from waybill.settings.sources import load_settings

RULES = "rules:\n- {id: fault, label: Error, pattern: 'status 5\\d\\d'}\n"
MESSAGE = "disk 17 is wobbly on 10.0.0.9"


@pytest.fixture(name="overrides")
def _overrides(tmp_path: Path) -> list[str]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    return [
        f"rules.path={tmp_path / 'rules'}",
        "model.path=null",
        f"corrections.path={tmp_path / 'c.ndjson'}",
    ]


async def say(sidecar: Sidecar, **said: object) -> tuple[int, dict[str, object]]:
    """Send a correction; gives status and answer."""
    status, answer, _ = await sidecar.post(json.dumps(said).encode(), "/v1/corrections")
    return status, json.loads(answer)


async def label(sidecar: Sidecar, message: str = MESSAGE) -> tuple[str, str]:
    status, answer, _ = await sidecar.post(json.dumps({"log": message}).encode())
    assert status == 200
    record = json.loads(answer)
    return record["target_label"], record["label_tier"]


async def test_what_is_sent_is_in_force_with_the_answer_and_after_a_restart(
    running: Running, overrides: list[str]
) -> None:
    async with running(*overrides) as sidecar:
        assert await label(sidecar) == ("Unclassified", "none")
        status, answer = await say(sidecar, message=MESSAGE, label="Error", by="ann")
        assert (status, answer["in_force"], answer["refused"]) == (201, True, [])
        assert await label(sidecar, "disk 3 is wobbly on 8.8.8.8") == ("Error", "correction")
        assert (await say(sidecar, message=MESSAGE, label="Error", by="ann"))[0] == 200
        assert sidecar.metric("waybill_corrections_posted_total", outcome="accepted") == 1
        assert sidecar.metric("waybill_corrections_posted_total", outcome="known") == 1
        assert sidecar.metric("waybill_corrections_loaded", labelling="") == 1
    async with running(*overrides) as sidecar:
        assert await label(sidecar) == ("Error", "correction")
        status, answer = await say(sidecar, withdraws=answer["id"])
        assert (status, answer["in_force"]) == (201, True)
        assert await label(sidecar) == ("Unclassified", "none")


async def test_two_who_differ_are_marked(running: Running, overrides: list[str]) -> None:
    async with running(*overrides) as sidecar:
        await say(sidecar, message=MESSAGE, label="Error", by="ann")
        _, answer = await say(sidecar, message=MESSAGE, label="User Action", by="bob")
        assert answer["is_disputed"] is True
        assert await label(sidecar) == ("User Action", "correction")
        assert sidecar.metric("waybill_corrections_disputed", labelling="") == 1


async def test_many_at_once_are_all_kept(running: Running, overrides: list[str]) -> None:
    names = [f"{word} is {state}" for word in ("disk", "net", "cpu") for state in "abcdefgh"]
    async with running(*overrides) as sidecar:
        answers = await asyncio.gather(
            *(say(sidecar, message=name, label="Error") for name in names)
        )
        assert {(status, answer["in_force"]) for status, answer in answers} == {(201, True)}
        for name in names:
            assert await label(sidecar, name) == ("Error", "correction")


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ({"message": "m"}, 400, "fields"),
        ({"message": "m", "label": "Eror"}, 400, "label"),
        ({"message": 1, "label": "Error"}, 400, "fields"),
        ({"message": "m", "label": "Error", "severity": 1}, 400, "fields"),
        ({"message": "", "label": "Error"}, 400, "no_message"),
        ({"message": "m", "label": "Error", "source": "a*"}, 400, "source"),
        ({"withdraws": "nobody's"}, 404, "unknown_id"),
        ({"message": "GET / status 200", "label": "User Action"}, 409, "mixed"),
        ({"message": "m" * (2 << 20), "label": "Error"}, 413, "too_large"),
    ],
)
async def test_what_is_not_taken_has_a_status_and_a_reason(
    running: Running, overrides: list[str], said: dict[str, object], status: int, reason: str
) -> None:
    async with running(*overrides) as sidecar:
        found, answer = await say(sidecar, **said)
        assert (found, answer["reason"]) == (status, reason)
        assert isinstance(answer["detail"], str)
        assert (await sidecar.get("/v1/corrections"))[1] == b""


async def test_without_a_path_there_is_an_answer_all_the_same(
    running: Running, overrides: list[str]
) -> None:
    async with running(*overrides[:2]) as sidecar:
        status, answer = await say(sidecar, message=MESSAGE, label="Error")
        assert (status, answer["reason"]) == (409, "no_path")
        assert await sidecar.get("/v1/corrections") == (200, b"")


async def test_a_token_is_needed_where_tokens_are_set(
    running: Running, overrides: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("a-token\n")
    async with running(*overrides, f"http.tokens_file={tmp_path / 'tokens'}") as sidecar:
        body = json.dumps({"message": MESSAGE, "label": "Error"}).encode()
        assert (await sidecar.post(body, "/v1/corrections"))[0] == 401
        assert (await sidecar.get("/v1/corrections"))[0] == 401
        assert (await sidecar.get("/v1/edition"))[0] == 401
        token = {"Authorization": "Bearer a-token"}
        assert (await sidecar.post(body, "/v1/corrections", **token))[0] == 201


async def test_the_history_is_exported_and_a_copy_that_is_new_is_not_sent_again(
    running: Running, overrides: list[str]
) -> None:
    async with running(*overrides) as sidecar:
        for name in ("first thing", "second thing"):
            await say(sidecar, message=name, label="Error")
        url = f"{sidecar.service.address}/v1/corrections"
        async with sidecar.client.get(url) as reply:
            lines = (await reply.read()).splitlines()
            tag = reply.headers["ETag"]
        said = [decode_correction(line) for line in lines]
        assert [one.mask for one in said] == ["first thing", "second thing"]
        async with sidecar.client.get(url, headers={"If-None-Match": tag}) as reply:
            assert reply.status == 304
        async with sidecar.client.get(url, params={"since": said[0].at}) as reply:
            assert (await reply.read()).splitlines() == lines[1:]
        assert (await sidecar.get("/v1/corrections?since=yesterday"))[0] == 400


async def test_the_edition_tells_versions_and_the_last_refusal(
    running: Running, overrides: list[str], tmp_path: Path
) -> None:
    async with running(*overrides) as sidecar:
        before = json.loads((await sidecar.get("/v1/edition"))[1])
        assert before["model"] is None
        assert before["corrections"]["last_refusal"] is None
        (tmp_path / "c.ndjson").write_text("message,label\n")
        await sidecar.service.reloader.reload()
        told = json.loads((await sidecar.get("/v1/edition"))[1])["corrections"]
        assert (told["version"], told["is_newest"]) == (before["corrections"]["version"], False)
        assert told["last_refusal"]["reason"] == "not_json"
        (tmp_path / "c.ndjson").write_text("\n")
        await sidecar.service.reloader.reload()
        told = json.loads((await sidecar.get("/v1/edition"))[1])["corrections"]
        assert told["is_newest"]
        assert told["since"] == before["corrections"]["since"]
        assert told["last_refusal"]["reason"] == "not_json"


async def test_every_way_in_gives_the_same_label(
    running: Running, overrides: list[str], tmp_path: Path
) -> None:
    said = new_correction(mask(MESSAGE), "Security Alert")
    (tmp_path / "c.ndjson").write_bytes(encode_correction(said))
    dressed = f"\x1b[31m{MESSAGE.replace('17', '99')}\x1b[0m\r\n"
    async with running(*overrides) as sidecar:
        record = {"log": dressed, "source": "crm"}
        bodies = {
            "application/json": json.dumps([record]).encode(),
            "application/x-ndjson": json.dumps(record).encode() + b"\n",
            "application/msgpack": msgpack.packb([[0, {}], record]),
        }
        for kind, body in bodies.items():
            _, answer, _ = await sidecar.post(body, Content_Type=kind)
            assert answer.count(b"Security Alert") == 1, kind
            assert answer.count(said.id.encode()) == 1, kind
        table = io.StringIO()
        csv.writer(table).writerows([["source", "log_message"], ["crm", dressed]])
        _, answer, _ = await sidecar.post(
            table.getvalue().encode(), "/v1/classify/csv", Content_Type="text/csv"
        )
        assert answer.count(b"Security Alert") == 1
        _, answer, _ = await sidecar.post(json.dumps(record).encode(), "/v1/explain")
        assert json.loads(answer)["correction"]["id"] == said.id
    settings = load_settings(overrides=overrides, environ={})
    labeller = await asyncio.to_thread(Labeller, settings)
    try:
        (found,) = await asyncio.to_thread(labeller.classify, [("crm", dressed)])
    finally:
        await asyncio.to_thread(labeller.close)
    assert (found.label, found.tier, found.rule) == ("Security Alert", "correction", said.id)


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
async def test_otlp_gets_the_same_label(
    running: Running,
    overrides: list[str],
    tmp_path: Path,
    collector: Collector,
    content_type: str,
) -> None:
    said = new_correction(mask(MESSAGE), "Security Alert")
    (tmp_path / "c.ndjson").write_bytes(encode_correction(said))
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.log_records.add().body.string_value = f"{MESSAGE}\r\n"
    body = request.SerializeToString()
    if content_type == JSON:
        body = json_format.MessageToJson(request).encode()
    back = ("return.type=otlp", f"return.url={collector.url}")
    async with running(*overrides, *back) as sidecar:
        status, _, _ = await sidecar.post(body, "/v1/logs", Content_Type=content_type)
        assert status == 200
    (record,) = collector.records
    assert attributes(record)["target_label"] == "Security Alert"
    assert attributes(record)["label_rule"] == said.id


async def test_rules_that_newly_contradict_are_refused_where_that_is_enforced(
    running: Running, overrides: list[str], tmp_path: Path
) -> None:
    said = [new_correction("status 0", "User Action"), new_correction("disk 0", "User Action")]
    (tmp_path / "c.ndjson").write_bytes(b"".join(map(encode_correction, said)))
    rules = tmp_path / "rules" / "a.yaml"
    async with running(*overrides, "corrections.guard=enforce") as sidecar:
        while sidecar.metric("waybill_corrections_contradicted", what="rules", labelling="") != 1:
            await asyncio.sleep(0.02)
        rules.write_text(RULES + "- {id: more, label: Error, pattern: 'something else'}\n")
        await sidecar.service.reloader.reload()
        assert sidecar.state("rules").problems == []
        rules.write_text(RULES + "- {id: wrong, label: Error, pattern: 'disk'}\n")
        await sidecar.service.reloader.reload()
        (told,) = sidecar.state("rules").problems
        assert "contradicted" in told
        assert "wrong" in told
        assert sidecar.state("rules").last_refusal is not None
        rules.write_text(RULES + "- {id: right, label: User Action, pattern: 'disk'}\n")
        await sidecar.service.reloader.reload()
        assert sidecar.state("rules").problems == []


async def test_a_server_is_followed_and_outlived(
    running: Running, overrides: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "kept" / "followed.ndjson"
    async with running(*overrides) as server:
        follow = [
            *overrides[:2],
            f"corrections.follow={server.service.address}",
            "corrections.interval_secs=0.05",
            f"corrections.follow_cache={cache}",
        ]
        async with running(*follow) as sidecar:
            await say(server, message=MESSAGE, label="Error")
            while await label(sidecar) != ("Error", "correction"):
                await asyncio.sleep(0.02)
            status, answer = await say(sidecar, message="m", label="Error")
            assert (status, answer["reason"]) == (409, "no_path")
            assert server.service.address in str(answer["detail"])
            (tmp_path / "c.ndjson").write_text("message,label\n")
            await server.service.reloader.reload()
            while not sidecar.metric("waybill_correction_pulls_total", outcome="unchanged"):
                await asyncio.sleep(0.02)
            assert await label(sidecar) == ("Error", "correction")
    async with running(*follow) as sidecar:
        assert await label(sidecar) == ("Error", "correction")
        while not sidecar.metric("waybill_correction_pulls_total", outcome="unreachable"):
            await asyncio.sleep(0.02)
        told = json.loads((await sidecar.get("/readyz"))[1])["corrections"]["follow"]
        assert "unreachable" in told["problem"]


async def test_a_value_that_came_by_and_decides_is_named(
    running: Running, overrides: list[str], tmp_path: Path
) -> None:
    rule = "rules:\n- {id: vip, label: Error, pattern: 'customer 8240117 '}\n"
    (tmp_path / "rules" / "a.yaml").write_text(rule)
    async with running(*overrides) as sidecar:
        saying = {"message": "customer 7 left", "label": "User Action"}
        await label(sidecar, "customer 8240117 left")
        status, answer = await say(sidecar, **saying)
        assert (status, answer["reason"]) == (409, "mixed")
        assert "8240117" in str(answer["detail"])


async def test_what_a_server_sends_again_is_not_loaded_again(
    running: Running, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that call their copies by no name send all of them each time."""
    said = encode_correction(
        new_correction("a <num> b", "Error", by="ann", at="2026-11-20T10:00:00Z")
    )
    answers = [said, said, said, said + said[:-1], said, b"{}", said]

    async def fetch(_: Fetcher) -> Fetched:
        return Fetched(answers.pop(0) if answers else said, None)

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    loads = []

    async def catch_up(part: CorrectionsPart) -> None:
        loads.append(part)

    monkeypatch.setattr(CorrectionsPart, "catch_up", catch_up)
    follow = ["corrections.follow=http://127.0.0.1:9", "corrections.interval_secs=0.01"]
    async with running(*overrides[:2], *follow) as sidecar:
        while answers or not sidecar.metric("waybill_correction_pulls_total", outcome="unchanged"):
            await asyncio.sleep(0.01)
        assert len(loads) <= 3
        assert sidecar.metric("waybill_correction_pulls_total", outcome="accepted") == len(loads)
