"""Memory of a process, and how much more of it than what is held means that something is wrong.

Allocators, versions of Python and the order in which threads run decide what a process keeps beside
what it holds: tens of megabytes more on one machine than on the next. A test must tell memory that
grows without bound from memory that does not. How much is held to the megabyte, `make greedy` and
`make chaos` measure.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ROOM_BYTES", "peak_bytes", "resident_bytes"]

#: What a process may keep beside what it holds.
ROOM_BYTES = (64 if os.environ.get("CHAOS_LONG") else 192) << 20


def resident_bytes(pid: int) -> int:
    """What it has now."""
    return _status_bytes(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it has ever had."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) << 10
