"""A whole sidecar over HTTP: what shippers send, what strangers send, what the answer tells them."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import Running, Sidecar, running
from tests.patience import patience, until
from waybill.core.version import VERSION
from waybill.ingest.http.server import canonical
from waybill.wire.compression import ENCODINGS, compress, decompress, encodings_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
CAPTURES = Path(__file__).parent.parent / "data" / "captures"
ADDED = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}
#: What a shipper may hear, a closed set: docs/reliability.md.
ALLOWED = {200, 204, 400, 401, 404, 405, 409, 413, 415, 503}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="sidecar")
async def _sidecar(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sidecar]:
    """One sidecar for the module, with a dead-letter folder and a small body limit."""
    folder = tmp_path_factory.mktemp("dead")
    async with running(f"dead_letter.path={folder}", "limits.body_bytes=4000000") as sidecar:
        yield sidecar


def capture(name: str) -> tuple[dict[str, str], bytes]:
    """A request as a real Fluent Bit sent it: (headers, body)."""
    head, _, body = (CAPTURES / name).read_bytes().partition(b"\r\n\r\n")
    lines = head.decode().splitlines()[1:]
    pairs = (line.split(": ", 1) for line in lines)
    return {
        k: v for k, v in pairs if k not in ("Host", "Content-Length", "Connection", "User-Agent")
    }, body


def records_of(body: bytes, name: str) -> list[Any]:
    if "msgpack" in name:
        return list(msgpack.Unpacker(io.BytesIO(body), unicode_errors="surrogateescape"))
    text = body.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder(
        parse_int=lambda text: ("int", text), parse_float=lambda text: ("float", text)
    )
    found: list[Any] = []
    at = 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        found += value if isinstance(value, list) else [value]
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def refusal(answer: bytes) -> str:
    """The reason of a refusal; every one has a sentence as well, and nothing else."""
    said = json.loads(answer)
    assert said.keys() == {"reason", "detail"}
    assert len(said["detail"]) > 10
    return str(said["reason"])


@pytest.mark.parametrize(
    "name", sorted(path.name for path in CAPTURES.glob("*.http") if "otlp" not in path.name)
)
async def test_what_a_real_fluent_bit_sent_comes_back_with_our_fields_and_nothing_else(
    sidecar: Sidecar, name: str
) -> None:
    headers, body = capture(name)
    encoding = headers.get("Content-Encoding", "none")
    async with sidecar.client.post(
        sidecar.service.address + "/v1/label",
        data=body,
        headers=headers | {"Accept-Encoding": encoding},
    ) as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"] == headers["Content-Type"]
        answer = await reply.read()
    plain = body if encoding == "none" else decompress(body, encodings_of(encoding), 1 << 20)
    answer = answer if encoding == "none" else decompress(answer, encodings_of(encoding), 1 << 20)
    before, after = records_of(plain, name), records_of(answer, name)
    assert len(before) == len(after) > 5
    for sent, back in zip(before, after, strict=True):
        record, labelled = (sent[1], back[1]) if "msgpack" in name else (sent, back)
        if "msgpack" in name:
            assert sent[0] == back[0]
        assert "target_label" in labelled
        assert {key: value for key, value in labelled.items() if key not in ADDED} == record


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_encoding_both_ways(sidecar: Sidecar, encoding: str) -> None:
    body = compress(b'[{"log":"User User1 logged in."}]', encoding)
    status, answer, headers = await sidecar.post(
        body, Content_Encoding=encoding, Accept_Encoding=encoding
    )
    assert (status, headers["Content-Encoding"]) == (200, encoding)
    (record,) = json.loads(decompress(answer, encodings_of(encoding), 1 << 20))
    assert (record["target_label"], record["label_rule"]) == ("User Action", "user-login-logout")


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_compressed_body_cut_at_any_byte_is_never_accepted(
    sidecar: Sidecar, encoding: str
) -> None:
    data = compress(b"".join(b'{"log":"line %d"}\n' % i for i in range(20)), encoding)
    for cut in range(len(data)):
        status, _, _ = await sidecar.post(data[:cut], Content_Encoding=encoding)
        assert status == 400


DEEP = b'[{"log":"a"},{"log":"x","d":' + b"[" * 100_000 + b"]" * 100_000 + b'},{"log":"b"}]'
MSGPACK = {"Content-Type": "application/msgpack"}
HOSTILE = [
    pytest.param(b"", {}, 200, None, id="empty body"),
    pytest.param(b"[]", {}, 200, None, id="empty array"),
    pytest.param(b"hello", {}, 400, "not_json", id="not JSON"),
    pytest.param(b'{"log":', {}, 400, "not_json", id="cut object"),
    pytest.param(b'[{"log":"a"},{"log":"b', {}, 200, None, id="cut array with a whole record"),
    pytest.param(DEEP, {}, 200, None, id="depth 100,000"),
    pytest.param(b"[" * 100_000, {}, 400, "not_json", id="100,000 open brackets"),
    pytest.param(b'[{"log":"\\ud800"},{"log":"b"}]', {}, 200, None, id="lone surrogate"),
    pytest.param(b'[{"log":"\xff\xfe"},{"log":"b"}]', {}, 200, None, id="invalid UTF-8"),
    pytest.param(b'[{"log":"a","n":NaN}]', {}, 200, None, id="NaN"),
    pytest.param(b'[{"log":"a","log":"b"}]', {}, 200, None, id="duplicate keys"),
    pytest.param(b'[{"log":"a","n":' + b"7" * 400 + b"}]", {}, 200, None, id="400 digits"),
    pytest.param(b'[1,"x",null,true,[],{"log":"a"}]', {}, 200, None, id="records that are no objects"),
    pytest.param(b'{"log":"' + b"z" * 1_000_000 + b'"}', {}, 200, None, id="1 MB message"),
    pytest.param(b'{"log":"\\u0000"}', {}, 200, None, id="NUL"),
    pytest.param(gzip.compress(b"{}")[:-3], {"Content-Encoding": "gzip"}, 400, "truncated_gzip", id="cut gzip"),
    pytest.param(b"no gzip", {"Content-Encoding": "gzip"}, 400, "corrupt_gzip", id="no gzip"),
    pytest.param(gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"}, 413, "too_large", id="gzip bomb"),
    pytest.param(compress(bytes(50_000_000), "zstd"), {"Content-Encoding": "zstd"}, 413, "too_large", id="zstd bomb"),
    pytest.param(b"x" * 4_000_001, {}, 413, "too_large", id="larger than the limit"),
    pytest.param(b"{}", {"Content-Encoding": "br"}, 415, "unsupported_encoding", id="unknown encoding"),
    pytest.param(b"{}", {"Content-Encoding": "gzip, gzip"}, 400, "corrupt_gzip", id="stacked encodings"),
    pytest.param(b"\xc1", MSGPACK, 400, "not_msgpack", id="not msgpack"),
    pytest.param(b"\xdd\xff\xff\xff\xff", MSGPACK, 400, "not_msgpack", id="4 billion elements"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "status", "reason"), HOSTILE)
async def test_hostile_bodies_get_a_clear_answer(
    sidecar: Sidecar, body: bytes, headers: dict[str, str], status: int, reason: str | None
) -> None:
    got, answer, _ = await sidecar.post(
        body, **{k.replace("-", "_"): v for k, v in headers.items()}
    )
    assert got == status
    if reason is not None:
        assert refusal(answer) == reason
    alive, _, _ = await sidecar.post(b'{"log":"still here"}')
    assert alive == 200


async def test_a_json_body_cut_at_any_byte_never_loses_a_whole_record(sidecar: Sidecar) -> None:
    _, body = capture("fluentbit_json.http")
    for cut in range(1, len(body), 7):
        status, answer, _ = await sidecar.post(body[:cut])
        assert status in (200, 400)
        if status == 200:
            assert answer.count(b'"target_label"') >= body[:cut].count(b'},{"date"')


async def test_a_body_past_the_limit_is_kept_as_well(sidecar: Sidecar) -> None:
    folder = Path(sidecar.service.settings.dead_letter.path or "")
    body = b"y" * 4_000_123
    assert (await sidecar.post(body))[0] == 413
    assert any(
        path.stat().st_size == len(body) and path.read_bytes() == body
        for path in folder.glob("*.body")
    )


async def test_unreadable_bodies_are_kept(sidecar: Sidecar) -> None:
    folder = Path(sidecar.service.settings.dead_letter.path or "")
    before = {path.read_bytes() for path in folder.glob("*.body")}
    await sidecar.post(b"keep me", Content_Encoding="gzip")
    assert {path.read_bytes() for path in folder.glob("*.body")} - before == {b"keep me"}
    notes = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
    assert {"reason": "corrupt_gzip", "encodings": ["gzip"], "bytes": 7} in [
        {key: note[key] for key in ("reason", "encodings", "bytes")} for note in notes
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("HEAD", "/v1/label", 200), ("GET", "/v1/label", 200), ("GET", "/v1/label/kube.a", 200),
     ("DELETE", "/v1/label", 405),
     ("GET", "/nothing", 404), ("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 200),
     ("GET", "/openapi.json", 200), ("GET", "/", 200), ("GET", "/docs", 200), ("GET", "/v1/rules", 200), ("PUT", "/v1/label", 200)],
)  # fmt: skip
async def test_paths_and_methods(sidecar: Sidecar, method: str, path: str, status: int) -> None:
    async with sidecar.client.request(method, sidecar.service.address + path) as reply:
        assert reply.status == status


async def test_records_are_counted_by_tier_and_label(sidecar: Sidecar) -> None:
    def counts() -> tuple[float, ...]:
        return (
            sidecar.metric("waybill_records_received_total", ingest="http"),
            sidecar.metric("waybill_records_labelled_total", tier="rule", label="User Action"),
            sidecar.metric("waybill_records_handed_back_total", handback="body"),
            sidecar.metric("waybill_batches_refused_total", ingest="http", reason="not_json"),
            sidecar.metric("waybill_inflight_bytes"),
        )

    before = counts()
    await sidecar.post(b'[{"log":"User User1 logged in."},{"log":"User User2 logged out."}]')
    await sidecar.post(b"nonsense")
    assert [round(b - a) for a, b in zip(before, counts(), strict=True)] == [2, 2, 2, 1, 0]


async def test_what_another_has_labelled_is_not_counted_as_ours(sidecar: Sidecar) -> None:
    def counts() -> tuple[float, ...]:
        return (
            sidecar.metric("waybill_records_labelled_total", tier="none", label="Unclassified"),
            sidecar.metric("waybill_records_unclassified_total", reason="already_labelled"),
            sidecar.metric("waybill_records_passed_total", reason="already_labelled"),
            sidecar.metric("waybill_records_handed_back_total", handback="body"),
        )

    before = counts()
    await sidecar.post(b'[{"log":"a","target_label":"Error"},{"log":"b","target_label":"Error"}]')
    assert [round(b - a) for a, b in zip(before, counts(), strict=True)] == [0, 0, 2, 2]


async def test_the_metrics_are_one_page_that_prometheus_reads(sidecar: Sidecar) -> None:
    _, text = await sidecar.get("/metrics")
    assert b"waybill_build_info{" in text
    assert b"# TYPE waybill_records_labelled_total counter" in text
    _, text = await sidecar.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert text.endswith(b"# EOF\n")


async def test_the_description_names_every_route(sidecar: Sidecar) -> None:
    _, text = await sidecar.get("/openapi.json")
    described = json.loads(text)
    routes = {
        (route.method.lower(), canonical(route.path))
        for route in sidecar.service.http.routes
        if route.method not in ("HEAD", "PUT")
    }
    assert {
        (method, path)
        for path, item in described["paths"].items()
        for method in item
        if method != "parameters"
    } == routes
    assert described["info"]["version"] == VERSION


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
    assert [rule["id"] for rule in told["rules"]] == ["user-login-logout"]
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


CSV = 'source,log_message\nModernCRM,User User1 logged in.\nLegacyCRM,"two\nlines, ""quoted"""\n'
LABELLED_CSV = (
    "source,log_message,target_label,confidence,tier,reason,rule\n"
    "ModernCRM,User User1 logged in.,User Action,1,rule,,user-login-logout\n"
    'LegacyCRM,"two\nlines, ""quoted""",Unclassified,,none,llm_disabled,\n'
)


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
    tokens.write_text("# two at once, for rotation\nold-token\nnew-token\n")
    async with running(f"http.tokens_file={tokens}", "model.path=null") as sidecar:
        assert (await sidecar.post(b"{}"))[0] == 401
        assert (await sidecar.post(b"{}", Authorization="Bearer wrong"))[0] == 401
        assert (await sidecar.post(b"{}", Authorization="Basic new-token"))[0] == 401
        assert (await sidecar.post(b"{}", Authorization="Bearer old-token"))[0] == 200
        assert (await sidecar.post(b"{}", Authorization="bearer new-token"))[0] == 200
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


async def test_what_is_no_http_is_logged_and_counted(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"ingest": "api", "reason": "bad_request"}
    before = sidecar.metric("waybill_batches_refused_total", **labels)
    host, port = sidecar.service.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"nonsense\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert sidecar.metric("waybill_batches_refused_total", **labels) == before + 1
    assert any(vars(record).get("reason") == "bad_request" for record in caplog.records)


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


async def test_a_csv_that_breaks_off_in_the_middle_breaks_the_connection(running: Running) -> None:
    rows = b"log\n" + b"a message\n" * 2000 + b'"' + b"x" * 200_000
    async with running("model.path=null", "limits.body_bytes=100000") as sidecar:
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
            await sidecar.post(rows, "/v1/classify/csv")
        labels = {"ingest": "api", "reason": "csv_row_too_large"}
        assert sidecar.metric("waybill_batches_refused_total", **labels) == 1


async def test_a_csv_fault_in_a_later_row_breaks_the_connection(running: Running) -> None:
    rows = b"log\n" + b"a message\n" * 20_000 + b"a,b\n"
    async with running("model.path=null") as sidecar:
        for query, is_whole in (("", True), ("?on_error=skip", True), ("?on_error=fail", False)):
            host, port = sidecar.service.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = (
                f"POST /v1/classify/csv{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(rows)}"
            )
            writer.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + rows)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while data := await reader.read(1 << 20):
                    answer += data
            writer.close()
            assert answer.count(b"HTTP/1.1") == 1
            assert answer.endswith(b"0\r\n\r\n") == is_whole
        status, answer, _ = await sidecar.post(b"log\na,b\n", "/v1/classify/csv?on_error=fail")
        assert (status, json.loads(answer)["reason"]) == (400, "csv_row")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
async def test_a_csv_may_be_compressed(sidecar: Sidecar, encoding: str) -> None:
    body = compress(CSV.encode(), encoding)
    status, answer, _ = await sidecar.post(body, "/v1/classify/csv", Content_Encoding=encoding)
    assert (status, answer.decode()) == (200, LABELLED_CSV)
    with contextlib.suppress(aiohttp.ClientPayloadError):  # the head is sent before the end is seen
        status, _, _ = await sidecar.post(body[:-5], "/v1/classify/csv", Content_Encoding=encoding)
        assert status == 400


async def test_how_a_csv_is_read_can_be_said(sidecar: Sidecar) -> None:
    body = "Wer~Was\nCRM~Größe\n".encode("latin-1")
    query = "?delimiter=~&message_column=was&source_column=wer&label_column=mine"
    status, answer, headers = await sidecar.post(body, f"/v1/classify/csv{query}")
    assert status == 200
    assert answer.startswith(b"Wer~Was~mine~confidence~tier~reason~rule\nCRM~Gr\xf6\xdfe~")
    assert headers["Content-Type"] == "text/csv; charset=cp1252"
    for wrong in ("?nonsense=1", "?delimiter=ab", "?on_error=maybe", "?encoding=klingon"):
        status, answer, _ = await sidecar.post(CSV.encode(), f"/v1/classify/csv{wrong}")
        assert status == 400, wrong
        assert json.loads(answer)["detail"]


async def test_a_csv_that_trickles_is_cut(running: Running) -> None:
    async with running("http.read_timeout_secs=0.4", "model.path=null") as sidecar:
        host, port = sidecar.service.address.removeprefix("http://").split(":")
        for start in (b"", b"log\nfirst\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /v1/classify/csv HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"
            )
            writer.write(start)

            async def drip(writer: asyncio.StreamWriter = writer) -> None:
                while True:
                    await asyncio.sleep(0.05)
                    writer.write(b"x")

            dripping = asyncio.create_task(drip())
            async with patience():
                if start:
                    with contextlib.suppress(ConnectionResetError):
                        assert (await reader.read()).count(b"HTTP/1.1") == 1
                else:
                    assert (await reader.readline()).startswith(b"HTTP/1.1 503")
            dripping.cancel()
            writer.close()
        assert sidecar.metric("waybill_inflight_bytes") == 0


async def test_a_csv_is_counted_like_any_other_records(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        await sidecar.post(b"log\nsomething odd\n", "/v1/classify/csv")
        counted = sidecar.metric(
            "waybill_records_labelled_total", tier="none", label="Unclassified"
        )
        assert counted == 1


async def test_a_refused_token_is_logged_with_who_and_where(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("good-token\n")
    async with running(f"http.tokens_file={tokens}", "model.path=null") as sidecar:
        status, answer, _ = await sidecar.post(b"{}", Authorization="Bearer wrong")
        assert (status, refusal(answer)) == (401, "unauthorised")
        (line,) = [vars(record) for record in caplog.records if "refused" in record.message]
        assert (line["reason"], line["path"], line["peer"]) == (
            "unauthorised",
            "/v1/label",
            "127.0.0.1",
        )
        assert "wrong" not in str(line)
        _, ready = await sidecar.get("/readyz")
        assert json.loads(ready)["tokens"]["version"] == "1 valid"
        tokens.write_text("")
        await until(lambda: sidecar.state("tokens").problems)
        assert (await sidecar.post(b"{}", Authorization="Bearer good-token"))[0] == 200
        assert sidecar.metric("waybill_last_reload_successful", what="tokens") == 0
        _, ready = await sidecar.get("/readyz")
        assert "is empty" in json.loads(ready)["tokens"]["refused"][0]
