"""Compiled rules kept on disk: compiling 600 takes four seconds, reading them back milliseconds.

A file is named by all that its content depends on, and begins with a hash of it. What Hyperscan
wrote is trusted as code is, so only a folder and files count that nobody but their owner, who is
the user of this process, can write; anything else is as if it were not there. That nothing can be
kept is no fault: what is asked is compiled then.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path

from waybill.core.files import open_regular
from waybill.core.version import VERSION

__all__ = ["RuleCache"]

#: Files that are kept, and the largest; 600 rules have 5 MB.
_MOST_FILES = 8
_MOST_BYTES = 16 << 20
_SUFFIX = ".rules"
_HASH_BYTES = hashlib.sha256().digest_size
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class RuleCache:
    """The files of ``folder``, which is made when something is kept. Its methods do blocking work,
    and raise nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, mark: bytes) -> bytes | None:
        """What was kept under ``mark``; None: nothing, or nothing that can be trusted."""
        return self._read(self._path(mark))

    def read_newest(self) -> bytes | None:
        """What was kept or asked for last, made by the same code on such a processor."""
        kept = self._kept(f"{_made_by()}-*")
        return self._read(kept[-1]) if kept else None

    def _read(self, path: Path) -> bytes | None:
        try:
            if not _is_ours(self._folder.stat()):
                return None
            with open_regular(path) as file:
                if not _is_ours(os.fstat(file.fileno())):
                    return None
                data = file.read(_HASH_BYTES + _MOST_BYTES + 1)
            os.utime(path)  # those that were not asked for longest go first
        except OSError:
            return None
        content = data[_HASH_BYTES:]
        return content if hashlib.sha256(content).digest() == data[:_HASH_BYTES] else None

    def write(self, mark: bytes, content: bytes) -> None:
        """Keep ``content`` under ``mark``, if that is possible."""
        if len(content) > _MOST_BYTES:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_ours(self._folder.stat()):
                return
            # Nobody else may read or write it; by its suffix it goes one day if we die now.
            number, name = tempfile.mkstemp(dir=self._folder, suffix=_SUFFIX)
            part = Path(name)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(hashlib.sha256(content).digest() + content)
                part.replace(self._path(mark))
            finally:
                part.unlink(missing_ok=True)
            self._make_room()

    def _path(self, mark: bytes) -> Path:
        return self._folder / f"{_made_by()}-{mark.hex()}{_SUFFIX}"

    def _kept(self, of: str = "*") -> list[Path]:
        """The files that are there, those that were asked for last behind the others."""
        aged: list[tuple[float, Path]] = []
        for path in self._folder.glob(of + _SUFFIX):
            with contextlib.suppress(OSError):  # somebody else removes one
                aged.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(aged)]

    def _make_room(self) -> None:
        """Remove the files that were not asked for longest."""
        for path in self._kept()[:-_MOST_FILES]:
            path.unlink(missing_ok=True)


def _is_ours(status: os.stat_result) -> bool:
    """Whether only the user of this process can write there."""
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE


@functools.cache
def _made_by() -> str:
    """A hash of what compiles: this package, the libraries, and the processor it is meant for."""
    made_by = hashlib.sha256()
    versions = (VERSION, platform.python_version(), version("hyperscan"), version("regex"))
    for text in versions:
        made_by.update(text.encode() + b"\0")
    made_by.update(_processor())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        made_by.update(source.read_bytes())
    return made_by.hexdigest()[:16]


def _processor() -> bytes:
    """What the processor can do, as Linux tells it: a home may be shared between machines."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_bytes().splitlines():
            if line.startswith((b"flags", b"Features")):
                return line
    return platform.processor().encode()
