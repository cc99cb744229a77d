"""A real ``waybill serve`` that can be killed and started again on the same address."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from tests.support.forking.process import Process, start_waybill
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
RULES = "rules:\n- {id: disk, label: Critical Error, pattern: 'disk [0-9]+ is full'}\n"


class Waybill:
    """The process. ``overrides`` are ``dotted.key=value``; ``is_default`` keeps the shipped rules
    and model.
    """

    def __init__(
        self, folder: Path, *overrides: str, is_default: bool = False, with_forward: bool = False
    ) -> None:
        self.folder = folder
        self.http_port, self.forward_port = free_port(), free_port()
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / "chaos.yaml").write_text(RULES)
        own = () if is_default else (f"rules.path={folder / 'rules'}", "model.path=null")
        forward = (f"forward.listen=127.0.0.1:{self.forward_port}",) if with_forward else ()
        self.overrides = (
            f"http.listen=127.0.0.1:{self.http_port}",
            "log.level=warning",
            *own,
            *forward,
            *overrides,
        )
        self.process: Process | None = None
        self.environment: dict[str, str] = {}
        self.kills = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def __aenter__(self) -> Waybill:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)

    async def start(self) -> None:
        """Start and wait until it is ready."""
        flags = [part for override in self.overrides for part in ("--set", override)]
        with (self.folder / "waybill.log").open("ab") as log:
            self.process = await asyncio.to_thread(
                start_waybill,
                "serve",
                *flags,
                folder=self.folder,
                environ=self.environment,
                errors=log,
            )
        await self.until_ready()

    async def until_ready(self) -> None:
        """Wait until `/readyz` says so."""
        async with aiohttp.ClientSession() as client:
            for _ in range(600):
                assert self.process is not None
                assert self.process.poll() is None, self.log()
                try:
                    async with client.get(f"{self.address}/readyz") as reply:
                        if reply.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(self.log())

    async def kill(self) -> None:
        """SIGKILL, and start again."""
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self.kills += 1
        await self.start()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait)

    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "waybill.log").read_text()

    def status(self, name: str) -> float:
        """A number from ``/proc/PID/status``: ``VmRSS``, ``VmHWM`` (MB), ``Threads``."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        words = next(line for line in lines if line.startswith(f"{name}:")).split()
        return int(words[1]) / (1024 if words[-1] == "kB" else 1)

    def cpu_secs(self) -> float:
        """CPU seconds used so far."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    async def metric(self, series: str) -> float:
        """The value of a series in ``/metrics``; 0 when there is none."""
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{self.address}/metrics") as reply,
        ):
            for line in (await reply.text()).splitlines():
                if line.startswith(f"{series} "):
                    return float(line.split()[-1])
        return 0.0
