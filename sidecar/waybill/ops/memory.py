"""How the C allocator gives memory back.

Bodies are megabytes that come and go. glibc answers the first few by raising the size up to which
it serves them from its heap, where they leave holes, and gives each thread a heap of its own. With
fixed limits big blocks go back to the system when they are freed: 194 MB instead of 207 MB at the
peak of forty-five 2 MB batches, four at a time (``/proc/PID/status``, VmHWM, default model).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from waybill.core.again import again_and_again

#: Numbers of glibc's ``malloc.h``.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Beyond a usual chunk of 2 MB: those are reused from the heap, mapping each anew would cost a
#: tenth of the throughput (page faults).
_BIG_BYTES = 4 << 20
#: What must have been worked on for its memory to be given back, and how long after the work: a
#: service under steady load has no use for it.
_MUCH_BYTES = 16 << 20
_PAUSE_SECS = 2.0
#: What nothing counts leaves holes, too: a hundred connections that are refused leave 20 to 30 MB.
#: So often is looked whether the process has grown by so much.
_LOOK_SECS = 20.0
_GROWN_BYTES = 6 << 20
_STATM = Path("/proc/self/statm")


def tune_allocator() -> None:
    """Fix the allocator's limits; does nothing where the C library is not glibc."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _BIG_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _BIG_BYTES)


def settle_memory() -> None:
    """After loading: return what loading needed, and let the collector pass over what stays."""
    give_back()
    gc.freeze()


class Trimmer:
    """Gives memory back once the work that took much of it is over; to be stopped.

    glibc returns the end of its heap by itself, and a small block that stays there keeps all
    before it: 50 MB after a hundred clients that sent full bodies at once.
    """

    def __init__(self) -> None:
        self._in_use_bytes = 0
        self._most_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def note(self, in_use_bytes: int) -> None:
        """So many bytes are worked on now."""
        self._in_use_bytes = in_use_bytes
        self._most_bytes = max(self._most_bytes, in_use_bytes)
        if in_use_bytes or self._most_bytes < _MUCH_BYTES or self._timer or self._is_stopped:
            return
        self._timer = asyncio.get_running_loop().call_later(_PAUSE_SECS, self._begin)

    async def stop(self) -> None:
        """Begin nothing any more: at its end a loop has no threads for it."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self) -> None:
        self._timer = None
        # What is worked on by now is given back when that is over.
        self._most_bytes = self._in_use_bytes
        task = asyncio.create_task(asyncio.to_thread(give_back))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Growth:
    """Has the process grown since memory was given back? Then it is given back again."""

    def __init__(self, resident: Callable[[], int] | None = None) -> None:
        """``resident`` gives the process's memory in bytes."""
        self._resident = resident or resident_bytes
        self._least = self._resident()

    async def look(self) -> None:
        """Give back what is free if there may be much of it."""
        self._least = min(self._least, self._resident())
        if self._resident() - self._least > _GROWN_BYTES:
            await asyncio.to_thread(give_back)
            self._least = self._resident()


@contextlib.asynccontextmanager
async def kept_small() -> AsyncIterator[None]:
    """In this context memory that is free for long goes back to the system."""
    growth = Growth()

    async def look() -> None:
        await asyncio.sleep(_LOOK_SECS)
        await growth.look()

    task = asyncio.create_task(again_and_again("giving memory back", look))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def resident_bytes() -> int:
    """The process's memory; 0 where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def give_back() -> None:
    """Return free pages of the heap to the system; takes milliseconds.

    Garbage is collected first: connections end in cycles of references, and the interpreter's lists
    of free objects keep the pools in which these lie (20 MB after a hundred peers).
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
