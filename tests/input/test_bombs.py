"""Bodies made to take more than they are: many records of nothing, nests of compression (bar I3)."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib

import msgpack
import pytest

from sidecar.config import load_settings
from sidecar.errors import MalformedError
from sidecar.records import MAX_RECORDS
from sidecar.wire import FieldPlan, Wire
from tests.conftest import Running

MANY = MAX_RECORDS + 1
SWARMS = {
    "array of objects": ("application/json", b"[" + b",".join([b"{}"] * MANY) + b"]"),
    "array of messages": ("application/json", b"[" + b",".join([b'{"log":"a"}'] * MANY) + b"]"),
    "array with spaces": ("application/json", b"[ " + b" , ".join([b'{"log":"a"}'] * MANY) + b"]"),
    "array of numbers": ("application/json", b"[" + b",".join([b"1"] * (20 * MANY)) + b"]"),
    "broken array": ("application/json", b"[" + b",".join([b"{}"] * MANY) + b",}"),
    "lines": ("application/json", b"{}\n" * MANY),
    "lines of messages": ("application/json", b'{"log":"a"}\n' * MANY),
    "one after another": ("application/json", b"{}" * MANY),
    "msgpack nothing": ("application/msgpack", b"\xc0" * MANY),
    "msgpack events": ("application/msgpack", msgpack.packb([[0, {}], {"log": "a"}]) * MANY),
}


@pytest.mark.parametrize("name", SWARMS)
def test_a_swarm_of_records_is_refused(name: str) -> None:
    kind, body = SWARMS[name]
    wire = Wire(FieldPlan(load_settings(environ={}).fields))
    with pytest.raises(MalformedError) as error:
        wire.decode(body, kind)
    assert error.value.code == "too_many_records"


async def test_a_swarm_is_answered_413_and_a_full_body_is_not(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        status, body, _ = await sidecar.post(SWARMS["lines"][1])
        assert (status, json.loads(body)["reason"]) == (413, "too_many_records")
        status, body, _ = await sidecar.post(b'{"a":1}\n' * (MAX_RECORDS // 10))
        assert status == 200
        assert body.count(b"target_label") == MAX_RECORDS // 10


def gzip_of(size: int) -> bytes:
    """``size`` zero bytes in gzip, made in pieces."""
    squeeze = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    return b"".join(squeeze.compress(piece) for _ in range(size >> 20)) + squeeze.flush()


BOMBS = {
    "gzip of 1 GiB": ("gzip", gzip_of(1 << 30)),
    "deflate of 1 GiB": ("deflate", zlib.compress(bytes(1 << 28), 9) * 4),
    "gzip of gzip of 1 GiB": ("gzip, gzip", gzip.compress(gzip_of(1 << 30), 9)),
    "100,000 empty members": ("gzip", gzip.compress(b"") * 100_000),
    "snappy that claims 4 GB": ("snappy", b"\xff\xff\xff\xff\x0f" + b"\x00" * 64),
    "zstd that claims 1 TB": ("zstd", bytes.fromhex("28b52ffd e0 0000000000010000 58") + b"\x00" * 32),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_answered_and_the_next_batch_served(running: Running, name: str) -> None:
    encoding, body = BOMBS[name]
    async with running("model.path=null", "limits.body_bytes=8000000") as sidecar:
        status, answer, _ = await sidecar.post(body, Content_Encoding=encoding)
        assert status == 200 if name == "100,000 empty members" else status in (400, 413), answer
        status, answer, _ = await sidecar.post(b'{"log":"a"}')
        assert status == 200


def test_no_bomb_takes_more_memory_than_a_body_may() -> None:
    """In a process of its own: the peak grows by the limit and 32 MB at most."""
    script = """
import resource, sys
from sidecar.errors import MalformedError
from sidecar.wire.compression import decompress, encodings_of
from tests.input.test_bombs import BOMBS
limit = 64 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for encoding, body in BOMBS.values():
    try:
        assert not decompress(body, encodings_of(encoding), limit)
    except MalformedError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 64 + 32
