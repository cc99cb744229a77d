"""``waybill demo``: a bundled stream through a real sidecar, over HTTP, the way shippers send it."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import aiohttp
import msgpack
import orjson

from waybill.ops.logs import setup_logging
from waybill.service.app import build, run_until_stopped
from waybill.settings.schema import Settings
from waybill.wire.compression import compress, decompress, encodings_of
from waybill.wire.moments import event_time, split_seconds

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
    lines = [
        line
        for line in resources.files("waybill.cli").joinpath("demo.ndjson").read_bytes().splitlines()
        if line
    ]
    begin = time.perf_counter()
    async with build(settings) as service:
        print(f"waybill is ready on {service.address} after {time.perf_counter() - begin:.1f} s\n")
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            records = await _play(client, service.address, lines)
            _print_table(records)
            _print_summary(records, await _measure(client, service.address, lines))
        if is_once:
            return
        print(f"\nServing on {service.address} until Ctrl-C. Try, from another terminal:")
        print(
            f"""  curl -s {service.address}/v1/label -d '{{"source":"ModernCRM","log":"User User42 logged in."}}'"""
        )
        print(f"  curl -s {service.address}/metrics | grep labelled")
        await run_until_stopped(service)


async def _play(
    client: aiohttp.ClientSession, address: str, lines: Sequence[bytes]
) -> list[dict[str, Any]]:
    """Send the lines in turn in every form; gives the records as they came back."""
    records: list[dict[str, Any]] = []
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
        return b"".join(
            msgpack.packb([[event_time(split_seconds(time.time())), {}], json.loads(line)])
            for line in lines
        )
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


def _records(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """The answer's records as a lenient reader sees them; what is no object is shown as its text."""
    if "msgpack" in content_type:
        return [
            record for _, record in msgpack.Unpacker(io.BytesIO(body), unicode_errors="replace")
        ]
    text = body.decode("utf-8", "replace").strip()
    decoder = json.JSONDecoder(strict=False)
    found: list[dict[str, Any]] = []
    at = 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            end = text.find("\n", at) % (len(text) + 1)
            value, at = text[at:end], end
        values = value if isinstance(value, list) else [value]
        found += [one if isinstance(one, dict) else {"log": one} for one in values]
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
    return found


async def _measure(client: aiohttp.ClientSession, address: str, lines: Sequence[bytes]) -> float:
    """Records per second through one connection, in batches of a thousand as a shipper fills them."""
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


def _print_table(records: Iterable[dict[str, Any]]) -> None:
    width = max(60, shutil.get_terminal_size((150, 24)).columns - 90)
    header = ("source", "message", "label", "tier", "rule or model / reason", "conf.")
    form = f"{{:<15.15}} {{:<{width}.{width}}} {{:<19}} {{:<6}} {{:<26.26}} {{:>5}}"
    print("\n" + form.format(*header))
    print(form.format("-" * 15, "-" * width, "-" * 19, "-" * 6, "-" * 26, "-" * 5))
    for record in records:
        message = next(
            (record[k] for k in ("log", "message", "log_message", "msg", "body") if k in record),
            record,
        )
        text = message if isinstance(message, str) else json.dumps(message)
        confidence = record.get("label_confidence")
        row = (
            str(record.get("source") or record.get("service") or "-"),
            "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text),
            record.get("target_label", "(passed as it is)"),
            record.get("label_tier", "-"),
            record.get("label_reason") or record.get("label_rule") or "-",
            "-" if confidence is None else f"{confidence:.2f}",
        )
        print(form.format(*row))


def _print_summary(records: Sequence[dict[str, Any]], rate: float) -> None:
    labels = Counter(record.get("target_label", "(passed as it is)") for record in records)
    tiers = Counter(record.get("label_tier", "-") for record in records)
    print("\n" + ", ".join(f"{label} {count}" for label, count in labels.most_common()))
    print("decided by: " + ", ".join(f"{tier} {count}" for tier, count in tiers.most_common()))
    print(
        f"{rate:,.0f} records/s, one connection, {_BATCH_RECORDS} records a batch, client included"
    )
    waiting = sum(record.get("label_reason") == "llm_disabled" for record in records)
    if waiting:
        print(
            f"\n{waiting} LegacyCRM records are Unclassified: their route asks the LLM tier, which is off.\n"
            "Switch it on with llm.provider (see config/waybill.yaml) and a key in GROQ_API_KEY, or try\n"
            "`make demo LLM=stub`, which needs neither key nor network."
        )
    sys.stdout.flush()
