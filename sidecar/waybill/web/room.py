"""Whether there is room for a file that somebody sends, and under which name it is kept."""

from __future__ import annotations

import errno
import re
import shutil
import time
from pathlib import Path

from waybill.core.errors import UploadError
from waybill.settings.sections.workbench import WorkbenchSettings
from waybill.web.store.database import Database
from waybill.web.store.jobs import count_jobs

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

    async def check_number(self) -> None:
        """Raises UploadError where as many files are kept as may be."""
        kept = await self._database.read(count_jobs)
        if kept.number < self._settings.upload_files:
            return
        left = kept.oldest + self._settings.upload_keep_secs - time.time()
        detail = (
            f"{kept.number:,} files are kept, as many as workbench.upload_files allows. Delete one "
            f"on its page; the oldest goes by itself in {max(0.0, left) / 3600:.1f} h."
        )
        raise UploadError("too_many_files", detail)


def not_written(error: OSError) -> UploadError:
    """What is said of a file that could not be written."""
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
