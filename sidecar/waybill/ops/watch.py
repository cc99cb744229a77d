"""Watching folders the way ConfigMap volumes change.

The kubelet writes a new folder and swaps the ``..data`` symlink onto it, so a watch on a *file*
misses every update but the first: we watch the *folder* and, because events can be lost on network
file systems, compare a content hash on an interval as well. A change is reported once its content
hash has changed, whatever the events said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import watchfiles

from waybill.core.again import again_and_again

log = logging.getLogger(__name__)
#: Events within this time are one change; the kubelet's swap takes a few milliseconds.
_DEBOUNCE_MS = 100


class FolderWatch:
    """Calls ``on_change`` after the content of ``folders`` changed, one call at a time; if it gives
    True, the change is reported at the next look once more.

    ``fingerprint`` gives a hash of the content (run on a thread); it may raise OSError while a
    folder is being exchanged, which counts as a change that is not over yet. Events in the folders
    below are heard as well, unless ``is_deep`` is False.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        fingerprint: Callable[[], str],
        on_change: Callable[[], Awaitable[bool | None]],
        poll_secs: float,
        *,
        is_deep: bool = True,
    ) -> None:
        self._is_deep = is_deep
        self._folders, self._fingerprint, self._on_change = folders, fingerprint, on_change
        self._poll_secs = poll_secs
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._seen = ""

    async def start(self, seen: str) -> None:
        """Begin; ``seen`` is the fingerprint of what is in force already. What changed since is
        reported first.
        """
        self._seen = seen
        await self._look()
        looking = again_and_again("looking for changes", self._look_next)
        self._tasks = [asyncio.create_task(looking), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        """End both tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look_next(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_secs):
                await self._wake.wait()
        self._wake.clear()
        await self._look()

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(self._fingerprint)
        except OSError as error:
            found = f"unreadable: {error}"  # another reason is news, too
        if found != self._seen and not await self._on_change():
            self._seen = found  # not before: what fails is tried again

    async def _listen(self) -> None:
        """Turn file events into a wake-up; where there are none, the poll is enough."""
        folders = [folder for folder in self._folders if folder.exists()]
        try:
            async for _ in watchfiles.awatch(
                *folders, watch_filter=None, debounce=_DEBOUNCE_MS, recursive=self._is_deep
            ):
                self._wake.set()
        except (OSError, RuntimeError) as error:
            log.warning("file events are not available; polling only", extra={"error": str(error)})
