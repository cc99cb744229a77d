"""Files with secrets in them, read again when they change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from waybill.core.again import again_and_again
from waybill.core.files import read_small

log = logging.getLogger(__name__)
#: No secret is larger.
_MOST_BYTES = 1 << 20
#: How long a file's state is believed before it is looked at again.
_RECHECK_SECS = 1.0


class WatchedFile:
    """A small file whose content follows the disk; a change is seen within a second.

    A file that cannot be read any more, or that holds nothing but blanks, leaves the content as it
    was: a rotation that takes two steps must not lock everyone out, or let everyone in. ``problem``
    then says why; it is empty while the content is that of the file.

    Raises:
        OSError: the file cannot be read at first.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = Path(path)
        self.problem = ""
        self._clock = clock
        self._checked = clock()
        self._stamp: tuple[int, int, int] | None = self._stat()
        self.content = read_small(self.path, _MOST_BYTES)

    def _stat(self) -> tuple[int, int, int]:
        status = self.path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def refresh(self) -> bool:
        """Read the file again if it changed; whether its content did."""
        if self._clock() - self._checked < _RECHECK_SECS:
            return False
        self._checked = self._clock()
        try:
            stamp = self._stat()
            if stamp == self._stamp:
                return False
            content = read_small(self.path, _MOST_BYTES)
        except OSError as error:
            self._stamp = None
            self._keep(f"cannot be read: {error.strerror}")
            return False
        self._stamp = stamp
        if self.content.strip() and not content.strip():
            self._keep("is empty")
            return False
        self.problem = ""
        is_new = content != self.content
        self.content = content
        return is_new

    def _keep(self, why: str) -> None:
        if self.problem == why:
            return
        self.problem = why
        message = "a secret file cannot be used; the old content stays"
        log.warning(message, extra={"file": str(self.path), "detail": why})


def refresh_often(stack: contextlib.AsyncExitStack, refresh: Callable[[], object]) -> None:
    """Look at a file every second, until ``stack`` is closed."""

    async def look() -> None:
        await asyncio.sleep(_RECHECK_SECS)
        refresh()

    task = asyncio.create_task(again_and_again("looking at a file", look))
    stack.callback(task.cancel)
