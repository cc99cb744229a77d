"""Writes output: a regular file appears whole or not at all; pipes and devices are written to.

A regular file, also behind a link, is replaced in one step and keeps its mode and owner. Into a
pipe, a device or an open descriptor (``/dev/stdout``, ``/dev/fd/3``) the bytes are written: these
are never replaced by a file.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["STDOUT", "point_link", "writing"]

STDOUT = "-"
#: Names of descriptors that this process has open already.
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/self/fd)/(\d+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


@contextlib.contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """The file to write to; ``-`` is stdout. When the block raises, a regular file stays as it was.

    Raises:
        OSError: it cannot be written.
    """
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    number = _descriptor(path)
    if number is not None:
        # Opened by its name a regular file would be cut and written from its start.
        with os.fdopen(os.dup(number), "wb") as file:
            yield file
        return
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        with Path(path).open("wb") as file:
            yield file
        return
    with _replacing(os.path.realpath(path)) as file:
        yield file


def point_link(link: Path, name: str) -> None:
    """Let ``link`` point to ``name``, in one step. Raises OSError."""
    if link.is_symlink() and link.readlink() == Path(name):
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(name)
    fresh.replace(link)


def _descriptor(path: str) -> int | None:
    found = _DESCRIPTOR.fullmatch(path)
    if found:
        return int(found[1])
    return _STANDARD.get(path)


def _mode(path: str) -> int | None:
    """The mode of what stands at ``path``, behind links; None where nothing does."""
    try:
        return Path(path).stat().st_mode
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    folder, name = os.path.split(path)
    try:
        number, part = tempfile.mkstemp(dir=folder, prefix=f".{name[:100]}.", suffix=".part")
    except OSError as error:
        told = f"its folder takes no new file: {error.strerror}"
        raise OSError(error.errno, told, path) from None
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            _take_over(number, path)
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def _take_over(number: int, path: str) -> None:
    """Give a descriptor the mode and the owner of the file it replaces, or those of a new one."""
    try:
        old = Path(path).stat()
    except FileNotFoundError:
        os.fchmod(number, 0o666 & ~_umask())
        return
    with contextlib.suppress(PermissionError):
        os.fchown(number, old.st_uid, old.st_gid)
    os.fchmod(number, stat.S_IMODE(old.st_mode))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
