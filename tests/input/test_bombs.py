"""A megabyte that claims to be gigabytes costs a bounded answer and bounded memory."""

from __future__ import annotations

import gzip
import http.client
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import cramjam
import pytest
from backports import zstd

from tests.memory import ROOM_BYTES, peak_bytes
from tests.support.startup.sitecustomize import search_path

BODY_BYTES = 8 << 20
SERVE = """
import asyncio, sys
from tests.conftest import running
async def main():
    async with running("model.path=null", "limits.body_bytes=%d", "limits.inflight_bytes=%d") as sidecar:
        print(sidecar.service.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


def _zeros(wbits: int, size: int) -> bytes:
    stream, block = zlib.compressobj(9, wbits=wbits), bytes(1 << 20)
    return b"".join(stream.compress(block) for _ in range(size >> 20)) + stream.flush()


def bombs() -> dict[str, tuple[str, bytes]]:
    inner = _zeros(31, 256 << 20)
    frame = zstd.compress(bytes(64 << 20), 19)
    return {
        "gzip": ("gzip", inner * 4),
        "deflate": ("deflate", _zeros(15, 512 << 20)),
        "raw deflate": ("deflate", _zeros(-15, 256 << 20)),
        "zstd": ("zstd", frame * ((1 << 20) // len(frame))),
        "snappy": ("snappy", bytes(cramjam.snappy.compress_raw(bytes(64 << 20)))[: 1 << 20]),
        "snappy claim": ("snappy", b"\xff\xff\xff\xff\x0f" + bytes(1 << 20)),
        "gzip in gzip": ("gzip, gzip", gzip.compress(inner * 40)),
        "gzip in zstd in gzip": ("gzip, zstd, gzip", gzip.compress(zstd.compress(inner))),
        "empty members": ("gzip", gzip.compress(b"") * 100_000),
        "empty frames": ("zstd", zstd.compress(b"") * 100_000),
        # A frame to be skipped, and a member with a long name.
        "a large empty frame": ("zstd", b"\x50\x2a\x4d\x18\0\0\x30\0" + bytes(3 << 20)),
        "a large empty member": (
            "gzip",
            gzip.compress(b"")[:3] + b"\x08" + bytes(6) + b"n" * (3 << 20) + b"\0\x03" + bytes(9),
        ),
    }


@pytest.fixture(name="server")
def _server() -> Iterator[tuple[str, int]]:
    """A sidecar in a process of its own: (address, process id)."""
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE % (BODY_BYTES, 2 * BODY_BYTES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": search_path(root)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield process.stdout.readline().strip().removeprefix("http://"), process.pid
        process.stdin.close()


def post(address: str, body: bytes, encoding: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(
        "POST", "/v1/label", body, {"Content-Encoding": encoding} if encoding else {}
    )
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.e2e
def test_bombs_are_refused_within_the_limit_of_a_body(server: tuple[str, int]) -> None:
    address, pid = server
    assert post(address, gzip.compress(b'[{"log":"x"}]'), "gzip") == 200
    before = peak_bytes(pid)
    answers = {name: post(address, body, encoding) for name, (encoding, body) in bombs().items()}
    assert {name for name, status in answers.items() if status == 200} == {
        "empty members",
        "empty frames",
        "a large empty frame",
        "a large empty member",
    }
    assert set(answers.values()) <= {200, 400, 413}, answers
    assert peak_bytes(pid) - before <= BODY_BYTES + ROOM_BYTES  # the bombs are GBs
    assert post(address, b'[{"log":"x"}]', "") == 200
