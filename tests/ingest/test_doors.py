"""What strangers can make the service hold or answer, by whichever way they come."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgpack
import pytest
import trustme

from tests.conftest import Running
from tests.effort import allowed
from tests.gaps import gaps
from tests.memory import ROOM_BYTES, peak_bytes, resident_bytes
from tests.patience import patience, wait_until
from tests.support.startup.sitecustomize import search_path

LIMIT = 32 << 20
#: What one TLS connection may take; OpenSSL needs some 50 KB of it.
_TLS_PEERS, _TLS_BYTES = 200, 160 << 10
Address = tuple[str, int]
SERVE = """
import asyncio, sys
from tests.conftest import running
from waybill.ops.logs import setup_logging
from waybill.ops.memory import settle_memory
from waybill.ops.tuning import tune_process
async def main():
    setup_logging("info")
    tune_process()  # as `waybill serve` does
    async with running(*sys.argv[1:]) as sidecar:
        settle_memory()
        print(sidecar.service.address, *getattr(sidecar.service.forward, "addresses", ()), flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""
#: Odd heads, by what is odd about them: (path, header lines).
HEADS = {
    "expectation of no text": (b"/v1/label", b"Expect: \xff\r\n"),
    "another expectation": (b"/v1/label", b"Expect: coffee\r\n"),
    "type of no text": (b"/v1/label", b"Content-Type: \xff\xfe\r\n"),
    "encoding of no text": (b"/v1/label", b"Content-Encoding: \xff\r\n"),
    "accepted of no text": (b"/v1/label", b"Accept-Encoding: \xff\r\nAccept: \xff\r\n"),
    "tag of no text": (b"/v1/label", b"X-Waybill-Tag: \xff\r\n"),
    "token of no text": (b"/v1/label", b"Authorization: Bearer \xff\r\n"),
    "line ends in the tag": (b"/v1/label/%0d%0a", b""),
    "zero in the tag": (b"/v1/label/%00", b""),
    "no UTF-8 in the tag": (b"/v1/label/%ff%fe", b""),
    "form without boundary": (b"/v1/label", b"Content-Type: multipart/form-data\r\n"),
}
PATHS = (
    b"/v1/label",
    b"/v1/label/a.b",
    b"/v1/logs",
    b"/v1/explain",
    b"/v1/rules/test",
    b"/v1/classify/csv",
    b"/nowhere",
)
#: Never sent: they mean something else to a shipper than what has happened.
FORBIDDEN = {408, 500, 501, 502, 504}


async def raw(address: str, data: bytes) -> bytes:
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(data)
    try:
        async with patience():
            return await reader.read(4096)
    finally:
        writer.close()


def request(path: bytes, lines: bytes, body: bytes = b'{"log":"x"}') -> bytes:
    size = str(len(body)).encode()
    head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: " + size + b"\r\n"
    return head + lines + b"Connection: close\r\n\r\n" + body


async def test_no_head_is_answered_with_what_is_never_sent(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        for what, (path, lines) in HEADS.items():
            answer = await raw(sidecar.service.address, request(path, lines))
            status = int(answer.split(b" ", 2)[1])
            assert status not in FORBIDDEN | {503}, (what, answer)
            if "tag" in what:
                assert status == 200, (what, answer)
        for path in PATHS:
            for what, (_, lines) in HEADS.items():
                answer = await raw(sidecar.service.address, request(path, lines))
                status = int(answer.split(b" ", 2)[1])
                assert status not in FORBIDDEN, (path, what, answer)
                assert status != 503 or path == b"/v1/logs", (path, what, answer)


#: What is no form, or one that takes long to read.
FORMS = {
    "long header": b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\nlog\nx\r\n--b--\r\n",
    "many headers": b"--b\r\n" + b"X: y\r\n" * 20_000 + b"\r\nlog\r\n--b--\r\n",
    "no header": b"--b\r\nnonsense\r\n\r\nlog\nx\r\n--b--\r\n",
    "within itself": b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n",
    "many parts": b"--b\r\n\r\n\r\n" * 50_000 + b"--b--\r\n",
    "many lines": b"\n" * 1_000_000,
    "other bytes": b"\x00\xff" * 1000,
    "empty": b"",
}


@pytest.mark.parametrize("name", FORMS)
async def test_what_is_no_form_is_refused_and_holds_nobody_up(running: Running, name: str) -> None:
    kind = b"Content-Type: multipart/form-data; boundary=b\r\n"
    async with running("model.path=null") as sidecar, gaps() as found:
        data = request(b"/v1/classify/csv", kind, FORMS[name])
        answer = await raw(sidecar.service.address, data)
    assert answer.split(b" ", 2)[1] == b"400", answer
    assert b'"multipart"' in answer
    assert found.worst < allowed(0.05)


#: Tables of which little is much to read.
TABLES = {
    "line ends": b'log"\n' + b"\n" * 30_000,
    "an open quote": b'log\n"' + b"\n" * 60_000,
    "both line ends": b"log\n" + b"\r\n" * 20_000,
    "one letter": b"log\n" + b"x\n" * 20_000,
    "separators": b"log" + b"," * 160_000 + b"\n",
    "quotes": b"log\n" + b'"' * 160_001,
    "quoted line ends": b"log\n" + b'"\n"\n' * 20_000,
}


@pytest.mark.parametrize("name", TABLES)
async def test_no_table_holds_others_up(running: Running, name: str) -> None:
    async with running("model.path=null") as sidecar, gaps() as found:
        kind = b"Content-Type: text/csv\r\n"
        async with patience():
            await raw_whole(
                sidecar.service.address, request(b"/v1/classify/csv", kind, TABLES[name])
            )
    assert found.worst < allowed(0.1)


async def raw_whole(address: str, data: bytes) -> bytes:
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(data)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.example"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://[broken"}, True),
        ({"Origin": "own"}, False),
    ],
)
async def test_pages_of_other_sites_change_nothing(
    running: Running, headers: dict[str, str], is_refused: bool
) -> None:
    async with running("model.path=null") as sidecar:
        address = sidecar.service.address
        headers = {name: address if value == "own" else value for name, value in headers.items()}
        for path in ("/v1/label", "/v1/corrections", "/-/reload", "/v1/rules/test"):
            async with sidecar.client.post(address + path, data=b"{}", headers=headers) as reply:
                assert (reply.status == 403) is is_refused, path
        async with sidecar.client.get(address + "/healthz", headers=headers) as reply:
            assert reply.status == 200


@pytest.mark.parametrize(
    ("host", "is_refused"),
    [
        ("evil.example", True),
        ("evil.example:80", True),
        ("localhost.evil.example", True),
        ("127.0.0.1.evil.example", True),
        ("[broken", True),
        ("localhost", False),
        ("LOCALHOST:8080", False),
        ("waybill.localhost", False),
        ("127.0.0.1:1", False),
        ("[::1]:8080", False),
    ],
)
async def test_a_page_whose_name_leads_to_this_machine_changes_nothing(
    running: Running, host: str, is_refused: bool
) -> None:
    async with running("model.path=null") as sidecar:
        page = {"Host": host, "Origin": f"http://{host}"}
        for path in ("/v1/label", "/-/reload", "/v1/rules/test"):
            url = sidecar.service.address + path
            async with sidecar.client.post(url, data=b"{}", headers=page) as reply:
                assert (reply.status == 403) is is_refused, path
            program = {"Host": host}
            async with sidecar.client.post(url, data=b"{}", headers=program) as reply:
                assert reply.status != 403


async def test_gzip_with_padding_is_taken(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        body = gzip.compress(b'{"log":"x"}') + bytes(1000)
        status, _, _ = await sidecar.post(body, **{"Content-Encoding": "gzip"})
        assert status == 200


@pytest.mark.parametrize("path", ["/v1/explain", "/v1/rules/test", "/v1/corrections"])
async def test_a_question_is_small(running: Running, tmp_path: Path, path: str) -> None:
    async with running("model.path=null", f"corrections.path={tmp_path}/c.ndjson") as sidecar:
        url = f"{sidecar.service.address}{path}"
        async with sidecar.client.post(
            url, data=io.BytesIO(b"[" + b"[]," * 500_000 + b"[]]")
        ) as reply:
            assert reply.status == 413
            assert "1048576" in json.loads(await reply.read())["detail"]


@contextlib.contextmanager
def served(*overrides: str) -> Iterator[tuple[Address, list[str], int]]:
    """A sidecar in a process of its own: HTTP address, Forward addresses, process id."""
    root = str(Path(__file__).parents[2])
    limits = [f"limits.body_bytes={LIMIT // 2}", f"limits.inflight_bytes={LIMIT}"]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "model.path=null", *limits, *overrides],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": search_path(f"{root}/sidecar", root)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        http, *forward = process.stdout.readline().split()
        url = urlsplit(http)
        yield (str(url.hostname), int(url.port or 0)), forward, process.pid
        process.stdin.close()


def held_bytes(http: Address) -> int:
    """What it counts as held at this moment."""
    with urlopen(f"http://{http[0]}:{http[1]}/metrics", timeout=30) as reply:
        text = reply.read().decode()
    return int(float(text.partition("\nwaybill_inflight_bytes ")[2].split()[0]))


def ask(http: tuple[str, int], data: bytes) -> int:
    with socket.create_connection(http, timeout=30) as client:
        client.sendall(data)
        return int(client.recv(100).split(b" ", 2)[1])


def test_answers_that_nobody_reads_are_counted_and_cut() -> None:
    body = b"[" + b",".join([b'{"log":"%s"}' % (b"x" * 1000)] * 8_000) + b"]"
    small = request(b"/v1/label", b"", b'[{"log":"x"}]')
    with served("http.read_timeout_secs=3") as (http, _, pid):
        assert ask(http, small) == 200
        before = resident_bytes(pid)
        clients = []
        for _ in range(20):
            clients.append(slow_reader(http, request(b"/v1/label", b"", body)))
            time.sleep(0.2)  # the answers add up, not the work on them
            assert (
                held_bytes(http) < 2 * LIMIT
            )  # what came last before the limit has an answer, too
        wait_until(lambda: held_bytes(http) == 0)  # though nobody has read an answer
        assert peak_bytes(pid) - before < LIMIT + ROOM_BYTES
        assert ask(http, small) == 200
        answers = [read_all(client) for client in clients]
        assert not any(len(answer) > len(body) for answer in answers)


def test_full_bodies_at_once_stay_within_the_limit_and_leave_nothing_behind() -> None:
    """Of few large records, of as many small ones as a body may hold, of text that becomes six
    times as much as JSON.
    """
    large = b"[" + b",".join([b'{"log":"%s"}' % (b"x" * 5000)] * 3_000) + b"]"
    small = b'{"log":"x"}\n' * 120_000
    probe = request(b"/v1/label", b"", b'[{"log":"x"}]')
    with served() as (http, _, pid), ThreadPoolExecutor(6) as peers:
        assert ask(http, probe) == 200
        before = resident_bytes(pid)
        bodies = [request(b"/v1/label", b"", body) for body in (large, small) * 3]
        text = (b"a" + b"\x01" * 1000 + b"\n") * 3_000
        bodies += [request(b"/v1/label", b"Content-Type: text/plain\r\n", text)] * 6
        answers = list(peers.map(lambda body: ask(http, body), bodies))
        assert set(answers) <= {200, 503}
        assert 200 in answers
        wait_until(lambda: held_bytes(http) == 0)
        assert peak_bytes(pid) - before < LIMIT + ROOM_BYTES
        # What a few small objects keep of the heap is 14 to 38 MB from round to round and does not
        # grow; what is left behind would be all of the bodies, and what was made of them.
        wait_until(lambda: resident_bytes(pid) - before < ROOM_BYTES)
        assert ask(http, probe) == 200


def test_half_sent_forward_messages_are_counted() -> None:
    size = LIMIT // 2 - (1 << 20)
    head = b"\x93" + msgpack.packb("t") + b"\xc6" + struct.pack(">I", size)
    receiver = ("return.type=http", "return.url=http://127.0.0.1:9/")
    with served("forward.listen=127.0.0.1:0", *receiver) as (http, forward, pid):
        host, _, port = forward[0].rpartition(":")
        probe = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        assert ask(http, probe) == 200
        before = resident_bytes(pid)
        clients = []
        for _ in range(8):
            client = socket.create_connection((host, int(port)))
            client.settimeout(1)
            with contextlib.suppress(OSError):  # it is not read any more
                client.sendall(head + bytes(size - 1000))
            clients.append(client)
        assert held_bytes(http) <= LIMIT
        assert peak_bytes(pid) - before < LIMIT + ROOM_BYTES
        assert ask(http, probe) == 200
        for client in clients:
            client.close()


async def test_tls_connections_hold_little(tmp_path: Path) -> None:
    """One that says nothing after its handshake is counted by no limit on bytes."""
    authority = trustme.CA()
    pair = authority.issue_cert("localhost").private_key_and_cert_chain_pem
    pair.write_to_path(tmp_path / "pair.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    settings = [f"http.tls.{name}_file={tmp_path}/pair.pem" for name in ("cert", "key")]
    with served(*settings) as (http, _, pid):

        async def connect() -> asyncio.StreamWriter:
            _, writer = await asyncio.open_connection(
                *http, ssl=context, server_hostname="localhost"
            )
            return writer

        async with patience():
            writers = [await connect()]
            before = resident_bytes(pid)
            writers += [await connect() for _ in range(_TLS_PEERS)]
        assert resident_bytes(pid) - before < _TLS_PEERS * _TLS_BYTES
        for writer in writers:
            writer.transport.abort()


def slow_reader(http: Address, data: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(http)
    client.sendall(data)
    return client


def read_all(client: socket.socket) -> bytes:
    found = []
    with client, contextlib.suppress(OSError):
        client.settimeout(5)
        while data := client.recv(1 << 20):
            found.append(data)
    return b"".join(found)
