"""A bundled stream through a real sidecar, over HTTP, the way shippers send it."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Sequence
from importlib import resources

import aiohttp
import msgpack
import orjson

from waybill.cli.demo.pages import pages, shared
from waybill.cli.demo.table import Record, print_summary, print_table
from waybill.learn.json_stream import values
from waybill.ops.logs import setup_logging
from waybill.service.app import build
from waybill.service.signals import until_stopped
from waybill.settings.schema import Settings
from waybill.wire.compression import compress, decompress, encodings_of
from waybill.wire.moments import event_time, split_seconds

__all__ = ["demo"]

#: How the stream is sent: name, content type, encoding.
_FORMS = (
    ("JSON array", "application/json", "none"),
    ("NDJSON, gzip", "application/x-ndjson", "gzip"),
    ("JSON stream, zstd", "application/json", "zstd"),
    ("JSON array, snappy", "application/json", "snappy"),
    ("msgpack", "application/msgpack", "none"),
)
_BATCHES, _BATCH_RECORDS = 20, 1000


async def demo(settings: Settings, *, is_once: bool) -> None:
    """Start the sidecar, play the stream, print the table; then serve on unless ``is_once``."""
    setup_logging("warning")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log of it is read meanwhile
    with shared(settings) as together:
        await _demo(together, is_once=is_once)


async def _demo(settings: Settings, *, is_once: bool) -> None:
    stream = resources.files("waybill.cli.demo").joinpath("demo.ndjson").read_bytes()
    lines = [line for line in stream.splitlines() if line]
    begin = time.perf_counter()
    async with build(settings) as service:
        print(f"waybill is ready on {service.address} after {time.perf_counter() - begin:.1f} s\n")
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            records = await _play(client, service.address, lines)
            print_table(records)
            print_summary(records, await _measure(client, service.address, lines), _BATCH_RECORDS)
        if is_once:
            return
        record = '{"source":"ModernCRM","log":"User User42 logged in."}'
        print(f"\nServing on {service.address} until Ctrl-C. Try, from another terminal:")
        print(f"  curl -s {service.address}/v1/label -d '{record}'")
        print(f"  curl -s {service.address}/metrics | grep labelled")
        async with pages(settings, service.address) as link:
            print(f"\nPatterns, corrections and rules, in a browser: {link}")
            await until_stopped(service.reloader.reload)


async def _play(
    client: aiohttp.ClientSession, address: str, lines: Sequence[bytes]
) -> list[Record]:
    """Send the lines in turn in every form; gives the records as they came back."""
    records: list[Record] = []
    share = -(-len(lines) // len(_FORMS))
    for i, (name, content_type, encoding) in enumerate(_FORMS):
        part = lines[i * share : (i + 1) * share]
        answer = await _send(client, address, _body(part, name), content_type, encoding)
        back = _records(answer, content_type)
        print(f"{name:<20} {len(part):>3} records out, {len(back):>3} back")
        records += back
    return records


def _body(lines: Sequence[bytes], form: str) -> bytes:
    """The lines as one body. Msgpack can only say what parses; what does not goes as an array."""
    if form.startswith("NDJSON"):
        return b"\n".join(lines)
    if form.startswith("JSON stream"):
        return b"".join(lines)
    if form == "msgpack":
        events = [
            [[event_time(split_seconds(time.time())), {}], json.loads(line)] for line in lines
        ]
        return b"".join(map(msgpack.packb, events))
    return b"[" + b",".join(lines) + b"]"


async def _send(
    client: aiohttp.ClientSession, address: str, body: bytes, content_type: str, encoding: str
) -> bytes:
    headers = {"Content-Type": content_type, "Fluent-Tag": "demo"}
    if encoding != "none":
        headers |= {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    async with client.post(
        f"{address}/v1/label", data=compress(body, encoding), headers=headers
    ) as reply:
        reply.raise_for_status()
        answer = await reply.read()
        back = reply.headers.get("Content-Encoding")
        return decompress(answer, encodings_of(back), 1 << 30)


def _records(body: bytes, content_type: str) -> list[Record]:
    """The answer's records as a lenient reader sees them; what is not an object is shown as
    its text.
    """
    if "msgpack" in content_type:
        unpacker = msgpack.Unpacker(io.BytesIO(body), unicode_errors="replace")
        return [record for _, record in unpacker]
    found: list[Record] = []
    for value in values(body.decode("utf-8", "replace")):
        if isinstance(value, dict):
            found.append(value)
        else:
            found.append({"log": value})
    return found


async def _measure(client: aiohttp.ClientSession, address: str, lines: Sequence[bytes]) -> float:
    """Records per second through one connection, in batches as a shipper fills them."""
    clean = [line for line in lines if _is_valid(line)]
    body = b"[" + b",".join((clean * (_BATCH_RECORDS // len(clean) + 1))[:_BATCH_RECORDS]) + b"]"
    begin = time.perf_counter()
    for _ in range(_BATCHES):
        await _send(client, address, body, "application/json", "none")
    return _BATCHES * _BATCH_RECORDS / (time.perf_counter() - begin)


def _is_valid(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True
