"""Rule files as they were read: one reading, so that what is hashed is what is compiled."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from waybill.core.files import open_regular

_SUFFIXES = (".yaml", ".yml")
#: The largest file that is read into memory; a thousand rules with their samples have 0.4 MB.
MAX_FILE_BYTES = 16 << 20
#: All files together: they are read again every few seconds.
MAX_TOTAL_BYTES = 64 << 20
MAX_FILES = 2000


class RuleFile(msgspec.Struct, frozen=True):
    """The text of one rule file, UTF-8 as far as anybody has checked.

    ``name`` stands in messages. ``layer`` is the place of its folder among those that are read: of
    two rules with one id, the fault is the one's of the later folder.
    """

    name: str
    data: bytes
    layer: int = 0


def rule_files(folders: Sequence[Path]) -> list[Path]:
    """The rule files of all ``folders``, sorted by file name.

    Hidden entries (``..data`` of a Kubernetes volume) are left out. Raises OSError: a folder cannot
    be read, or they are more than `MAX_FILES`.
    """
    found: list[Path] = []
    for folder in folders:
        found += filter(is_rule_file, folder.iterdir())
        if len(found) > MAX_FILES:
            detail = f"more than {MAX_FILES:,} rule files; write more rules into each"
            raise OSError(errno.E2BIG, detail, str(folder))
    return sorted(found, key=lambda file: (file.name, str(file)))


def read_rule_files(folders: Sequence[Path]) -> list[RuleFile]:
    """The rule files of all ``folders`` with what is in them, in order.

    Raises:
        OSError: as `rule_files`; a file cannot be read, is larger than `MAX_FILE_BYTES`, or all
            together are larger than `MAX_TOTAL_BYTES`.
    """
    files: list[RuleFile] = []
    layers = {folder: layer for layer, folder in enumerate(folders)}
    for file, data in _read_each(folders):
        files.append(RuleFile(str(file), data, layers[file.parent]))
    return files


def _read_each(folders: Sequence[Path]) -> Iterator[tuple[Path, bytes]]:
    """Each file and what is in it. Raises OSError, as `read_rule_files`."""
    left = MAX_TOTAL_BYTES
    for file in rule_files(folders):
        data = _read(file)
        left -= len(data)
        if left < 0:
            raise OSError(
                errno.EFBIG, f"all files have more than {MAX_TOTAL_BYTES:,} bytes", str(file)
            )
        yield file, data


def hash_files(files: Sequence[RuleFile], disable: Sequence[str] = ()) -> str:
    """A hash over the base names and the bytes of ``files`` and the ids that the settings
    ``disable``: 64 hexadecimal digits.
    """
    digest = _digest(disable)
    for file in files:
        _digest_file(digest, file.name, file.data)
    return digest.hexdigest()


def _digest(disable: Sequence[str]) -> hashlib._Hash:
    digest = hashlib.sha256()
    if disable:
        digest.update("\0".join(("disable", *disable, "")).encode(errors="replace"))
    return digest


def _digest_file(digest: hashlib._Hash, name: str, data: bytes) -> None:
    digest.update(f"{Path(name).name}\0{len(data)}\0".encode())
    digest.update(data)


def content_hash(folders: Sequence[Path], disable: Sequence[str] = ()) -> str:
    """`hash_files` of what is in ``folders`` now, one file in memory at a time.

    Raises:
        OSError: as `read_rule_files`.
    """
    digest = _digest(disable)
    for file, data in _read_each(folders):
        _digest_file(digest, str(file), data)
    return digest.hexdigest()


def is_rule_file(file: Path) -> bool:
    """Whether ``file`` is read: a regular file, or a link to one, with the right name."""
    return file.suffix in _SUFFIXES and not file.name.startswith(".") and file.is_file()


def _read(file: Path) -> bytes:
    with open_regular(file) as stream:
        # What is too much is not even read; and it may grow meanwhile.
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(MAX_FILE_BYTES + 1) if size <= MAX_FILE_BYTES else b""
    if max(size, len(data)) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
    return data
