"""Rule files on their way from a workbench to those who follow it: names and texts, as JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.foreign import decode_with
from waybill.labelling.rules.files import MAX_FILE_BYTES, MAX_TOTAL_BYTES

__all__ = ["PATH", "TextsError", "decode_texts", "encode_texts", "is_file_name", "text_mark",
           "texts_version"]  # fmt: skip

#: Where they are asked for.
PATH = "/v1/rule-files"
#: A name that is no path, and not hidden.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.ya?ml")
_MOST_FILES = 1000


class TextsError(WaybillError):
    """An answer that holds no rule files."""

    code = "malformed"


class _Answer(msgspec.Struct):
    files: dict[str, str]


_decoder = msgspec.json.Decoder(_Answer)


def is_file_name(name: str) -> bool:
    """Whether a rule file may have this name."""
    return _NAME.fullmatch(name) is not None


def text_mark(text: str | bytes) -> str:
    """What tells one text of a file from another: 16 hexadecimal digits."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def texts_version(files: Mapping[str, str]) -> str:
    """What tells one set of files from another: 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{text_mark(text)}\0".encode())
    return digest.hexdigest()


def encode_texts(files: Mapping[str, str]) -> bytes:
    """The answer."""
    return msgspec.json.encode(_Answer(dict(files)))


def decode_texts(data: bytes) -> dict[str, str]:
    """Name -> text. Raises TextsError: it is something else, or too much."""
    try:
        files = decode_with(_decoder, data).files
    except msgspec.DecodeError as error:
        raise TextsError(f"no answer of rule files: {error}") from None
    if len(files) > _MOST_FILES:
        raise TextsError(f"{len(files)} files, at most {_MOST_FILES} are taken")
    total = 0
    for name, text in files.items():
        if not is_file_name(name):
            raise TextsError(f"{name[:100]!r} is not the name of a rule file")
        size = len(text.encode("utf-8", "replace"))
        total += size
        if size > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
            raise TextsError(f"{name} makes it larger than what is read")
    return files
