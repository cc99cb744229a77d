"""``make stalls``: how long the event loop stands still under what is hard on it.

    python -m tests.chaos.stalls [CASE ...]

A sidecar runs in a process of its own, where a task asks every millisecond what time it is; the
longest gap is the longest time that no probe, no heartbeat and no other batch was served. On a
busy machine much of a gap is time in which others have the processors. So beside it stands what
all threads of the process worked in any one gap: what a quiet machine has at most, whichever
thread kept the interpreter. The third is the work of the loop's own thread. Printed for usual load, bombs, very large bodies, every endpoint with
what is hard on it, reloads of 5,000 rules and 100,000 corrections, and an exchange of the model.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import io
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgpack
import orjson
from aiohttp import web

from tests.chaos.large import large_events, large_records
from tests.input.test_bombs import bombs
from tests.input.test_stalls import ASKED, GOT, TEXTS, batches
from waybill.cli.bench.reference import reference_batch, rule_text
from waybill.core.batch import MAX_RECORDS
from waybill.core.correction import encode_correction, new_correction

ROOT = Path(__file__).parents[2]
#: A mask has no digits but zero.
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_TOKEN = "a-token-of-some-length-"
_TOKENS = 1500
Case = Callable[[], Awaitable[object]]
#: What is written where, in which character set.
_WRITTEN = {
    "utf-16": "Auftrag 漢字 {} gelöscht",
    "shift_jis": "エラー {} 日本",
    "koi8-r": "ошибка {} в сети",
    "gb18030": "错误 {} 网络 \u0e01",
    "cp1252": "Auftrag {} gelöscht",
}


async def child(overrides: list[str]) -> None:
    """Serve, and answer each line on stdin with the longest gap, the most that all threads worked
    in one, and the most that the loop did, since the line before; in seconds.
    """
    from tests.conftest import running
    from waybill.ops.memory import settle_memory
    from waybill.ops.tuning import tune_process

    tune_process()  # as `waybill serve` does
    worst = [0.0] * 3
    clocks = time.perf_counter, time.process_time, time.thread_time

    async def tick() -> None:
        nonlocal worst
        before = [clock() for clock in clocks]
        while True:
            await asyncio.sleep(0.001)
            now = [clock() for clock in clocks]
            gap, all_work, own_work = (
                after - since for after, since in zip(now, before, strict=True)
            )
            before = now
            worst = list(map(max, worst, (gap - 0.001, min(gap, all_work), own_work)))

    async with running(*overrides) as sidecar:
        settle_memory()
        ticker = asyncio.create_task(tick())
        print(sidecar.service.address, *getattr(sidecar.service.forward, "addresses", ()))
        sys.stdout.flush()
        while await asyncio.to_thread(sys.stdin.readline):
            print(*worst, flush=True)
            worst = [0.0] * 3
        ticker.cancel()


def _correction(number: int) -> bytes:
    mask = f"order {str(number).translate(_LETTERS)} failed"
    return encode_correction(new_correction(mask, "Error", by="ann", at="2026-11-20T10:00:00Z"))


class Child:
    """A sidecar in a process of its own, and what its loop did."""

    def __init__(self, *settings: str) -> None:
        command = [sys.executable, "-m", "tests.chaos.stalls", "--child", *settings]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.addresses = self._read().split()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _worst_ms(self) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [float(secs) * 1000 for secs in self._read().split()]

    async def print_all(self, cases: Mapping[str, Case], wanted: Sequence[str]) -> None:
        """A line for each case, or for each whose name has one of ``wanted`` in it."""
        for name, case in cases.items():
            if wanted and not any(part in name for part in wanted):
                continue
            self._worst_ms()
            begin = time.perf_counter()
            outcome = await case()
            took = time.perf_counter() - begin
            gap, all_work, own_work = self._worst_ms()
            said = f": {outcome}" if outcome else ""
            figures = f"{gap:18.1f}  {all_work:13.1f}  {own_work:12.1f}  {took:8.2f}"
            print(f"{figures}  {name}{said}", flush=True)

    def end(self) -> None:
        """Stop it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


async def _say(address: str, message: bytes) -> str:
    """Send one Forward message; the acknowledgement."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(message)
    answer = await reader.read(64)
    writer.close()
    return repr(answer)


def texts_of_charsets() -> dict[str, tuple[str, bytes]]:
    """Content type and body: many lines, one line of 50 MB, and what is no such text."""
    found: dict[str, tuple[str, bytes]] = {}
    for name, text in _WRITTEN.items():
        kind = f"text/plain; charset={name}"
        line = text.format("x" * 40).encode(name)
        some = "".join(f"{text.format(i)}\n" for i in range(10_000)).encode(name)
        found[f"{name}, lines"] = kind, some * ((4 << 20) // len(some))
        found[f"{name}, one line"] = kind, line * ((50 << 20) // len(line))
        found[f"{name}, no such text"] = kind, some + b"\xff\x81\x00" * (16 << 20)
    mark = b"\xff\xfe"
    found["utf-16, halves of pairs"] = "text/plain", mark + b"\x00\xd8" * (25 << 20)
    found["utf-32, no characters"] = "text/plain", mark + b"\0\0" + b"\xff" * (50 << 20)
    found["no charset, high bytes"] = "text/plain", b"\xe9\xff" * (25 << 20)
    found["no charset, none of any"] = "text/plain", b"\x81\n" * 100_000
    found["utf-7, shifts"] = "text/plain; charset=utf-7", b"+AOk-" * (10 << 20)
    found["iso2022_jp, shifts"] = "text/plain; charset=iso-2022-jp", b"\x1b$B\x1b(B" * (8 << 20)
    return found


def _head(kind: str) -> bytes:
    """The head of a table in the character set of ``kind``."""
    return "log\n".encode(kind.partition("charset=")[2] or "utf-8")


async def measure_forward(wanted: Sequence[str]) -> None:
    """Print the lines of the Forward listener, whose records a receiver takes."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    receiver = web.Application(client_max_size=1 << 30)
    receiver.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(receiver)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    child = Child("forward.listen=127.0.0.1:0", "return.type=http", f"return.url={url}")
    forward = child.addresses[1]
    event = [1, {"log": "component-7 failed", "stream": "stderr"}]
    packed = msgpack.packb(event) * MAX_RECORDS
    option = {"chunk": "c"}
    squeezed = gzip.compress(packed, 1)
    deep = b"\x91" * 3000 + b"\xc0"
    messages = {
        f"{MAX_RECORDS:,} events, packed": msgpack.packb(["t", packed, option]),
        "the same, gzip": msgpack.packb(["t", squeezed, option | {"compressed": "gzip"}]),
        "100,000 events, not packed": msgpack.packb(["t", [event] * 100_000, option]),
        "one event of 60 MB": msgpack.packb(["t", 1, {"log": "x" * (60 << 20)}, option]),
        **{
            f"one packed event of 60 MB: {name}": msgpack.packb(["t", large, option])
            for name, large in large_events().items()
        },
        "8 million nils": b"\x94\xa1t\x01\xdd" + struct.pack(">I", 8_000_000) + b"\xc0" * 8_000_000,
        "a deep value": b"\x94\xa1t\x01\x81\xa1a" + deep + msgpack.packb(option),
    }
    try:
        await child.print_all(
            {
                f"Forward, {name}": lambda message=message: _say(forward, message)  # type: ignore[misc]
                for name, message in messages.items()
            },
            wanted,
        )
    finally:
        child.end()
        await runner.cleanup()


async def measure(rules: Path, model: Path, wanted: Sequence[str]) -> None:
    """Print the table."""
    tokens = rules.parent / "tokens"
    tokens.write_text(f"{_TOKEN}\n")
    child = Child(
        f"rules.path={rules}",
        f"model.path={model}",
        f"corrections.path={rules.parent / 'corrections.ndjson'}",
        f"http.tokens_file={tokens}",
    )
    address = child.addresses[0]
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as client:

        async def post(
            body: bytes, kind: str = "application/json", encoding: str = "", path: str = "/v1/label"
        ) -> int | str:
            headers = {"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {})
            data = io.BytesIO(body)
            try:
                async with client.post(f"{address}{path}", data=data, headers=headers) as reply:
                    await reply.read()
                    return reply.status
            except aiohttp.ClientError:
                return "broken off"  # refused in the middle

        async def get(path: str) -> int:
            async with client.get(f"{address}{path}") as reply:
                await reply.read()
                return reply.status

        async def ask(path: str, form: str) -> None:
            for text in TEXTS.values():
                await post(form.replace("@", text).encode(), path=path)

        async def state() -> dict[str, dict[str, object]]:
            async with client.get(f"{address}/readyz") as reply:
                return json.loads(await reply.read())  # type: ignore[no-any-return]

        async def load() -> None:
            for seed in range(100):
                assert await post(orjson.dumps(reference_batch(seed, 1000))) == 200

        async def during(change: Callable[[], None], what: str) -> None:
            """Load from before a change until it is in force."""
            before = (await state())[what]["version"]
            change()
            while (now := (await state())[what])["version"] == before:
                assert not now["refused"], now
                await post(orjson.dumps(reference_batch(int(time.monotonic() * 1000), 1000)))

        def more_rules() -> None:
            (rules / ".new").write_text(rule_text(5000))
            (rules / ".new").replace(rules / "rules.yaml")

        def other_model() -> None:
            manifest = json.loads((model / "manifest.json").read_text())
            (model / "manifest.json").write_text(json.dumps(manifest | {"version": "other"}))

        def more_corrections() -> None:
            (rules.parent / ".new").write_bytes(b"".join(map(_correction, range(100_000))))
            (rules.parent / ".new").replace(rules.parent / "corrections.ndjson")

        async def more_tokens() -> None:
            (rules.parent / ".new").write_text("".join(f"{_TOKEN}{i}\n" for i in range(_TOKENS)))
            (rules.parent / ".new").replace(tokens)
            headers["Authorization"] = f"Bearer {_TOKEN}{_TOKENS - 1}"
            until = time.monotonic() + 3
            while time.monotonic() < until:
                await post(orjson.dumps(reference_batch(1, 1000)))

        record = b'{"log":"component-7 failed with code 3 on shard 9","stream":"stderr"}'
        large = b"[" + b",".join([record] * MAX_RECORDS) + b"]"
        names = [str(number).translate(_LETTERS) for number in range(200_000)]
        distinct = b"\n".join(b'{"log":"the %b is gone"}' % name.encode() for name in names)
        sources = b"\n".join(b'{"log":"it is gone","source":"%b"}' % x.encode() for x in names)
        mute, labelled = record.replace(b"log", b"txt"), record[:-1] + b',"target_label":"Error"}'
        wide = b'[{"log":"' + b"x" * (60 << 20) + b'"}]'
        deep = b"[" * 1_000_000
        million = {f"k{number}": number for number in range(1_000_000)}
        members, packed_members = orjson.dumps(million), msgpack.packb([1, million])
        events = (
            msgpack.packb([[0, {}], {"log": "component-7 failed", "stream": "stderr"}])
            * MAX_RECORDS
        )
        cases: dict[str, Case] = {
            "first load (memo empty)": load,
            "usual load": load,
            f"{MAX_RECORDS:,} records of JSON, {len(large) >> 20} MB": lambda: post(large),
            "the same, gzip": lambda: post(gzip.compress(large, 1), encoding="gzip"),
            f"{MAX_RECORDS:,} msgpack events, {len(events) >> 20} MB": lambda: post(
                events, "application/msgpack"
            ),
            "200,000 distinct messages": lambda: post(distinct),
            "200,000 sources": lambda: post(sources),
            "200,000 records labelled already": lambda: post(b"\n".join([labelled] * 200_000)),
            "one record of 60 MB": lambda: post(wide),
            "60 MB of line ends": lambda: post(b"\n" * (60 << 20)),
            "60 MB of NULs behind a record": lambda: post(b'{"log":"a"}' + bytes(60 << 20)),
            "60 MB of blanks in an object": lambda: post(b"{" + b" " * (60 << 20)),
            "a million brackets": lambda: post(deep),
            "one record of a million members": lambda: post(members),
            "the same, msgpack": lambda: post(packed_members, "application/msgpack"),
            **{
                f"20,000 records {name}": lambda one=one, form=form: post(form(one))  # type: ignore[misc]
                for what, one in (
                    ("without message", mute),
                    ("labelled already", labelled),
                    ("cut short", record[:-3]),
                )
                for name, form in (
                    (f"{what}, array", lambda one: b"[" + b",".join([one] * 20_000) + b"]"),
                    (f"{what}, lines", lambda one: b"\n".join([one] * 20_000)),
                )
            },
            **{
                f"bomb: {name}": lambda body=body, encoding=encoding: post(body, encoding=encoding)  # type: ignore[misc]
                for name, (encoding, body) in bombs().items()
            },
            **{
                f"{path}, {name}": lambda path=path, kind=kind, body=body, encoding=encoding: post(  # type: ignore[misc]
                    body, kind, encoding, path
                )
                for name, (path, kind, body, encoding) in batches().items()
            },
            **{
                f"{path}, {name}": lambda path=path, form=form: ask(path, form)  # type: ignore[misc]
                for name, (path, form) in ASKED.items()
            },
            **{
                f"one record of 60 MB, {name}": lambda kind=kind, body=body: post(body, kind)  # type: ignore[misc]
                for name, kind, body in large_records()
            },
            "table, one cell of 60 MB": lambda: post(
                b"log\n" + b"x" * (60 << 20), "text/csv", path="/v1/classify/csv"
            ),
            **{path: lambda path=path: get(path) for path in GOT},  # type: ignore[misc]
            **{
                f"text, {name}": lambda kind=kind, body=body: post(body, kind)  # type: ignore[misc]
                for name, (kind, body) in texts_of_charsets().items()
            },
            **{
                f"table, {name}": lambda kind=kind, body=body: post(  # type: ignore[misc]
                    _head(kind) + body, kind.replace("plain", "csv"), path="/v1/classify/csv"
                )
                for name, (kind, body) in texts_of_charsets().items()
            },
            "reload of 5,000 rules": lambda: during(more_rules, "rules"),
            "reload of 100,000 corrections": lambda: during(more_corrections, "corrections"),
            "exchange of the model": lambda: during(other_model, "model"),
            f"{_TOKENS:,} tokens in place of one": more_tokens,
        }
        heads = f"{'longest stall, ms':>18}  {'all work, ms':>13}  {'own work, ms':>12}"
        print(f"{heads}  {'took, s':>8}")
        await child.print_all(cases, wanted)
    child.end()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="Longest stalls of the event loop.")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("wanted", nargs="*", metavar="CASE", help="a part of its name")
    given = parser.parse_args()
    if given.child:
        asyncio.run(child(given.child))
        return
    with tempfile.TemporaryDirectory(prefix="waybill-stalls-") as name:
        rules, model = Path(name) / "rules", Path(name) / "model"
        rules.mkdir()
        (rules / "rules.yaml").write_text(rule_text(100))
        shutil.copytree(ROOT / "models" / "default", model)
        asyncio.run(measure(rules, model, given.wanted))
    asyncio.run(measure_forward(given.wanted))


if __name__ == "__main__":
    main()
