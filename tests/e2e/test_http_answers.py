"""What the other endpoints say, what is refused, and when."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import Running, Sidecar, running
from tests.e2e.http_rig import CSV, LABELLED_CSV, refusal

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_legacy_crm_is_unclassified_and_says_why(sidecar: Sidecar) -> None:
    _, answer, _ = await sidecar.post(b'{"source":"LegacyCRM","log":"User User1 logged in."}')
    record = json.loads(answer)
    assert (record["target_label"], record["label_tier"], record["label_reason"]) == (
        "Unclassified",
        "none",
        "llm_disabled",
    )


async def test_prose_is_unclassified(sidecar: Sidecar) -> None:
    _, answer, _ = await sidecar.post(b'{"log":"the quick brown fox jumps over the lazy dog"}')
    assert json.loads(answer)["target_label"] == "Unclassified"


async def test_explain_shows_the_way_of_one_message(sidecar: Sidecar) -> None:
    body = json.dumps({"source": "ModernCRM", "message": "User User1 logged in."}).encode()
    status, answer, _ = await sidecar.post(body, "/v1/explain")
    told = json.loads(answer)
    assert (status, told["label"], told["tier"]) == (200, "User Action", "rule")
    assert told["rules"][0]["id"] == "user-login-logout"
    assert told["model"]["nearest"]
    record = b'{"source":"ModernCRM","log":"User User1 logged in."}'
    _, of_record, _ = await sidecar.post(record, "/v1/explain")
    assert json.loads(of_record) == told


@pytest.mark.parametrize("body", [b"", b"[]", b'{"message":5}', b"{}"])
async def test_explain_refuses_what_is_no_question(sidecar: Sidecar, body: bytes) -> None:
    status, _, _ = await sidecar.post(body, "/v1/explain")
    assert status == 400


async def test_rules_can_be_tried_without_coming_into_force(sidecar: Sidecar) -> None:
    _, before = await sidecar.get("/v1/rules")
    text = "rules:\n- {id: t, label: Error, pattern: 'boom \\d+', match: ['boom 1']}"
    body = json.dumps({"rules": text, "messages": ["boom 7", "calm"]}).encode()
    _, answer, _ = await sidecar.post(body, "/v1/rules/test")
    assert json.loads(answer) == {
        "accepted": True,
        "matches": [{"rule": "t", "label": "Error"}, None],
        "in_force": [None, None],
        "changed": [{"message": 0, "from": None, "to": "Error"}],
        "warnings": [],
    }
    two = json.dumps({"rules": "rules:\n- {id: t, label: Eggs, pattern: '('}"}).encode()
    _, answer, _ = await sidecar.post(two, "/v1/rules/test")
    assert [fault["reason"] for fault in json.loads(answer)["faults"]] == ["label", "pattern"]
    broken = json.dumps({"rules": text + "\n- {id: t, label: Error, pattern: '('}"}).encode()
    _, answer, _ = await sidecar.post(broken, "/v1/rules/test")
    assert {fault["reason"] for fault in json.loads(answer)["faults"]} == {
        "duplicate_id",
        "pattern",
    }
    assert (await sidecar.get("/v1/rules"))[1] == before


async def test_a_csv_comes_back_with_labels(sidecar: Sidecar) -> None:
    status, answer, _ = await sidecar.post(
        CSV.encode(), "/v1/classify/csv", Content_Type="text/csv"
    )
    assert (status, answer.decode()) == (200, LABELLED_CSV)


async def test_a_csv_can_come_as_a_form(sidecar: Sidecar) -> None:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(CSV.encode()), filename="logs.csv", content_type="text/csv")
    async with sidecar.client.post(
        sidecar.service.address + "/v1/classify/csv", data=form
    ) as reply:
        assert (reply.status, await reply.text()) == (200, LABELLED_CSV)


@pytest.mark.parametrize("body", [b"", b"a,b\n1,2\n", b'source,log_message\n"open'])
async def test_a_csv_that_cannot_be_read_is_refused_or_ends(sidecar: Sidecar, body: bytes) -> None:
    status, _, _ = await sidecar.post(body, "/v1/classify/csv", Content_Type="text/csv")
    assert status == (200 if body.startswith(b"source") else 400)


async def test_a_body_that_trickles_is_answered_503_and_closed() -> None:
    async with running("http.read_timeout_secs=0.1", "model.path=null") as sidecar:
        host, port = sidecar.service.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/label HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After" in answer


async def test_too_much_in_flight_is_refused_for_now(running: Running) -> None:
    async with running(
        "limits.body_bytes=1000", "limits.inflight_bytes=1000", "model.path=null"
    ) as sidecar:
        with sidecar.service.inflight.hold() as grow:
            grow(990)
            status, answer, headers = await sidecar.post(b'{"log":"a message"}')
            assert (status, refusal(answer), headers["Retry-After"]) == (503, "inflight_bytes", "1")
        status, _, _ = await sidecar.post(b'{"log":"a message"}')
        assert status == 200
        assert sidecar.service.inflight.bytes == 0


async def test_tokens_guard_everything_but_the_probes(running: Running, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# two at once, for rotation\nold-token\nnew-token\nship a-token\n")
    async with running(f"http.tokens_file={tokens}", "model.path=null") as sidecar:
        assert (await sidecar.post(b"{}"))[0] == 401
        assert (await sidecar.post(b"{}", Authorization="Bearer wrong"))[0] == 401
        assert (await sidecar.post(b"{}", Authorization="Basic new-token"))[0] == 401
        assert (await sidecar.post(b"{}", Authorization="Bearer old-token"))[0] == 200
        assert (await sidecar.post(b"{}", Authorization="bearer new-token"))[0] == 200
        for door in ("//V1/label", "/v1//LABEL/a.tag"):
            assert (await sidecar.post(b"{}", door))[0] == 401
            assert (await sidecar.post(b"{}", door, Authorization="Bearer a-token"))[0] == 200
        assert (await sidecar.post(b"{}", "//V1/logs/"))[0] == 401
        assert (await sidecar.get("/healthz"))[0] == (await sidecar.get("/metrics"))[0] == 200
        for closed in ("/v1/rules", "/openapi.json", "/docs", "/"):
            assert (await sidecar.get(closed))[0] == 401


async def test_shadow_rules_and_rules_out_of_time_are_counted(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(
        "rules:\n- {id: s, label: Error, pattern: boom, mode: shadow}\n"
    )
    async with running(f"rules.path={tmp_path}", "model.path=null") as sidecar:
        await sidecar.post(b'[{"log":"boom 1"},{"log":"boom 2"},{"log":"calm"}]')
        for _ in range(2):
            _, text = await sidecar.get("/metrics")
            assert b'waybill_rule_shadow_hits_total{rule="s"} 2.0' in text
            assert b"waybill_rule_timeouts_total 0.0" in text


async def test_draining_refuses_new_batches_for_now(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        sidecar.service.flow.is_draining = True
        assert (await sidecar.post(b"{}"))[0] == 503
        assert (await sidecar.get("/readyz"))[0] == 503
        assert (await sidecar.get("/healthz"))[0] == 200


async def test_a_failure_nobody_foresaw_is_503_and_tells_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("model.path=null") as sidecar:

        def explode(*_: object) -> None:
            raise RuntimeError("secret detail")

        monkeypatch.setattr(sidecar.service.flow.wire, "decode", explode)
        status, answer, _ = await sidecar.post(b"{}")
    assert (status, refusal(answer)) == (503, "internal")
    assert b"secret" not in answer


@pytest.mark.parametrize(
    ("path", "headers", "tag"),
    [
        ("/v1/label/app.web", {}, "app.web"),
        ("/v1/label/app.web", {"X_Waybill_Tag": "other"}, "app.web"),
        ("/v1/label", {"X_Waybill_Tag": "one", "Fluent_Tag": "two"}, "one"),
        ("/v1/label", {"Fluent_Tag": "two"}, "two"),
        ("/v1/label", {"X_Fluent_Tag": "three"}, "three"),
        ("/v1/label", {}, "waybill"),
        ("/v1/label/a%20b", {}, "a_b"),
        ("/v1/label/a/b", {}, "a_b"),
        ("/v1/label", {"Fluent_Tag": "a..b"}, "a__b"),
        ("/v1/label", {"Fluent_Tag": "é/x"}, "__x"),
        ("/v1/label/" + "a" * 300, {}, "a" * 246),
    ],
)
async def test_the_tag_goes_on_to_the_receiver_made_plain(
    running: Running, path: str, headers: dict[str, str], tag: str
) -> None:
    seen: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append(request.headers["X-Waybill-Tag"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestServer(app) as receiver:
        push = (
            "return.type=http",
            f"return.url={receiver.make_url('/')}",
            "return.tag_prefix=labelled.",
        )
        async with running("model.path=null", *push) as sidecar:
            status, body, _ = await sidecar.post(b'{"log":"x"}', path, **headers)
    assert (status, body) == (204, b"")
    assert seen == [f"labelled.{tag}"]


async def test_a_refusal_is_json_and_counted_under_its_reason(sidecar: Sidecar) -> None:
    for headers, body, status, reason in (
        ({"Content_Encoding": "br"}, b"x", 415, "unsupported_encoding"),
        ({"Content_Encoding": "gzip"}, b"x", 400, "truncated_gzip"),
        ({}, b"\x01", 400, "not_json"),
    ):
        labels = {"ingest": "http", "reason": reason}
        before = sidecar.metric("waybill_batches_refused_total", **labels)
        found, answer, about = await sidecar.post(body, **headers)
        assert (found, about["Content-Type"].partition(";")[0]) == (status, "application/json")
        assert refusal(answer) == reason
        assert sidecar.metric("waybill_batches_refused_total", **labels) == before + 1


@pytest.mark.parametrize("records", [3, 9000], ids=["small", "made on a thread"])
async def test_an_answer_comes_compressed_when_asked_whatever_its_size(
    sidecar: Sidecar, records: int
) -> None:
    body = b"\n".join(b'{"log":"disk %d is full","n":%d}' % (i, i) for i in range(records))
    status, answer, about = await sidecar.post(
        body, Accept_Encoding="gzip", Content_Type="application/x-ndjson"
    )
    assert (status, about["Content-Encoding"]) == (200, "gzip")
    assert about["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line)["n"] for line in gzip.decompress(answer).splitlines()] == list(
        range(records)
    )


async def test_what_curl_calls_a_form_is_answered_as_the_json_that_it_is(sidecar: Sidecar) -> None:
    form = "application/x-www-form-urlencoded"
    status, _, about = await sidecar.post(b'{"log":"a"}', Content_Type=form)
    assert (status, about["Content-Type"]) == (200, "application/json")


async def test_the_health_check_of_shippers_is_200_and_empty(sidecar: Sidecar) -> None:
    for method in ("HEAD", "GET"):
        async with sidecar.client.request(
            method, sidecar.service.address + "/v1/label/any.tag"
        ) as reply:
            assert (reply.status, await reply.read()) == (200, b"")


async def test_a_method_that_is_not_allowed_is_told_which_are(sidecar: Sidecar) -> None:
    async with sidecar.client.delete(sidecar.service.address + "/v1/label") as reply:
        assert (reply.status, refusal(await reply.read())) == (405, "method_not_allowed")
        assert {"GET", "HEAD", "POST", "PUT"} <= set(reply.headers["Allow"].split(","))


@pytest.mark.parametrize("path", ["/v1/label/", "/healthz/", "/v1/rules/", "/readyz/"])
async def test_a_slash_at_the_end_of_a_path_is_taken(sidecar: Sidecar, path: str) -> None:
    assert (await sidecar.get(path))[0] == 200
    if path == "/v1/label/":
        assert (await sidecar.post(b'{"log":"a"}', path))[0] == 200


async def test_a_path_that_is_not_served_is_told_which_are_logged_and_counted(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"ingest": "http", "reason": "not_found"}
    before = sidecar.metric("waybill_batches_refused_total", **labels)
    status, answer, _ = await sidecar.post(b"{}", "/v1/lable")
    said = json.loads(answer)
    assert (status, said["reason"]) == (404, "not_found")
    assert {"/v1/label", "/v1/label/{tag}", "/v1/logs", "/v1/explain"} <= set(said["paths"])
    assert sidecar.metric("waybill_batches_refused_total", **labels) == before + 1
    (line,) = [vars(record) for record in caplog.records if record.levelname == "WARNING"]
    assert (line["path"], line["method"], line["peer"]) == ("/v1/lable", "POST", "127.0.0.1")


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/lable", b"{}", "send to /v1/label"),
        ("/v1/labels", b"{}", "send to /v1/label"),
        ("/loki/api/v1/push", b"{}", "this is no Loki: let the sender use its output for HTTP"),
        ("/index/_bulk", b"{}", "this is no Elasticsearch: let the sender use its output for HTTP"),
        ("/services/collector/event", b"{}", "this is no Splunk: let the sender use its output"),
        ("/v1/traces", b"{}", "only logs are taken, at /v1/logs"),
        ("/v1/log", b"{}", "send to /v1/logs"),
        ("/v1/rules/tests", b"{}", "send to /v1/rules/test"),
        ("/zorbl", b"{}", "see paths"),
        ("/v1/corrections", b'{"mesage":"a","label":"Error"}', "(did you mean message?)"),
        ("/v1/classify/csv?message_colum=a", b"log\na\n", "(did you mean message_column?)"),
        ("/v1/explain", b"hello", 'expected such as {\\"source\\"'),
        ("/v1/explain", b"[]", 'expected such as {\\"source\\"'),
        ("/v1/rules/test", b'{"rules":"rules: []","labeling":"a"}', "(did you mean labelling?)"),
        ("/v1/rules/test", b"rules: []", 'expected such as {\\"rules\\"'),
    ],
)
async def test_what_is_mistyped_is_told_what_may_be_meant(
    sidecar: Sidecar, path: str, body: bytes, told: str
) -> None:
    status, answer, _ = await sidecar.post(body, path)
    assert 400 <= status < 500
    assert told in answer.decode()


async def test_what_is_no_http_is_logged_and_counted(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"ingest": "api", "reason": "bad_request"}
    before = sidecar.metric("waybill_batches_refused_total", **labels)
    host, port = sidecar.service.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"nonsense\r\n\r\n")
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.0 400")
    assert json.loads(answer)["reason"] == "bad_request"
    assert sidecar.metric("waybill_batches_refused_total", **labels) == before + 1
    assert any(vars(record).get("reason") == "bad_request" for record in caplog.records)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS is off here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken here"),
    ],
)
async def test_who_speaks_another_protocol_is_told(
    sidecar: Sidecar, first: bytes, told: str
) -> None:
    host, port = sidecar.service.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(first)
    assert told in (await reader.read()).decode()
    writer.close()


@pytest.mark.parametrize(
    ("first", "spoken"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"\x92\xa3app\x91\x92\x01\x81\xa3log\xa1a", "Forward"),
        (b"<34>1 2026-01-01T00:00:00Z host app - - - text\n", "syslog"),
        (b'{"log":"a"}\n', "JSON"),
    ],
)
async def test_what_speaks_on_the_wrong_port_is_named_in_the_log(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture, first: bytes, spoken: str
) -> None:
    host, port = sidecar.service.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(first)
    await reader.read()
    writer.close()
    (detail,) = [
        vars(record)["detail"] for record in caplog.records if record.levelname == "WARNING"
    ]
    assert detail.startswith(f"the sender speaks {spoken}")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/explain", b"{}", "message"),
        ("/v1/explain", b'{"message":"a","source":1}', "source"),
        ("/v1/rules/test", b"{}", "rules"),
        ("/v1/rules/test", b'{"rules":"rules: []","messages":["a",1]}', "messages[1]"),
        ("/v1/rules/test", b'{"rules":"rules: []","messages":1}', "messages"),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    sidecar: Sidecar, path: str, body: bytes, said: str
) -> None:
    status, answer, _ = await sidecar.post(body, path)
    assert (status, refusal(answer)) == (400, "fields")
    assert json.loads(answer)["detail"].startswith(said)


async def test_no_answer_tells_the_versions_of_its_makers(sidecar: Sidecar) -> None:
    for path in ("/v1/label", "/healthz", "/nothing"):
        async with sidecar.client.get(sidecar.service.address + path) as reply:
            assert reply.headers["Server"] == "waybill"
