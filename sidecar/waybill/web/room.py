"""Whether there is room for a file that somebody sends, and under which name it is kept."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from waybill.core.errors import UploadError
from waybill.settings.sections.workbench import WorkbenchSettings
from waybill.web.store.database import Database
from waybill.web.store.jobs import Kept, count_jobs

__all__ = ["Room", "not_written", "plain_name"]

#: What stays free of the disk, in bytes.
_SPARE_BYTES = 256 << 20
#: Longest name of a file that is kept.
_NAME_CHARS = 200


class Room:
    """The disk below ``folder``, and the number of files that may be kept."""

    def __init__(self, folder: Path, database: Database, settings: WorkbenchSettings) -> None:
        self._folder = folder
        self._database = database
        self._settings = settings
        #: Files that are being sent.
        self._coming = 0

    def check(self, size: int) -> None:
        """Raises UploadError where a file of ``size`` bytes and its labels have no room."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise not_written(error) from None
        if free < 2 * size + _SPARE_BYTES:
            detail = (
                f"The disk of workbench.store has {free >> 20} MB left; this file needs "
                f"{(2 * size + _SPARE_BYTES) >> 20} MB with its labels."
            )
            raise UploadError("disk_full", detail)

    def check_more(self, size: int) -> None:
        """Raises UploadError where there is no room for the labels of a file of which ``size``
        bytes are written.
        """
        free = shutil.disk_usage(self._folder).free
        if free < size + _SPARE_BYTES:
            raise UploadError("disk_full", f"The disk of workbench.store has {free >> 20} MB left.")

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A file may be sent meanwhile; until it is kept it counts here.

        Raises UploadError where as many files are kept, or being sent, as may be.
        """
        kept = await self._database.read(count_jobs)
        if kept.number + self._coming >= self._settings.upload_files:
            raise UploadError("too_many_files", self._why_full(kept))
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def _why_full(self, kept: Kept) -> str:
        most = f"as many as workbench.upload_files ({self._settings.upload_files:,}) allows."
        if not kept.number:
            return f"{self._coming:,} files are being sent, {most}"
        left = kept.oldest + self._settings.upload_keep_secs - time.time()
        return (
            f"{kept.number:,} files are kept and {self._coming:,} being sent, {most} Delete one on "
            f"its page; the oldest goes by itself in {max(0.0, left) / 3600:.1f} h."
        )


def not_written(error: OSError) -> UploadError:
    """The sentence for a file that could not be written."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    detail = f"The file cannot be kept beside workbench.store: {error.strerror}; nothing was kept."
    return UploadError("disk_full" if is_full else "not_written", detail)


def plain_name(name: str) -> str:
    """The name of a file as it may stand in a path and on a page.

    >>> plain_name("../a.csv"), plain_name("..")
    ('a.csv', 'file')
    """
    shown = "".join(filter(str.isprintable, re.split(r"[/\\]", name)[-1])).strip()
    return shown[:_NAME_CHARS].strip(".") or "file"
