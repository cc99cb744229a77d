"""Small files that somebody else writes: read whole, and never more than is meant to be in them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["read_small"]


def read_small(path: Path, most_bytes: int) -> bytes:
    """All bytes of a regular file that may have ``most_bytes``.

    Raises:
        OSError: it cannot be read, is larger, or is no regular file: a pipe would keep us waiting,
            and a device may have no end.
    """
    # Without O_NONBLOCK opening a pipe waits for a writer.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"is larger than {most_bytes:,} bytes", str(path))
    return data
