"""Appends a correction to its file so that it is never lost, and never torn.

Several processes may append at once: each takes the lock of the file, writes one line and has it on
the disk before it answers. What cannot be written whole is taken out again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from waybill.core.correction import Correction, decode_correction, encode_correction
from waybill.core.errors import CorrectError
from waybill.core.files import is_still, lock_until
from waybill.labelling.corrections.files import is_folder

__all__ = ["FILE_NAME", "append", "file_of"]

#: The file that is appended to where ``corrections.path`` is a folder.
FILE_NAME = "corrections.ndjson"
#: How long another process may hold the lock.
_LOCK_SECS = 5.0
#: A last line is looked at as far as this: one correction has some hundred bytes.
_TAIL_BYTES = 64 << 10
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: First bytes of gzip, UTF-16 and UTF-32: a line of UTF-8 behind them would spoil the file.
_NOT_TO_APPEND = (b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


def file_of(path: Path) -> Path:
    """The file that corrections are appended to."""
    return path / FILE_NAME if is_folder(path) else path


def append(path: Path, correction: Correction) -> None:
    """Write ``correction`` behind what the file of ``path`` holds; it blocks.

    When it returns, the line is on the disk.

    Raises:
        CorrectError: ``not_writable``, ``no_space``, ``damaged`` or ``busy``; nothing was written.
    """
    file = file_of(path)
    line = encode_correction(correction)
    try:
        with _locked(file) as number:
            _write(number, _end_of_line(number, file) + line)
    except OSError as error:
        raise _fault(error, file) from None


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[int]:
    """The file, open and locked; made where it is not there. Raises OSError, CorrectError."""
    until = time.monotonic() + _LOCK_SECS
    while True:
        is_new = not file.exists()
        number = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file", str(file))
            lock_until(number, until)
            # An editor or Git may have put another file in its place while we waited.
            if not is_still(number, file):
                continue
            if is_new:
                _sync_folder(file.parent)
            yield number
            return
        except BlockingIOError:
            text = f"another process has held {file} for {_LOCK_SECS:g} s; send it again"
            raise CorrectError("busy", text) from None
        finally:
            os.close(number)  # and with it the lock


def _end_of_line(number: int, file: Path) -> bytes:
    """What must stand before a new line. Raises CorrectError (``damaged``)."""
    size = os.fstat(number).st_size
    if os.pread(number, 4, 0).startswith(_NOT_TO_APPEND):
        text = f"{file} is gzip, or no UTF-8: no line can be put behind it; save it as plain UTF-8"
        raise CorrectError("damaged", text)
    if size == 0 or os.pread(number, 1, size - 1) == b"\n":
        return b""
    tail = os.pread(number, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).rpartition(b"\n")[2]
    try:
        decode_correction(tail)
    except (ValueError, RecursionError):
        text = f"the last line of {file} is cut off; complete it or take it out, and send it again"
        raise CorrectError("damaged", text) from None
    return b"\n"


def _write(number: int, data: bytes) -> None:
    """All of ``data`` on the disk, or none of it. Raises OSError."""
    size = os.fstat(number).st_size
    try:
        written = os.write(number, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(number)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(number, size)
        raise


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on the disk as well."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _fault(error: OSError, file: Path) -> CorrectError:
    if error.errno in _NO_SPACE:
        return CorrectError("no_space", f"there is no room for {file}; make some and try again")
    why = error.strerror or "it cannot be written"
    text = (
        f"{file} cannot be written: {why}. Where the folder is a ConfigMap or read-only, add the "
        "line to its origin (waybill correct --print writes it to the terminal)"
    )
    return CorrectError("not_writable", text)
