"""How the C allocator gives memory back.

Bodies are megabytes that come and go. glibc answers the first few by raising the size up to which
it serves them from its heap, where they leave holes, and gives each thread a heap of its own. With
fixed limits big blocks go back to the system when they are freed: 194 MB instead of 207 MB at the
peak of forty-five 2 MB batches, four at a time (``/proc/PID/status``, VmHWM, default model).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

#: Numbers of glibc's ``malloc.h``.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Beyond a usual chunk of 2 MB: those are reused from the heap, mapping each anew would cost a
#: tenth of the throughput (page faults).
_BIG_BYTES = 4 << 20


def tune_allocator() -> None:
    """Fix the allocator's limits; does nothing where the C library is not glibc."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _BIG_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _BIG_BYTES)


def settle_memory() -> None:
    """After loading: return what loading needed, and let the collector pass over what stays."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
