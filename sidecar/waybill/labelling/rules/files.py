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


class RuleFile(msgspec.Struct, frozen=True):
    """The text of one rule file, UTF-8 as far as anybody has checked.

    ``name`` stands in messages.
    """

    name: str
    data: bytes


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
        OSError: a folder or a file cannot be read, or a file is larger than `MAX_FILE_BYTES`.
    """
    return [RuleFile(str(file), _read(file)) for file in rule_files(folders)]


def hash_files(files: Sequence[RuleFile]) -> str:
    """A hash over the base names and the bytes of ``files``: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        base_name = Path(file.name).name
        digest.update(f"{base_name}\0{len(file.data)}\0".encode() + file.data)
    return digest.hexdigest()


def content_hash(folders: Sequence[Path]) -> str:
    """`hash_files` of what is in ``folders`` now. Raises OSError while a file cannot be read."""
    return hash_files(read_rule_files(folders))


def is_rule_file(file: Path) -> bool:
    """Whether ``file`` is read: a regular file, or a link to one, with the right name."""
    return file.suffix in _SUFFIXES and not file.name.startswith(".") and file.is_file()


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
    return data
