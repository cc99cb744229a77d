"""The bytes of a joblib file, decompressed within bounds.

joblib writes a pickle, plain or compressed by zlib, gzip, bzip2, lzma or xz. The whole of it is
read into memory, so that a small file that unpacks to a giant is refused before anything is built
of it.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from pathlib import Path
from typing import Protocol

from waybill.core.errors import BundleError

__all__ = ["MOST_BYTES", "open_joblib"]

#: Of one file, before and after decompression. A random forest on embeddings may have hundreds of
#: MB.
MOST_BYTES = 2 << 30

#: zlib's own detection of zlib and gzip headers (zlib.decompressobj).
_ZLIB_OR_GZIP = 47


class _Decompressor(Protocol):
    """What zlib, bz2 and lzma have in common."""

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def open_joblib(path: Path, most: int = MOST_BYTES) -> io.BytesIO:
    """The pickle in the file ``path``.

    Raises BundleError: ``missing_file`` when it cannot be read, ``pickle`` when it is larger than
    ``most`` bytes or compressed in a way that is broken or unknown.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BundleError("missing_file", f"{path}: {error.strerror}") from error
    if len(data) > most:
        raise BundleError("pickle", f"{path}: larger than {most >> 20} MB")
    decompressor = _decompressor(data)
    if decompressor is None:
        return io.BytesIO(data)
    try:
        plain = decompressor.decompress(data, most + 1)
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise BundleError("pickle", f"{path}: {error}") from error
    if len(plain) > most:
        raise BundleError("pickle", f"{path}: larger than {most >> 20} MB when decompressed")
    return io.BytesIO(plain)


def _decompressor(data: bytes) -> _Decompressor | None:
    """By the first bytes; None for a plain pickle."""
    if data.startswith((b"\x1f\x8b", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")):
        return zlib.decompressobj(_ZLIB_OR_GZIP)
    if data.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    if data.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return lzma.LZMADecompressor()
    return None
