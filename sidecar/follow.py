"""Follows a model repository or folder: the newest accepted version comes into force by itself.

Pulling runs in a child process (`sidecar.offline.hub`): the client library costs memory that a service
on every node must not pay, and a hanging network must not hang anything here. The child checks the
bundle and lets ``<into>/current`` point to it; the reloader watches that folder like any other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

from sidecar.config import ModelSettings
from sidecar.ops.metrics import Metrics

log = logging.getLogger(__name__)

#: A pull that takes longer is ended; a bundle has about 25 MB.
_PULL_SECS = 300.0
#: The first pull may delay the start by this much where a bundle is at hand already.
_START_SECS = 20.0


class ModelFollower:
    """Pulls at the start and every ``model.follow.interval_secs`` after."""

    def __init__(self, settings: ModelSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings.follow, metrics
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Pull once, then go on in the background. Never raises: an older bundle serves."""
        has_bundle = (Path(self._settings.into) / "current").exists()
        await self.pull(_START_SECS if has_bundle else _PULL_SECS)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def pull(self, timeout_secs: float = _PULL_SECS) -> bool:
        """Pull once; whether the newest version is there and accepted."""
        assert self._settings.source is not None
        command = ["pull", "--repo", self._settings.source, "--into", self._settings.into]
        if self._settings.endpoint:
            command += ["--endpoint", self._settings.endpoint]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar.offline.hub", *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, errors = await asyncio.wait_for(child.communicate(), timeout_secs)
        except (TimeoutError, asyncio.CancelledError) as error:
            child.kill()
            await child.wait()
            if isinstance(error, asyncio.CancelledError):
                raise
            return self._failed("timeout", f"not done after {timeout_secs:g} s")
        if child.returncode:
            return self._failed(*_reason(errors))
        self._metrics.model_pulls.labels("accepted").inc()
        return True

    def _failed(self, code: str, detail: str) -> bool:
        self._metrics.model_pulls.labels(code).inc()
        log.warning("no newer model was pulled", extra={"reason": code, "detail": detail})
        return False

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.interval_secs)
            await self.pull()


_REASONS = frozenset(
    ("unreachable", "not_found", "no_version", "manifest", "missing_file", "extra_file", "hash", "labels",
     "encoder", "classifier", "golden", "pickle")
)  # fmt: skip


def _reason(errors: bytes) -> tuple[str, str]:
    """The bounded code and the detail that the child wrote last."""
    last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
    try:
        said = json.loads(last[0])
        code, detail = str(said["reason"]), str(said["detail"])
    except (ValueError, KeyError, TypeError):
        return "failed", last[0][:500]
    return (code if code in _REASONS else "failed"), detail[:500]
