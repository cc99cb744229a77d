"""No kind of request holds the event loop up: every endpoint, with what is hard on it.

By processor time of the loop's thread and with slack: what is found here is work that grows with
its input. `make stalls` holds the bound itself, by the clock, with bodies up to the limits.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import threading
import time
from pathlib import Path

import msgpack
import pytest

from tests.conftest import Running, Sidecar
from tests.effort import allowed
from tests.gaps import gaps
from waybill.ops.turns import take_short_turns

#: Work in one piece, in seconds: about as long as a probe waits.
MOST_SECS = 0.05
_CHARS = 200_000
#: Records of a body; ten times what is labelled in one piece.
_MANY = 10_000
#: Texts that something in the way might read again and again.
TEXTS = {
    "words": "w " * (_CHARS // 2),
    "one word": "x" * _CHARS,
    "digits": "9" * _CHARS,
    "addresses": "10.0.0.1 " * (_CHARS // 9),
    "pairs": "a=b " * (_CHARS // 4),
    "colours": "\\u001b[31m" * (_CHARS // 10),
    "quotes": '\\"' * (_CHARS // 2),
    "no ASCII": "é" * (_CHARS // 2),
}
JSON = "application/json"
#: Endpoint and what is sent to it, with the text in place of ``@``.
ASKED = {
    "explain": ("/v1/explain", '{"message":"@"}'),
    "explain a source": ("/v1/explain", '{"message":"m","source":"@"}'),
    "try rules": ("/v1/rules/test", '{"rules":"@"}'),
    "try messages": ("/v1/rules/test", '{"rules":"rules: []","messages":["@"]}'),
    "correct": ("/v1/corrections", '{"message":"@","label":"Error"}'),
    "correct a mask": ("/v1/corrections", '{"mask":"@","label":"Error"}'),
    "correct to": ("/v1/corrections", '{"message":"m","label":"@"}'),
    "withdraw": ("/v1/corrections", '{"withdraws":"@"}'),
    "label": ("/v1/label", '[{"log":"@"}]'),
    "logs": ("/v1/logs", '{"resourceLogs":["@"]}'),
}
_WORDS = [f"{a}{b}{c}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefghijklmnop"]
RECORD = {"log": "component failed", "source": "shop", "kubernetes": {"pod_name": "p"}}


def batches() -> dict[str, tuple[str, str, bytes, str]]:
    """Path, content type, body and encoding of what shippers send, a megabyte of each."""
    lines = [json.dumps(dict(RECORD, log=f"order x{i} failed y{i}")) for i in range(_MANY)]
    array = f"[{','.join(lines)}]".encode()
    event = msgpack.packb([[0, {}], RECORD])
    gelf = b'{"version":"1.1","host":"a","short_message":"it failed","_k":1}\n'
    record = {"body": {"stringValue": "it failed"}, "attributes": [{"key": "k", "value": {}}]}
    otlp = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * (_MANY // 2)}]}]}
    return {
        "array": ("/v1/label", JSON, array, ""),
        "lines": ("/v1/label", JSON, "\n".join(lines).encode(), ""),
        "gzip": ("/v1/label", JSON, gzip.compress(array, 1), "gzip"),
        "msgpack": ("/v1/label", "application/msgpack", event * _MANY, ""),
        "hosts": ("/v1/label", JSON, b'{"log":"it failed","host":"a"}\n' * _MANY, ""),
        "gelf": ("/v1/label", JSON, gelf * _MANY, ""),
        "text": ("/v1/label", "text/plain", b"it failed again\n" * _MANY, ""),
        "logfmt": ("/v1/label", "application/logfmt", b'level=error msg="x"\n' * _MANY, ""),
        "otlp": ("/v1/label", "application/otlp+json", json.dumps(otlp).encode(), ""),
        "otlp protobuf": (
            "/v1/label",
            "application/x-protobuf",
            b"\x0a\x04\x12\x02\x12\x00" * _MANY,
            "",
        ),
        "table": (
            "/v1/classify/csv",
            "text/csv",
            b"log,source\n" + b"it failed,a\n" * (_MANY // 2),
            "",
        ),
        "broken table": ("/v1/classify/csv", "text/csv", b'log\n"' + b"\n" * _MANY, ""),
    }


#: What is asked without a body, with more patterns and corrections than fit one page.
GOT = (
    "/v1/patterns?limit=1000",
    "/v1/patterns?order=new&limit=1000&after=0_0_0000000000000000",
    "/v1/patterns?order=id&source=shop&label=Error",
    "/v1/sources?limit=200",
    "/v1/rules",
    "/v1/corrections",
    "/v1/edition",
    "/v1/label",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/healthz",
    "/",
    "/docs",
)


async def _ask_all(sidecar: Sidecar) -> dict[str, float]:
    """The longest piece of work of each request, in seconds."""
    worst: dict[str, float] = {}
    for name, (path, kind, body, encoding) in batches().items():
        headers = {"Content_Type": kind} | ({"Content_Encoding": encoding} if encoding else {})
        async with gaps() as found:
            status, answer, _ = await sidecar.post(body, path, **headers)
        assert status == 200, (name, status, answer[:200])
        worst[name] = found.worst
    for name, (path, form) in ASKED.items():
        for what, text in TEXTS.items():
            async with gaps() as found:
                status, _, _ = await sidecar.post(form.replace("@", text).encode(), path)
            assert status < 500 or path == "/v1/logs", (name, what, status)
            worst[f"{name}: {what}"] = found.worst
    for path in GOT:
        async with gaps() as found:
            status, _ = await sidecar.get(path)
        assert status in (200, 503), (path, status)
        worst[path] = found.worst
    async with gaps() as found:
        await sidecar.post(b"", "/-/reload")
    worst["reload"] = found.worst
    return worst


def _slow(worst: dict[str, float]) -> dict[str, float]:
    most = allowed(MOST_SECS)
    return {name: secs for name, secs in worst.items() if secs > most}


async def test_no_kind_of_request_holds_the_others_up(running: Running, tmp_path: Path) -> None:
    written = tmp_path / "corrections.ndjson"
    async with running("model.path=null", f"corrections.path={written}") as sidecar:
        slow = _slow(await _ask_all(sidecar))
        if slow:  # what is slow once may have met the collector: what stays slow is a fault
            again = _slow(await _ask_all(sidecar))
            slow = {name: again[name] for name in slow if name in again}
    assert not slow


async def test_a_busy_thread_does_not_hold_a_batch_up_at_each_message(running: Running) -> None:
    before = sys.getswitchinterval()
    take_short_turns()  # as `waybill serve` does
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            sum(range(1000))

    lines = [json.dumps({"log": f"an order of {word} failed"}) for word in _WORDS[:800]]
    try:
        async with running("model.path=null") as sidecar:
            await sidecar.post(lines[0].encode())
            busy = asyncio.create_task(asyncio.to_thread(work))
            began = time.process_time()  # of both threads: what waits does not work
            await sidecar.post("\n".join(lines).encode())
            took = time.process_time() - began
            is_over.set()
            await busy
    finally:
        is_over.set()
        sys.setswitchinterval(before)
    assert took < allowed(0.25)  # with turns of 5 ms some four seconds


async def test_every_endpoint_is_asked(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        _, described = await sidecar.get("/openapi.json")
    asked = {path for path, *_ in batches().values()} | {path for path, _ in ASKED.values()}
    asked |= {path.partition("?")[0] for path in GOT} | {"/-/reload", "/v1/label/{tag}"}
    assert set(json.loads(described)["paths"]) <= asked


@pytest.mark.parametrize("name", ["need", "count", "new", "id"])
async def test_no_order_of_patterns_holds_the_others_up(running: Running, name: str) -> None:
    body = "\n".join(json.dumps({"log": f"the {word} is gone"}) for word in _WORDS).encode()
    async with running("model.path=null", "patterns.sample_every=1") as sidecar:
        await sidecar.post(body)
        await sidecar.get("/v1/patterns?limit=1")  # the first text that is cleaned takes longer
        async with gaps() as found:
            status, answer = await sidecar.get(f"/v1/patterns?order={name}&limit=1000")
    assert status == 200
    assert answer.count(b"\n") == 1000
    assert found.worst < allowed(MOST_SECS)
