"""Where ``waybill label`` writes to: compressed where the name says so."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from backports import zstd

from waybill.core.errors import WaybillError
from waybill.core.output import STDOUT, writing

__all__ = ["Writer", "writing_labelled"]

#: What a name may end in that is not written, and what is.
_NOT_WRITTEN = {
    ".xlsx": "a workbook is labelled to CSV: name it .csv",
    ".xlsm": "a workbook is labelled to CSV: name it .csv",
    ".xls": "a workbook is labelled to CSV: name it .csv",
    ".parquet": "Parquet is not written: name it as the input's kind, .csv or .ndjson",
    ".zip": "archives are not written: .gz and .zst are",
    ".bz2": "bzip2 is not written: .gz and .zst are",
    ".xz": "xz is not written: .gz and .zst are",
    ".lz4": "lz4 is not written: .gz and .zst are",
}
_GZIP_LEVEL = 6


class Writer:
    """Takes pieces, compressed on their way or not."""

    def __init__(self, file: BinaryIO, *, is_plain: bool) -> None:
        self._file = file
        self._is_plain = is_plain

    def write(self, piece: bytes) -> None:
        """Write a piece."""
        self._file.write(piece)

    def flush(self) -> None:
        """Hand on what was written, but for what a compression holds back."""
        if self._is_plain:
            self._file.flush()


@contextlib.contextmanager
def writing_labelled(path: str) -> Iterator[Writer]:
    """As `writing`; a folder that is missing is named as the user named it.

    Raises:
        WaybillError: it cannot be written, or not as its name says.
    """
    _check(path)
    try:
        with writing(path) as file, _compressing(file, PurePath(path).suffix.lower()) as writer:
            yield writer
    except PermissionError as error:
        words = (error.strerror or str(error)).lower()
        raise WaybillError(f"-o {path}: {words}") from None


def _check(path: str) -> None:
    if path == STDOUT:
        return
    folder = Path(path).parent
    if not folder.is_dir():
        raise WaybillError(f"-o {path}: there is no folder {folder}")
    if Path(path).is_dir():
        raise WaybillError(f"-o {path}: this is a folder; name a file")
    words = _NOT_WRITTEN.get(PurePath(path).suffix.lower())
    if words is not None:
        raise WaybillError(f"-o {path}: {words}")


@contextlib.contextmanager
def _compressing(file: BinaryIO, suffix: str) -> Iterator[Writer]:
    if suffix == ".gz":
        # Without the name of the file and its time: equal input gives equal output.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            yield Writer(cast("BinaryIO", packed), is_plain=False)
    elif suffix in (".zst", ".zstd"):
        with zstd.ZstdFile(file, "w") as packed:
            yield Writer(cast("BinaryIO", packed), is_plain=False)
    else:
        yield Writer(file, is_plain=True)
