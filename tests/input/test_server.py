"""Strangers at the door: abused heads, too many connections, slow clients, hostile tags."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import random
import re
import resource
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import Sidecar, running
from tests.patience import PATIENCE_SECS, until
from waybill.core.batch import ScanBudget
from waybill.ops.tokens import Tokens
from waybill.ops.watched import WatchedFile
from waybill.wire.json.codec import JsonCodec

BODY = b'[{"log":"x"}]'
POST = b"POST /v1/label HTTP/1.1\r\nHost: a\r\n"
ABUSE = {
    "CL and TE": POST + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two CL": POST + b"Content-Length: 13\r\nContent-Length: 0\r\n\r\n" + BODY,
    "two equal CL": POST + b"Content-Length: 13\r\nContent-Length: 13\r\n\r\n" + BODY,
    "CL list": POST + b"Content-Length: 13, 13\r\n\r\n" + BODY,
    "CL +": POST + b"Content-Length: +13\r\n\r\n" + BODY,
    "CL -": POST + b"Content-Length: -1\r\n\r\n" + BODY,
    "CL hex": POST + b"Content-Length: 0xd\r\n\r\n" + BODY,
    "CL huge": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + BODY,
    "CL space": POST + b"Content-Length : 13\r\n\r\n" + BODY,
    "TE unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + BODY,
    "TE twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    "chunk minus": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n",
    "chunk huge": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nab\r\n0\r\n\r\n",
    "chunk end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n0\r\n\r\n",
    "chunk bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "chunk extension": POST
    + b"Transfer-Encoding: chunked\r\n\r\n1;"
    + b"x" * 20_000
    + b"\r\na\r\n0\r\n\r\n",
    "bare LF": b"POST /v1/label HTTP/1.1\nHost: a\nContent-Length: 13\n\n" + BODY,
    "bare CR": POST + b"X: a\rY: b\r\nContent-Length: 13\r\n\r\n" + BODY,
    "obs-fold": POST + b"X: a\r\n b\r\nContent-Length: 13\r\n\r\n" + BODY,
    "NUL": POST + b"X: a\x00b\r\nContent-Length: 13\r\n\r\n" + BODY,
    "no colon": POST + b"nonsense\r\nContent-Length: 13\r\n\r\n" + BODY,
    "empty name": POST + b": x\r\nContent-Length: 13\r\n\r\n" + BODY,
    "huge field": POST + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "many fields": POST + b"".join(b"X%d: a\r\n" % i for i in range(2000)) + b"\r\n",
    "huge target": b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "two hosts": POST + b"Host: b\r\nContent-Length: 13\r\n\r\n" + BODY,
    "no host": b"POST /v1/label HTTP/1.1\r\nContent-Length: 13\r\n\r\n" + BODY,
    "version 9": b"POST /v1/label HTTP/9.9\r\nHost: a\r\n\r\n",
    "version text": b"POST /v1/label HTTX/1.1\r\nHost: a\r\n\r\n",
    "method": b"P\x01ST /v1/label HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "msgpack": b"\x93\xa3tag\x90\x80",
    "noise": random.Random(4).randbytes(3000),
    "CONNECT": b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "expect": POST + b"Expect: nonsense\r\nContent-Length: 13\r\n\r\n" + BODY,
    "upgrade": POST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 13\r\n\r\n"
    + BODY,
    "target": b"POST http://[/v1/label HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n" + BODY,
    "target port": b"POST http://a:99999/v1/label HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n"
    + BODY,
}

#: Heads that are none, with a secret in them.
SPOILT = {
    "bare line ends": b"GET / HTTP/1.1\nHost: a\nAuthorization: Bearer hidden\n\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nCookie : s=hidden\r\n\r\n",
    "a control character": b"GET / HTTP/1.1\r\nHost: a\r\nCookie: s=\x01hidden\r\n\r\n",
    "a line that goes on": b"GET / HTTP/1.1\r\nHost: a\r\nCookie: s\r\n =hidden\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: a\r\nCookie: s=hidden" + b"x" * 40_000 + b"\r\n\r\n",
    "a target": b"GET http://[/?token=hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method": b"G\x01T /?token=hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "a length": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: hidden\r\n\r\n",
}


async def talk(sidecar: Sidecar, data: bytes, silent_secs: float = 0.4) -> bytes:
    """What the server says to ``data`` until it closes, or falls silent."""
    host, port = sidecar.service.address.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(silent_secs):
            while piece := await reader.read(65_536):
                answer += piece
    writer.transport.abort()
    return answer


async def test_an_abused_head_gets_one_answer_at_most_and_no_5xx() -> None:
    async with running("model.path=null") as sidecar:
        for name, data in ABUSE.items():
            answer = await talk(sidecar, data)
            finals = re.findall(rb"HTTP/1\.[01] ([02-9]\d\d|1[1-9]\d) ", answer)
            assert len(finals) <= 1, (name, answer)
            assert not any(status[:1] == b"5" for status in finals), (name, answer)
        assert (await sidecar.post(BODY))[0] == 200


async def test_what_is_no_http_is_not_told_again() -> None:
    """Whoever logs the answer would have the token."""
    async with running("model.path=null") as sidecar:
        for name, data in SPOILT.items():
            answer = await talk(sidecar, data)
            assert re.match(rb"HTTP/1\.[01] 400 ", answer), (name, answer)
            assert b"Server: waybill\r\n" in answer, name
            assert b"hidden" not in answer, (name, answer)


async def test_connections_are_limited_and_good_clients_come_back() -> None:
    async with running(
        "model.path=null", "limits.connections=20", "limits.connections_per_client=10"
    ) as sidecar:
        host, port = sidecar.service.address.removeprefix("http://").rsplit(":", 1)
        held = [await asyncio.open_connection(host, int(port)) for _ in range(30)]
        refused = ("waybill_connections_refused_total", "http", "client")
        await until(lambda: sidecar.metric(refused[0], ingest=refused[1], reason=refused[2]) == 20)
        closed = [await _is_closed(reader) for reader, _ in held]
        assert closed == [False] * 10 + [True] * 20
        assert sidecar.metric("waybill_open_connections", ingest="http") == 10
        for _, writer in held:
            writer.transport.abort()
        await _until_none_is_open(sidecar)
        assert (await sidecar.post(BODY))[0] == 200


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.1):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def _until_none_is_open(sidecar: Sidecar) -> None:
    await until(lambda: sidecar.metric("waybill_open_connections", ingest="http") == 0)


async def test_a_kept_connection_and_a_slow_body_outlive_the_heads_deadline() -> None:
    async with running("model.path=null") as sidecar:
        host, port = sidecar.service.address.removeprefix("http://").rsplit(":", 1)
        found = sidecar.service.http._guards
        assert found is not None
        guards = found.by_transport
        reader, writer = await asyncio.open_connection(host, int(port))
        await until(lambda: len(guards) == 1)
        (guard,) = guards.values()
        assert guard._timer is not None
        for _ in range(2):
            writer.write(POST + b"Content-Length: 13\r\n\r\n")
            await until(lambda: guard._is_handling)
            assert guard._timer is None, "what runs while the body comes"
            writer.write(BODY)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert b"target_label" in await reader.readexactly(size)
            await until(lambda: not guard._is_handling)
            assert guard._timer is None, "what runs until the next request"
        writer.transport.abort()


async def test_a_flood_of_tags_and_sources_becomes_few_series() -> None:
    async with running("model.path=null") as sidecar:
        for _ in range(2):
            await sidecar.post(b'[{"log":"x","source":"s"}]', "/v1/label/first")
        before = await _series(sidecar)
        await _flood(sidecar, "first")
        after = await _series(sidecar)
        await _flood(sidecar, "second")
        assert await _series(sidecar) == after
    # A few light sources have names of their own as long as there are places for heavy ones.
    assert all(b"source=" in series for series in after - before)
    assert len(after - before) <= 10


async def _flood(sidecar: Sidecar, name: str) -> None:
    """A hundred tags with a hundred sources each, a record of each."""
    for i in range(100):
        records = [{"log": "x", "source": f"{name}-{i}-{j}"} for j in range(100)]
        assert (await sidecar.post(orjson.dumps(records), f"/v1/label/{name}-{i}"))[0] == 200


async def _series(sidecar: Sidecar) -> set[bytes]:
    _, text = await sidecar.get("/metrics")
    return {line.rpartition(b" ")[0] for line in text.splitlines() if not line.startswith(b"#")}


@pytest.mark.parametrize(
    "tag",
    [
        "..%2f..%2fetc%2fpasswd",
        "a%0d%0aX:y",
        "a%00b",
        "%2e%2e",
        "a" * 3000,
        "%ff",
        "a%20b",
        "${jndi:x}",
        "%1b[31m",
    ],
)
async def test_a_hostile_tag_is_made_plain(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    decode = JsonCodec.decode

    def spy(self: JsonCodec, body: bytes, *, tag: str, budget: ScanBudget) -> object:
        seen.append(tag)
        return decode(self, body, tag=tag, budget=budget)

    monkeypatch.setattr(JsonCodec, "decode", spy)
    async with running("model.path=null") as sidecar:
        answer = await talk(
            sidecar,
            b"POST /v1/label/%s HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n"
            b"Content-Length: 13\r\n\r\n%s" % (tag.encode(), BODY),
            PATIENCE_SECS,
        )
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 404"))
    for one in seen:
        assert len(one) <= 255
        assert ".." not in one
        assert not set(one) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.*-"
        )


def test_the_slower_and_laxer_parser_is_refused() -> None:
    environ = os.environ | {"AIOHTTP_NO_EXTENSIONS": "1"}
    command = [sys.executable, "-m", "waybill", "serve", "--set", "http.listen=127.0.0.1:0"]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "compiled parser" in done.stderr


def test_every_token_is_compared_as_a_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens"
    file.write_text("first\nsecond\nthird\n")
    tokens = Tokens(WatchedFile(file))
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def note(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", note)
    for token, is_valid in (
        ("first", True),
        ("third", True),
        ("firs", False),
        ("", False),
        ("x" * 9000, False),
    ):
        compared.clear()
        assert (tokens.scope_of(f"Bearer {token}") is not None) is is_valid
        assert [(len(a), len(b)) for a, b in compared] == [(32, 32)] * 3


async def test_nothing_a_client_says_changes_where_records_go() -> None:
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append(request.headers["Host"])
        return (
            web.Response(status=302, headers={"Location": "/elsewhere"})
            if len(got) == 1
            else web.Response()
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    async with TestServer(app) as receiver:
        push = (
            "return.type=http",
            f"return.url=http://127.0.0.1:{receiver.port}/in/{{tag}}",
            "model.path=null",
        )
        evil = "http://169.254.169.254/"
        lies = {
            "Host": "169.254.169.254",
            "X_Forwarded_Host": "169.254.169.254",
            "X_Original_URL": evil,
        }
        async with running(*push, "return.timeout_secs=1") as sidecar:
            assert (await sidecar.post(BODY, **lies))[0] == 503  # a redirect is not followed
            status, _, _ = await sidecar.post(
                BODY, "/v1/label/http:%2f%2f169.254.169.254%2fx", **lies
            )
            assert status == 204
            data = b"POST %sv1/label HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n%b" % (
                evil.encode(),
                BODY,
            )
            assert (await talk(sidecar, data)).startswith((b"HTTP/1.1 204", b"HTTP/1.1 4"))
        assert set(got) == {f"127.0.0.1:{receiver.port}"}


async def test_few_descriptors_are_never_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    async with running("model.path=null") as sidecar:
        host, port = sidecar.service.address.removeprefix("http://").rsplit(":", 1)
        held = [await asyncio.open_connection(host, int(port)) for _ in range(100)]
        assert sum([await _is_closed(reader) for reader, _ in held]) == 52
        for _, writer in held:
            writer.transport.abort()
        await _until_none_is_open(sidecar)
        assert (await sidecar.post(BODY))[0] == 200


async def test_forward_connections_count_against_the_same_limit() -> None:
    push = ("return.type=http", "return.url=http://127.0.0.1:9/", "model.path=null")
    async with running(*push, "forward.listen=127.0.0.1:0", "limits.connections=3") as sidecar:
        assert sidecar.service.forward is not None
        host, port = sidecar.service.forward.addresses[0].rsplit(":", 1)
        held = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        assert [await _is_closed(reader) for reader, _ in held] == [False] * 3 + [True] * 2
        assert (
            sidecar.metric("waybill_connections_refused_total", ingest="forward", reason="total")
            == 2
        )
        for _, writer in held:
            writer.transport.abort()
