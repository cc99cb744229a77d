"""A compressed stream of any length, inflated piece by piece to its verified end."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from backports import zstd

from waybill.core.errors import MalformedError
from waybill.core.filling import FILLING
from waybill.core.names import Compression
from waybill.core.reasons import corrupt, truncated
from waybill.wire.compression import MAX_MEMBERS, advised, behind, may_begin, open_stream

__all__ = ["Inflater", "inflated"]

_STEP_BYTES = 1 << 20


def inflated(chunks: Iterable[bytes], encoding: Compression) -> Iterator[bytes]:
    """What ``chunks`` hold. Raises MalformedError, as `Inflater`."""
    inflater = Inflater(encoding)
    for chunk in chunks:
        yield from inflater.feed(chunk)
    inflater.finish()


class Inflater:
    """Inflates one stream, or several one behind another as ``cat`` leaves them."""

    def __init__(self, encoding: Compression) -> None:
        self._encoding: Compression = encoding
        self._stream = open_stream(encoding, b"")
        self._start = b""
        self._is_open = False
        self._has_member = False
        #: Members that hold nothing: they cost time as others do, and no bound on bytes sees them.
        self._empty = 0
        self._is_empty = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` adds, in pieces of at most a MiB.

        Raises:
            MalformedError: ``corrupt_<encoding>``; ``too_large``: too many members hold nothing.
        """
        while data or (self._is_open and not self._stream.eof):
            if not self._is_open:
                data = self._start + data
                if self._has_member:
                    data = data.lstrip(FILLING)
                    self._check_further(data[:4])
                if len(data) < 2:
                    self._start = data
                    return
                self._start = b""
                self._stream = open_stream(self._encoding, data[:2])
                self._is_open = self._is_empty = True
            try:
                out, left, wants_more = self._stream.step(data, _STEP_BYTES)
            except (zlib.error, zstd.ZstdError) as error:
                words = behind(self._encoding) if self._has_member else advised(str(error))
                raise MalformedError(corrupt(self._encoding), words) from None
            data = left
            if out:
                self._is_empty = False
                yield out
            if self._stream.eof:
                self._end_member()
                data = self._stream.unused_data
            elif wants_more and not data:
                return

    def _check_further(self, start: bytes) -> None:
        """Raise MalformedError where what begins so is no further member."""
        if start and not may_begin(self._encoding, start):
            raise MalformedError(corrupt(self._encoding), behind(self._encoding))

    def _end_member(self) -> None:
        self._is_open = False
        self._has_member = True
        self._empty += self._is_empty
        if self._empty > MAX_MEMBERS:
            detail = f"{self._encoding}: more than {MAX_MEMBERS} members that hold nothing"
            raise MalformedError("too_large", detail)

    def finish(self) -> None:
        """Raise MalformedError (``truncated_<encoding>``) when the stream is not at an end."""
        if self._is_open or self._start or not self._has_member:
            raise MalformedError(truncated(self._encoding), "the stream ends before its end mark")
