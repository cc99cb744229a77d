"""Work grows no faster than what comes in at any door: every endpoint, walked by its routes.

By the processor time of the whole process, threads included; what it takes of a small request is
taken off, for that is the same for each.
"""

from __future__ import annotations

import gc
import gzip
import json
import time
from collections.abc import Callable

import msgpack
import pytest

from tests.conftest import Running
from tests.input.test_growth import FLOOR_SECS, SLACK, TIMES
from waybill.ingest.http.server import canonical

JSON = "application/json"
Make = Callable[[int], bytes]
_RECORD = {"body": {"stringValue": "it failed"}}


def _lines(n: int) -> bytes:
    return b"\n".join(b'{"log":"order x%d is gone","source":"s%d"}' % (i, i % 90) for i in range(n))


def _rules(n: int) -> bytes:
    rules = "rules:\n" + "".join(
        f"- {{id: r{i}, label: Error, pattern: 'q{i} z'}}\n" for i in range(n)
    )
    return json.dumps({"rules": rules, "messages": ["q1 z"] * min(n, 100)}).encode()


def _otlp(n: int) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [_RECORD] * n}]}]}).encode()


#: Path, content type, encoding, what is sent, and of how many parts from the second size on.
DOORS: dict[str, tuple[str, str, str, Make, int]] = {
    "label": ("/v1/label", JSON, "", _lines, 2_000),
    "label gzip": ("/v1/label", JSON, "gzip", lambda n: gzip.compress(_lines(n), 1), 2_000),
    "label msgpack": (
        "/v1/label/a",
        "application/msgpack",
        "",
        lambda n: msgpack.packb([1, {"log": "it failed"}]) * n,
        4_000,
    ),
    "logs": ("/v1/logs", JSON, "", _otlp, 1_000),
    "csv": ("/v1/classify/csv", "text/csv", "", lambda n: b"log\n" + b"it failed\n" * n, 1_000),
    "explain": ("/v1/explain", JSON, "", lambda n: b'{"message":"%b"}' % (b"a 1 " * n), 10_000),
    "explain a source": (
        "/v1/explain",
        JSON,
        "",
        lambda n: b'{"message":"m","source":"%b"}' % (b"a-" * n),
        20_000,
    ),
    "rules/test": ("/v1/rules/test", JSON, "", _rules, 100),
    "corrections": (
        "/v1/corrections",
        JSON,
        "",
        lambda n: b'{"message":"%b","label":"Error"}' % (b"a 1 " * n),
        10_000,
    ),
    "reload": ("/-/reload", JSON, "", lambda n: b" " * n, 100_000),
}
#: What is told of what was sent.
TOLD = (
    "/v1/patterns?limit=1000",
    "/v1/patterns?order=new&limit=10",
    "/v1/patterns?order=id&label=Error",
    "/v1/sources?limit=100",
    "/v1/corrections",
    "/metrics",
    "/readyz",
)
#: Told without a look at anything that was sent.
FIXED = {
    "/", "/docs", "/openapi.json", "/healthz", "/v1/edition", "/v1/rules", "/v1/label", "/v1/label/{tag}",
}  # fmt: skip


async def _secs(ask: Callable[[], object], runs: int) -> float:
    best = float("inf")
    gc.disable()
    try:
        for _ in range(runs):
            begin = time.process_time()
            await ask()  # type: ignore[misc]
            best = min(best, time.process_time() - begin)
    finally:
        gc.enable()
    return best


@pytest.mark.parametrize("name", DOORS)
async def test_a_body_of_16_times_the_size_takes_as_many_times_as_long(
    running: Running, name: str, tmp_path: object
) -> None:
    path, kind, encoding, make, size = DOORS[name]
    headers = {"Content_Type": kind} | ({"Content_Encoding": encoding} if encoding else {})
    async with running("model.path=null", f"corrections.path={tmp_path}/c.ndjson") as sidecar:
        bodies = {times: make(size * times // 4) for times in (0, 1, TIMES)}
        spent: dict[int, float] = {}
        for _ in range(5):
            for times, body in bodies.items():
                ask = lambda body=body: sidecar.post(body, path, **headers)  # noqa: E731
                spent[times] = await _secs(ask, 1 if times == TIMES else 3)
            few, many = spent[1] - spent[0], spent[TIMES] - spent[0]
            if many < FLOOR_SECS or many <= TIMES * SLACK * max(few, FLOOR_SECS / TIMES):
                return
    pytest.fail(f"{spent}")


@pytest.mark.parametrize("path", TOLD)
async def test_what_is_told_of_16_times_as_much_takes_as_many_times_as_long(
    running: Running, path: str
) -> None:
    async with running("model.path=null") as sidecar:
        spent = []
        for many in (200, 200 * TIMES):
            await sidecar.post(_distinct(many))
            spent.append(await _secs(lambda: sidecar.get(path), 3))
    few, many_secs = spent
    assert many_secs < FLOOR_SECS or many_secs <= TIMES * SLACK * max(few, FLOOR_SECS / TIMES)


def _distinct(n: int) -> bytes:
    letters = str.maketrans("0123456789", "abcdefghij")
    names = [str(i).translate(letters) for i in range(n)]
    return b"\n".join(
        b'{"log":"the %b is gone","source":"%b"}' % (x, x) for x in map(str.encode, names)
    )


async def test_every_door_is_measured(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        routes = sidecar.service.http.routes
    asked = {
        path.replace("/a", "/{tag}") if path == "/v1/label/a" else path
        for path, *_ in DOORS.values()
    }
    told = {path.partition("?")[0] for path in TOLD}
    assert {canonical(one.path) for one in routes if one.method == "POST"} == asked
    assert {canonical(one.path) for one in routes if one.method == "GET"} == told | FIXED
