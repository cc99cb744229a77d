"""A sidecar process of its own, and the load that is put on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from waybill.cli.bench.reference import RECORDS

__all__ = ["Load", "Process", "accepted_loads", "cpu_secs", "peak_memory_mb", "put_load", "sidecar"]

_READY_SECS, _STOP_SECS = 30.0, 30.0
_POLL_SECS = 0.01


class Process(NamedTuple):
    """A sidecar that is ready, and the seconds from its start until it was."""

    address: str
    pid: int
    ready_secs: float


class Load(NamedTuple):
    """Records per second of some requests, and the seconds of each."""

    rate: float
    latencies: list[float]


@contextlib.contextmanager
def sidecar(folder: Path, *overrides: str, cpus: set[int] | None = None) -> Iterator[Process]:
    """Start ``waybill serve`` in ``folder`` with the settings ``overrides``, on ``cpus`` only."""
    address = f"127.0.0.1:{_free_port()}"
    flags: list[str] = []
    for override in (f"http.listen={address}", *overrides):
        flags += ["--set", override]
    begin = time.perf_counter()
    with (folder / "waybill.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "waybill", "serve", *flags], stderr=log, cwd=folder
        )
    if cpus:
        os.sched_setaffinity(process.pid, cpus)
    try:
        _wait_until_ready(process, address, begin + _READY_SECS)
        yield Process(f"http://{address}", process.pid, time.perf_counter() - begin)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECS)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, until: float) -> None:
    while True:
        try:
            with urlopen(f"http://{address}/readyz") as reply:
                reply.read()
            return
        except (URLError, ConnectionError):
            if process.poll() is not None or time.perf_counter() > until:
                raise
            time.sleep(_POLL_SECS)


def put_load(address: str, bodies: Sequence[bytes], secs: float, connections: int) -> Load:
    """Post the bodies in turn for ``secs`` over so many connections."""
    return asyncio.run(put_load_async(address, bodies, secs, connections))


async def put_load_async(
    address: str, bodies: Sequence[bytes], secs: float, connections: int
) -> Load:
    """`put_load` within an event loop."""
    import aiohttp

    latencies: list[float] = []

    async def one(client: aiohttp.ClientSession, offset: int) -> None:
        i = offset
        while time.perf_counter() < end:
            begin = time.perf_counter()
            async with client.post(f"{address}/v1/label", data=bodies[i % len(bodies)]) as reply:
                await reply.read()
                assert reply.status == 200, reply.status
            latencies.append(time.perf_counter() - begin)
            i += connections

    async with aiohttp.ClientSession(skip_auto_headers=("Accept-Encoding",)) as client:
        begin = time.perf_counter()
        end = begin + secs
        await asyncio.gather(*(one(client, i) for i in range(connections)))
        rate = len(latencies) * RECORDS / (time.perf_counter() - begin)
    return Load(rate, latencies)


def peak_memory_mb(pid: int) -> float:
    """Most memory that a process has had in MB (proc_pid_status(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def cpu_secs(pid: int) -> float:
    """CPU seconds of a process and its children so far (proc_pid_stat(5), utime and stime)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        stat = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def accepted_loads(address: str) -> int:
    """Rule sets that the process has taken so far."""
    with urlopen(f"{address}/metrics") as reply:  # noqa: S310 - loopback
        for line in reply.read().decode().splitlines():
            if line.startswith('waybill_reloads_total{outcome="accepted",what="rules"}'):
                return int(float(line.split()[-1]))
    return 0
