"""What would keep the event loop too long is done beside it, and comes out the same."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.conftest import Running
from waybill.flow import inflating
from waybill.wire import JsonCodec

#: Class attribute -> names of the threads that called it.
Seen = dict[str, set[str]]


def watch(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, seen: Seen) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def spy(*given: Any, **named: Any) -> Any:
        found = original(*given, **named)  # one that gives up has done no work to speak of
        seen.setdefault(name, set()).add(threading.current_thread().name)
        return found

    monkeypatch.setattr(owner, name, spy)


@pytest.mark.parametrize(
    ("record", "count", "beside"),
    [
        pytest.param(b'{"log":"hello"}', 1000, set(), id="a usual batch"),
        pytest.param(b'{"txt":"hello"}', 100, set(), id="few records without a message"),
        pytest.param(
            b'{"txt":"hello"}', 20_000, {"decode", "splice"}, id="many records without a message"
        ),
        pytest.param(b'{"log":"hello"}', 20_000, {"decode", "splice"}, id="many records"),
        pytest.param(b'{"log":"hello","pad":"%b"}' % (b"x" * 900), 1000, set(), id="large records"),
        pytest.param(
            b'{"log":"hello","pad":"%b"}' % (b"x" * 5000), 900, {"decode"}, id="many bytes"
        ),
        pytest.param(
            b'{"log":"hello","pad":"%b"}' % (b"," * 999), 1000, {"decode"}, id="many values"
        ),
        pytest.param(
            b'{"log":"hello","p":"%b"}' % (b"x" * 38), 16_000, {"decode"}, id="unseen records"
        ),
    ],
)
async def test_slow_batches_are_read_and_rendered_on_a_thread(
    running: Running, monkeypatch: pytest.MonkeyPatch, record: bytes, count: int, beside: set[str]
) -> None:
    seen: Seen = {}
    for name in ("decode", "splice"):
        watch(monkeypatch, JsonCodec, name, seen)
    async with running("model.path=null") as sidecar:
        status, answer, _ = await sidecar.post(b"[" + b",".join([record] * count) + b"]")
    assert status == 200
    assert len(orjson.loads(answer)) == answer.count(b'"target_label":"Unclassified"') == count
    assert {name for name, threads in seen.items() if threads != {"MainThread"}} == beside


@pytest.mark.parametrize(
    ("size", "layers", "beside"), [(1000, 1, False), (20_000, 1, True), (1000, 2, True)]
)
async def test_what_may_inflate_to_a_thousand_times_its_size_is_inflated_on_a_thread(
    running: Running, monkeypatch: pytest.MonkeyPatch, size: int, layers: int, beside: bool
) -> None:
    seen: Seen = {}
    watch(monkeypatch, inflating, "decompress", seen)
    body = b'[{"log":"%b"}]' % random.Random(size).randbytes(size).hex().encode()
    async with running("model.path=null") as sidecar:
        packed = gzip.compress(body) if layers == 1 else gzip.compress(gzip.compress(body))
        status, answer, _ = await sidecar.post(
            packed, Content_Encoding=", ".join(["gzip"] * layers)
        )
    assert status == 200
    assert answer.startswith(body[:-2])
    assert (seen["decompress"] > {"MainThread"} or "MainThread" not in seen["decompress"]) is beside


async def test_of_an_endless_message_the_first_part_decides(running: Running) -> None:
    async with running() as sidecar:
        message = "ERROR could not connect to the database: connection refused "
        short = orjson.dumps([{"log": message + "x" * 100_000}])
        endless = orjson.dumps([{"log": message + "x" * 5_000_000}])
        (_, first, _), (_, second, _) = await sidecar.post(short), await sidecar.post(endless)
        (labelled,), (same,) = orjson.loads(first), orjson.loads(second)
        assert len(same["log"]) == len(message) + 5_000_000
        assert {**labelled, "log": ""} == {**same, "log": ""}
        assert labelled["label_tier"] in ("rule", "model")
