"""Work grows no faster than what comes in: every decoder, on every kind of body that is hard on it.

Measured in processor time of this thread, the least of several runs. A size below the floor is too
quick to judge; otherwise 16 times the input may take `SLACK` times sixteen.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import json
import time
from collections.abc import Callable

import msgpack
import pytest
from backports import zstd

from tests.effort import allowed
from waybill.core.errors import MalformedError
from waybill.core.names import Compression
from waybill.labelling.masking import mask, shape
from waybill.labelling.rules.scopes import GlobIndex
from waybill.settings.sources import load_settings
from waybill.wire import FieldPlan, Wire
from waybill.wire.compression import decompress
from waybill.wire.forward import FrameReader
from waybill.wire.otlp import OTLP_JSON

#: How many times as much the larger input is.
TIMES = 16
#: Of the growth to 16 times as much: 1.3 for each doubling.
SLACK = 1.3**4
FLOOR_SECS = 0.02
SMALL_RUNS = 3
#: What is done with a body; what comes of it does not matter.
Work = Callable[[bytes], object]
Case = tuple[Work, Callable[[int], bytes], int]
WIRE = Wire(FieldPlan(load_settings(environ={}).fields))


def decode(kind: str, body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        WIRE.decode(body, kind)


def inflate(encoding: Compression, body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decompress(body, [encoding], 1 << 30)


def feed(data: bytes) -> None:
    reader = FrameReader(1 << 30)
    with contextlib.suppress(MalformedError):
        for at in range(0, len(data), 1 << 16):
            for _ in reader.feed(data[at : at + (1 << 16)]):
                pass


def members(n: int) -> bytes:
    """Empty gzip members, no two alike."""
    empty = gzip.compress(b"", mtime=0)
    return b"".join(empty[:4] + i.to_bytes(4, "little") + empty[8:] for i in range(n))


def otlp(attribute: object, n: int) -> bytes:
    record = {"body": {"stringValue": "x"}, "attributes": [{"key": "a", "value": attribute}]}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * n}]}]}).encode()


def json_bodies() -> dict[str, Callable[[int], bytes]]:
    return {
        "array": lambda n: b"[" + b",".join([b'{"log":"x"}'] * n) + b"]",
        "array with blanks": lambda n: b"[ " + b" , ".join([b'{"log":"x"}'] * n) + b" ]",
        "broken array": lambda n: b"[" + b",".join([b'{"log":"x"}'] * n) + b",}",
        "broken values": lambda n: b"[" + b",".join([b'{"log":x}'] * n) + b"]",
        "lines": lambda n: b'{"log":"x"}\n' * n,
        "broken lines": lambda n: b'{"log":"x"\n' * n,
        "one after another": lambda n: b'{"log":"x"}' * n,
        "with blanks between": lambda n: b'{"log":"x"} ' * n,
        "with a pair at the end": lambda n: b'{"log":"x"} ' * n + b'{"log":"x"}{"log":"x"}',
        "braces in texts": lambda n: b'{"log":"}{}{}{}{}{"} ' * n,
        "scalars": lambda n: b"1 " * n,
        "opened lines": lambda n: b"{x\n" * n + b"}" * n,
        "opened objects": lambda n: b'{"a":\n' * n,
        "opened arrays": lambda n: b"[\n" * n,
        "brackets": lambda n: b"[" * n,
        "pairs of brackets": lambda n: b"[] " * n,
        "quotes": lambda n: b'"' * n,
        "backslashes": lambda n: b'{"log":"' + b"\\" * n + b'"}',
        "members": lambda n: b"{" + b",".join(b'"k%d":1' % i for i in range(n)) + b',"log":"\xff"}',
        "twins": lambda n: b"{" + b'"log":"\\ud800",' * n + b'"log":"x"}',
        "labelled": lambda n: b'{"log":"x","target_label":"Error"}\n' * n,
        "not a number": lambda n: b'{"log":"x","a":NaN} ' * n,
        "zeros": bytes,
        "blanks": lambda n: b" \n" * n,
    }


def cases() -> dict[str, Case]:
    """What is done, with a body of which size, and the size to begin with."""
    found: dict[str, Case] = {}
    for name, make in json_bodies().items():
        found[f"json: {name}"] = (lambda body: decode("application/json", body), make, 1_000)
    event = msgpack.packb([[0, {}], {"log": "x"}])
    entries = {
        "events": lambda n: event * n,
        "cut events": lambda n: event[:-1] * n,
        "nil": lambda n: b"\xc0" * n,
        "arrays": lambda n: b"\x91" * n,
        "maps": lambda n: b"\x81\xa1a" * n,
        "never": lambda n: b"\x92\xc1" * n,
        "in one array": lambda n: b"\xdd" + n.to_bytes(4, "big") + event * n,
    }
    for name, make in entries.items():
        found[f"msgpack: {name}"] = (lambda body: decode("application/msgpack", body), make, 1_000)
    values: dict[str, object] = {
        "text": {"stringValue": "x"},
        "broken": {"intValue": "x"},
        "list": {"arrayValue": {"values": [{"stringValue": "x"}] * 5}},
    }
    for name, value in values.items():
        found[f"otlp: {name}"] = (
            lambda body: decode(OTLP_JSON, body),
            lambda n, value=value: otlp(value, n),  # type: ignore[misc]
            500,
        )
    found |= {
        "otlp protobuf: empty": (
            lambda body: decode("application/x-protobuf", body),
            lambda n: b"\x0a\x04\x12\x02\x12\x00" * n,
            1_000,
        ),
        "gzip: members": (lambda body: inflate("gzip", body), members, 2_000),
        "gzip: the same": (lambda b: inflate("gzip", b), lambda n: gzip.compress(b"") * n, 20_000),
        "gzip: padding": (
            lambda b: inflate("gzip", b),
            lambda n: gzip.compress(b"") + bytes(n),
            1 << 20,
        ),
        "gzip: padded members": (
            lambda body: inflate("gzip", body),
            lambda n: (gzip.compress(b"") + bytes(8)) * n,
            500,
        ),
        "zstd: frames": (
            lambda body: inflate("zstd", body),
            lambda n: zstd.compress(b"x") * n,
            500,
        ),
        "forward: deep": (
            feed,
            lambda n: b"\x92\xa1t" + b"\x91" * 3000 + b"\xdd\x00\xff\xff\xff" + b"\xc0" * n,
            20_000,
        ),
        "forward: entries": (
            feed,
            lambda n: b"\x92\xa1t\xdd" + n.to_bytes(4, "big") + event * n,
            1_000,
        ),
        "forward: half": (feed, lambda n: b"\x92\xa1t\xc6\x7f\xff\xff\xff" + bytes(n), 1 << 20),
        "mask": (lambda b: mask(b.decode()), lambda n: b'{"a":"b" a=b ' * n, 1_000),
        "shape": (lambda b: shape(b.decode()), lambda n: b"1 a" * n, 50_000),
    }
    return found


CASES = cases()


def secs(work: Work, body: bytes, runs: int) -> float:
    """The least processor time of several runs, without the collector: it looks at the whole
    process, and the tests before this one filled it.
    """
    best = float("inf")
    gc.disable()
    try:
        for _ in range(runs):
            begin = time.thread_time()
            work(body)
            best = min(best, time.thread_time() - begin)
    finally:
        gc.enable()
    return best


def must_grow_evenly(
    work: Work,
    make: Callable[[int], bytes],
    size: int,
    floor_secs: float = FLOOR_SECS,
) -> None:
    """Fail where :data:`TIMES` as much takes longer than that many times as long, and some slack.

    From a quarter of ``size`` to four times of it: over so wide a range, growth is seen through
    what a busy machine does, and only what repeats is growth.
    """
    measured = []
    few, many = make(size // 4), make(4 * size)
    for _ in range(5):
        before = secs(work, few, SMALL_RUNS)
        large = secs(work, many, 1)
        # On both sides of the large one: the speed of a machine drifts within a second.
        small = (before + secs(work, few, SMALL_RUNS)) / 2
        if large < floor_secs or large <= TIMES * SLACK * small:
            return
        measured.append(f"{size // 4} took {small:.4f} s, {TIMES} times as much {large:.3f} s")
    pytest.fail("; ".join(measured))


@pytest.mark.parametrize("name", CASES)
def test_work_grows_no_faster_than_the_input(name: str) -> None:
    must_grow_evenly(*CASES[name])


def test_a_glob_more_costs_a_look_up_more_or_none() -> None:
    names = [f"pod-{i}" for i in range(500)]

    def look_up(index: GlobIndex) -> float:
        begin = time.thread_time()
        for name in names:
            index.fitting(name)
        return time.thread_time() - begin

    few = GlobIndex([f"team{i}-*" for i in range(100)])
    many = GlobIndex([f"team{i}-*" for i in range(1600)])
    assert any(look_up(many) < 4 * look_up(few) + allowed(0.0005) for _ in range(20))
