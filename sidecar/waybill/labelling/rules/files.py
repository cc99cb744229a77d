"""Rule files as they were read: one reading, so that what is hashed is what is compiled."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

_SUFFIXES = (".yaml", ".yml")
#: The largest file that is read into memory; a thousand rules with their samples have 0.4 MB.
MAX_FILE_BYTES = 16 << 20
#: All files together.
MAX_TOTAL_BYTES = 64 << 20


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

    Hidden entries (``..data`` of a Kubernetes volume) are left out. Raises OSError.
    """
    found: list[Path] = []
    for folder in folders:
        found += filter(is_rule_file, folder.iterdir())
    return sorted(found, key=lambda file: (file.name, str(file)))


def read_rule_files(folders: Sequence[Path]) -> list[RuleFile]:
    """The rule files of all ``folders`` with what is in them, in order.

    Raises:
        OSError: a folder or a file cannot be read, a file is larger than `MAX_FILE_BYTES`, or all
            together are larger than `MAX_TOTAL_BYTES`.
    """
    files: list[RuleFile] = []
    total = 0
    layers = {folder: layer for layer, folder in enumerate(folders)}
    for file in rule_files(folders):
        data = _read(file)
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            raise _too_large(file)
        files.append(RuleFile(str(file), data, layers[file.parent]))
    return files


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
        OSError: while a file cannot be read, or is too large.
    """
    digest = _digest(disable)
    for file in rule_files(folders):
        _digest_file(digest, str(file), _read(file))
    return digest.hexdigest()


def is_rule_file(file: Path) -> bool:
    """Whether ``file`` is read: a regular file, or a link to one, with the right name."""
    return file.suffix in _SUFFIXES and not file.name.startswith(".") and file.is_file()


def _read(file: Path) -> bytes:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise _too_large(file)
    with file.open("rb") as stream:  # it may have grown
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(file)
    return data


def _too_large(file: Path) -> OSError:
    return OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
