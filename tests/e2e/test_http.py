"""A whole sidecar over HTTP: what shippers send, what strangers send, what the answer tells them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.conftest import Sidecar
from tests.e2e.http_rig import refusal
from waybill.core.version import VERSION
from waybill.ingest.http.server import canonical
from waybill.wire.compression import ENCODINGS, compress, decompress, encodings_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
ADDED = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}
#: What a shipper may hear, a closed set: docs/reliability.md.
ALLOWED = {200, 204, 400, 401, 404, 405, 409, 413, 415, 503}


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
    pytest.param(gzip.compress(b'{"log":"a"}'), {}, 200, None, id="gzip that nobody names"),
    pytest.param(compress(b'{"log":"a"}', "zstd"), {}, 200, None, id="zstd that nobody names"),
    pytest.param(gzip.compress(b"{}")[:-3], {}, 400, "truncated_gzip", id="cut gzip that nobody names"),
    pytest.param(gzip.compress(bytes(50_000_000)), {}, 413, "too_large", id="gzip bomb that nobody names"),
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
async def test_each_path_and_method_has_its_status(
    sidecar: Sidecar, method: str, path: str, status: int
) -> None:
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


@pytest.mark.parametrize("agent", ["Fluent-Bit", "Vector/0.58.0 (x86_64-unknown-linux-gnu)"])
@pytest.mark.parametrize("path", ["/v1/label", "/v1/label/kube.app"])
async def test_of_a_shipper_that_reads_no_answer_log_and_metric_tell(
    sidecar: Sidecar, agent: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = sidecar.metric("waybill_answers_unread_total")
    status, answer, _ = await sidecar.post(b'{"log": "a"}', path, User_Agent=agent)
    assert status == 200
    assert "target_label" in json.loads(answer)
    assert sidecar.metric("waybill_answers_unread_total") == before + 1
    assert "set return.type" in caplog.text


@pytest.mark.parametrize("agent", ["curl/8.14.1", "Manticore 0.9.1", "Vectorise", "my-Fluent-Bit"])
async def test_whoever_may_read_the_answer_gets_it(sidecar: Sidecar, agent: str) -> None:
    before = sidecar.metric("waybill_answers_unread_total")
    status, answer, _ = await sidecar.post(b'{"log": "a"}', User_Agent=agent)
    assert status == 200
    assert "target_label" in json.loads(answer)
    assert sidecar.metric("waybill_answers_unread_total") == before
