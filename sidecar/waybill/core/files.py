"""Files that somebody else writes: regular ones only, and never more than is meant to be there."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
import time
from pathlib import Path

__all__ = ["folder_advice", "is_still", "lock_until", "open_regular", "read_small"]

#: Between two looks at a lock that somebody else has.
_LOOK_SECS = 0.02


def folder_advice(path: object) -> str:
    """The sentence for a folder that was given where a file is expected."""
    return f"{path} is a folder; name a file in it"


def open_regular(path: Path) -> io.BufferedReader:
    """A regular file, open for reading; links are followed.

    Raises:
        OSError: it cannot be opened, or is not a regular file: a pipe would keep us waiting, and a
            device may have no end.
    """
    # Without O_NONBLOCK opening a pipe waits for a writer.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return file


def read_small(path: Path, most_bytes: int) -> bytes:
    """All bytes of a regular file that may have ``most_bytes``.

    Raises:
        OSError: it cannot be read, is larger, or is not a regular file.
    """
    with open_regular(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"is larger than {most_bytes:,} bytes", str(path))
    return data


def lock_until(number: int, deadline: float) -> None:
    """Lock the open file ``number`` for us alone; the lock goes when it is closed.

    Raises:
        BlockingIOError: somebody else has it still at ``deadline`` (`time.monotonic`).
    """
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_SECS)
        else:
            return


def is_still(number: int, path: Path) -> bool:
    """Whether the open file ``number`` is the one at ``path``, not one that was moved away."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False
