"""``make greedy``: what a hundred greedy, slow or silent peers make the service hold, at each door.

    python -m tests.chaos.greedy [--peers 100] [--secs 8] [DOOR ...]

Each door has a process of its own, with small limits. Printed is how much memory it took beyond
what it had, at the most and afterwards; the exit code is 1 where that is more than
``limits.inflight_bytes`` and 64 MB, or more than 20 MB stay for a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgpack

from tests.chaos.settling import SETTLE_SECS, trusting, wait_for_work
from tests.ingest.test_doors import LIMIT, raw_whole, request, served
from tests.memory import peak_bytes, resident_bytes
from tests.web.serving import workbench_served
from waybill.core.correction import encode_correction, new_correction
from waybill.wire import forward as protocol
from waybill.wire.compression import compress
from waybill.wire.otlp.protobuf import pack_field

SPARE, STAYS = 64 << 20, 20 << 20
#: What stays of the first records ever: places of patterns, sources and caches.
WARM_UP = 3
_PIECE = 64 << 10
_KEY = "a-secret-of-some-length"
_BODY = LIMIT // 2 - (1 << 20)
_JSON = b"Content-Type: application/json\r\n"
_PROTOBUF = b"Content-Type: application/x-protobuf\r\n"
#: What is asked without a body.
_TOLD = (b"/metrics", b"/openapi.json", b"/v1/rules", b"/v1/edition", b"/readyz", b"/docs", b"/")

Address = tuple[str, int]
#: Connections of the crowd that is there.
_open: set[asyncio.WriteTransport] = set()


class Door(NamedTuple):
    """Where peers come in: what the service is started with, and all that one of them says."""

    says: bytes
    settings: tuple[str, ...] = ()
    is_tls: bool = False
    has_key: bool = False
    is_forward: bool = False
    #: Said once before all others come.
    first: bytes = b""
    is_workbench: bool = False
    #: It does not say what it counts to whom it does not know.
    is_locked: bool = False


def _records(size: int) -> bytes:
    record = json.dumps({"log": "order failed " * 20, "source": "shop"}).encode()
    return b"[" + b",".join([record] * (size // (len(record) + 1))) + b"]"


def _protobuf(size: int) -> bytes:
    record = pack_field(2, pack_field(2, pack_field(5, pack_field(1, b"it failed"))))
    return pack_field(1, record) * (size // 24)


def _distinct() -> bytes:
    """What makes many patterns and sources, with long texts."""
    names = map("".join, itertools.islice(itertools.product("abcdefgh", repeat=5), 20_000))
    record = b'{"log":"order %b is gone %b","source":"shop-%b"}'
    return b"\n".join([record % (name, b"word " * 100, name) for name in map(str.encode, names)])


def _corrections(folder: Path) -> Path:
    """A file of 50,000."""
    names = map("".join, itertools.islice(itertools.product("abcdefgh", repeat=6), 50_000))
    lines = [new_correction(f"order {name} failed", "Error", by="ann") for name in names]
    path = folder / "many.ndjson"
    path.write_bytes(b"".join(map(encode_correction, lines)))
    return path


def _asked(path: bytes, times: int) -> bytes:
    """So many requests, one after another, of which nobody waits for an answer."""
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path * times


def _form(size: int) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    return head + b"log\n" + b"order failed again\n" * (size // 19) + b"\r\n--b--\r\n"


def _forward_message(size: int) -> bytes:
    entries = msgpack.packb([1, {"log": "order failed"}]) * (size // 20)
    parts = ("t", entries, {"chunk": "c"})
    return b"\x93" + b"".join(map(msgpack.packb, parts))


def doors(folder: Path) -> dict[str, Door]:
    """Every door by its name."""
    key, certificate, secret = folder / "key.pem", folder / "cert.pem", folder / "secret"
    secret.write_text(_KEY)
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2"
        " -subj /CN=localhost".split(),
        check=True,
        capture_output=True,
    )
    tls = (f"http.tls.cert_file={certificate}", f"http.tls.key_file={key}")
    receiver = ("return.type=http", "return.url=http://127.0.0.1:9/")
    forward = ("forward.listen=127.0.0.1:0", *receiver)
    keyed = (*forward, f"forward.shared_key_file={secret}")
    records = _records(_BODY)
    large = b'{"message":"' + b"x" * _BODY + b'"}'
    otlp = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}'
    otlp = otlp % b",".join([b'{"body":{"stringValue":"it failed"}}'] * (_BODY // 40))
    csv = b"log\n" + b"order failed again\n" * (_BODY // 19)
    form = b"Content-Type: multipart/form-data; boundary=b\r\n"
    text = b"token=" + b"x" * (2 << 20)
    return {
        "label": Door(request(b"/v1/label", _JSON, records)),
        "label tls": Door(request(b"/v1/label", _JSON, records), tls, is_tls=True),
        "label gzip": Door(
            request(b"/v1/label", b"Content-Encoding: gzip\r\n", gzip.compress(records, 1))
        ),
        "label tiny": Door(request(b"/v1/label", _JSON, b"{}\n" * 240_000)),
        "label small": Door(request(b"/v1/label", _JSON, b"{}\n" * 125_000)),
        "logs": Door(request(b"/v1/logs", _JSON, otlp)),
        "logs protobuf": Door(request(b"/v1/logs", _PROTOBUF, _protobuf(_BODY))),
        "logs gzip": Door(
            request(b"/v1/logs", _JSON + b"Content-Encoding: gzip\r\n", gzip.compress(otlp, 1))
        ),
        "explain": Door(request(b"/v1/explain", _JSON, large)),
        "rules/test": Door(request(b"/v1/rules/test", _JSON, large)),
        "corrections": Door(
            request(b"/v1/corrections", _JSON, large), (f"corrections.path={folder}/c.ndjson",)
        ),
        "corrections out": Door(
            _asked(b"/v1/corrections", 4), (f"corrections.path={_corrections(folder)}",)
        ),
        "patterns": Door(
            _asked(b"/v1/patterns?limit=1000", 50), first=request(b"/v1/label", _JSON, _distinct())
        ),
        "sources": Door(
            _asked(b"/v1/sources?limit=200", 50), first=request(b"/v1/label", _JSON, _distinct())
        ),
        "descriptions": Door(b"".join(_asked(path, 20) for path in _TOLD)),
        "tokens": Door(
            request(b"/v1/label", b"Authorization: Bearer " + b"x" * 7000 + b"\r\n", records),
            (f"http.tokens_file={secret}",),
            is_locked=True,
        ),
        "csv": Door(request(b"/v1/classify/csv", b"Content-Type: text/csv\r\n", csv)),
        "csv zstd": Door(
            request(
                b"/v1/classify/csv",
                b"Content-Type: text/csv\r\nContent-Encoding: zstd\r\n",
                compress(csv, "zstd"),
            )
        ),
        "csv form": Door(request(b"/v1/classify/csv", form, _form(_BODY))),
        "reload": Door(request(b"/-/reload", _JSON, large)),
        "forward": Door(_forward_message(_BODY), forward, is_forward=True),
        "forward key": Door(_forward_message(_BODY), keyed, is_forward=True, has_key=True),
        "forward no key": Door(
            b"\x96\xa4PING\xdb\x7f\xff\xff\xff" + bytes(_BODY), keyed, is_forward=True
        ),
        "login": Door(
            _at_workbench(
                request(b"/login", b"Content-Type: application/x-www-form-urlencoded\r\n", text)
            ),
            is_workbench=True,
        ),
        "upload": Door(_at_workbench(request(b"/csv", form, _form(_BODY))), is_workbench=True),
    }


def _at_workbench(said: bytes) -> bytes:
    """It answers under its own names only."""
    return said.replace(b"Host: a\r", b"Host: 127.0.0.1\r", 1)


async def _connect(
    address: Address, door: Door
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = trusting() if door.is_tls else None
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, address)
    host = "localhost" if context else None
    reader, writer = await asyncio.open_connection(
        sock=raw, ssl=context, server_hostname=host, limit=4096
    )
    _open.add(writer.transport)
    if door.has_key:
        helo = await protocol_answer(reader)
        ping, _ = protocol.ping(helo, "peer", _KEY.encode())
        writer.write(ping)
        await protocol_answer(reader)
    return reader, writer


async def protocol_answer(reader: asyncio.StreamReader) -> bytes:
    """The next message of the handshake."""
    answer = protocol.AnswerReader()
    while data := await reader.read(4096):
        whole = answer.feed(data)
        if whole is not None:
            return whole
    raise ConnectionResetError


async def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    """In pieces: what is not sent yet is held once for all peers."""
    for at in range(0, len(data), _PIECE):
        writer.write(data[at : at + _PIECE])
        await writer.drain()


async def greedy(address: Address, door: Door, seen: Counter[str]) -> None:
    """All there is, as fast as it goes, and all of the answer."""
    reader, writer = await _connect(address, door)
    await _say(writer, door.says)
    first = await reader.read(4096)
    seen[first[9:12].decode("latin-1") if first[:4] == b"HTTP" else "closed"] += 1
    if not door.is_forward:
        while await reader.read(1 << 20):
            pass
    writer.close()
    _open.discard(writer.transport)


async def slow(address: Address, door: Door, seen: Counter[str]) -> None:
    """Most of it at once, then a byte at a time."""
    _, writer = await _connect(address, door)
    most = len(door.says) * 9 // 10
    await _say(writer, door.says[:most])
    seen["waits"] += 1
    for at in range(most, len(door.says)):
        writer.write(door.says[at : at + 1])
        await asyncio.sleep(0.2)
        await writer.drain()


async def silent(address: Address, door: Door, seen: Counter[str]) -> None:
    """All there is, and no look at the answer; or, with TLS, no word at all."""
    if door.is_tls:
        _, writer = await asyncio.open_connection(*address)
        _open.add(writer.transport)
    else:
        _, writer = await _connect(address, door)
        await _say(writer, door.says)
    seen["waits"] += 1
    await asyncio.sleep(3600)


MANNERS: dict[str, Callable[[Address, Door, Counter[str]], Awaitable[None]]] = {
    "greedy": greedy,
    "slow": slow,
    "silent": silent,
}


async def crowd(manner: str, address: Address, door: Door, peers: int, secs: float) -> Counter[str]:
    """What ``peers`` saw who behaved so for ``secs``."""
    seen: Counter[str] = Counter()

    async def again() -> None:
        while True:
            try:
                await MANNERS[manner](address, door, seen)
            except (OSError, asyncio.IncompleteReadError) as error:
                seen[type(error).__name__] += 1
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(again()) for _ in range(peers)]
    await asyncio.sleep(secs)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for transport in _open:
        transport.abort()
    _open.clear()
    return seen


@contextlib.contextmanager
def opened(door: Door, folder: Path) -> Iterator[tuple[Address, Address, int]]:
    """The address of a door, the one that tells what is counted, and the process behind both."""
    if door.is_workbench:
        with workbench_served(folder) as (address, pid):
            yield address, address, pid
        return
    with served("http.read_timeout_secs=5", *door.settings) as (http, forward, pid):
        if not door.is_forward:
            yield http, http, pid
            return
        host, _, port = forward[0].rpartition(":")
        yield (host, int(port)), http, pid


def wait_until_settled(address: Address | None, pid: int, before: int) -> int:
    """What is held beyond ``before`` when it is little, or a minute after all work is done.

    ``address`` is where it tells whether there is work.
    """
    wait_for_work(address)
    ends_at = time.monotonic() + 60
    while resident_bytes(pid) - before > STAYS and time.monotonic() < ends_at:
        time.sleep(0.5)
    return resident_bytes(pid) - before


def allow_peak(pid: int) -> None:
    """Forget the most that it has held so far."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def is_within(
    what: str, pid: int, before: int, left: int, seen: Counter[str], limit: int = LIMIT
) -> bool:
    """Print what was held beyond ``before``, at the most and afterwards; whether that is allowed."""
    most = peak_bytes(pid) - before
    fits = most <= limit + SPARE and left <= STAYS
    word = "" if fits else "  TOO MUCH"
    print(f"{what}{most >> 20:7} MB{left >> 20:7} MB  {dict(seen)}{word}", flush=True)
    return fits


def measure(name: str, door: Door, peers: int, secs: float, folder: Path) -> bool:
    """Print a line for each manner; whether all of them stay within the bounds."""
    is_fine = True
    with opened(door, folder) as (address, told, pid):
        if door.first:
            asyncio.run(raw_whole(f"http://{address[0]}:{address[1]}", door.first))
        asyncio.run(crowd("greedy", address, door, WARM_UP, 2.0))
        tells = None if door.is_workbench or door.is_locked else told
        wait_for_work(tells)  # what the first ones have left counts for none of the others
        time.sleep(SETTLE_SECS)
        before = resident_bytes(pid)
        for manner in MANNERS:
            allow_peak(pid)
            seen = asyncio.run(crowd(manner, address, door, peers, secs))
            left = wait_until_settled(tells, pid, before)
            is_fine &= is_within(f"{name:15}{manner:8}", pid, before, left, seen)
    return is_fine


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", type=int, default=100)
    parser.add_argument("--secs", type=float, default=8.0)
    parser.add_argument("doors", nargs="*")
    given = parser.parse_args()
    print(f"bound: {LIMIT + SPARE >> 20} MB at the most, {STAYS >> 20} MB afterwards")
    is_fine = True
    with tempfile.TemporaryDirectory(prefix="waybill-greedy-") as name:
        for what, door in doors(Path(name)).items():
            if not given.doors or what in given.doors:
                is_fine &= measure(what, door, given.peers, given.secs, Path(name))
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
