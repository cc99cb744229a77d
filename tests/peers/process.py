"""A peer as a process: started, waited for, killed, started again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

#: A JVM and an API server start slowly on a busy machine.
READY_SECS = 120.0


class Process:
    """``command`` with its output in ``folder``; ``is_ready`` says when it can be used."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        is_ready: Callable[[], Awaitable[bool]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.folder = folder
        self.kills = 0
        self._is_ready = is_ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Process:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
            )
        end = asyncio.get_running_loop().time() + READY_SECS
        while not await self._is_ready():
            assert self._process.returncode is None, self.said()
            assert asyncio.get_running_loop().time() < end, self.said()
            await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """SIGKILL, and start again."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        self.kills += 1
        await self.start()

    def said(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text("utf-8", "replace")[-6000:]

    @property
    def _log(self) -> Path:
        return self.folder / f"{Path(self.command[0]).name}.log"


async def answers(url: str) -> bool:
    """Whether ``url`` answers 200."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        try:
            async with client.get(url) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
