"""Bytes of a table to text and back, in whatever encoding they come; the way back is exact."""

from __future__ import annotations

import codecs

from waybill.core.errors import MalformedError
from waybill.core.text import byte_order_mark, charset_of, is_utf8_rather, single_byte

__all__ = ["WIDE", "TextDecoder", "replaced"]

#: Of UTF-16 without a mark every other byte of Western text is NUL; this share is enough.
_NUL_SHARE = 0.3
_SAMPLE_BYTES = 64 << 10
#: A byte order mark has so many.
_LEAST_BYTES = 4
_ASCII = bytes(range(128))
_BEYOND_ASCII = bytes(range(128, 256))
#: A larger share of bytes beyond ASCII is not Western: then charset-normalizer is asked, if there.
_WESTERN_SHARE = 0.15
#: Fewer bytes say nothing about which.
_LEAST_BEYOND = 64
WIDE = ("utf-16", "utf-32")
_ALIASES = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le", "ascii": "utf-8"}


class TextDecoder:
    """Decodes pieces of bytes. The encoding is the given one, or found: by a byte order mark, by
    NULs, or by the first piece that is not ASCII.

    A mark stays in the text, so that it is written back. A byte that is not of the encoding becomes
    a lone surrogate and is written back as it was.
    """

    def __init__(self, encoding: str | None = None) -> None:
        """Raises MalformedError (``csv_encoding``) for an encoding that Python does not know."""
        self._given = encoding is not None
        #: The codec's name; None as long as all was ASCII.
        self.name: str | None = None
        #: Whether it was chosen because the bytes are not UTF-8, and nothing says what they are.
        self.is_guess = False
        #: What was behind the last whole character at the end of the input.
        self.tail = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._errors = "surrogateescape"
        self._is_first = True
        self._held = b""
        if encoding is not None:
            self._choose(_codec(encoding))

    def feed(self, data: bytes, is_last: bool = False) -> str:
        """The text that ``data`` completes.

        Raises:
            MalformedError: ``csv_encoding`` where the bytes could not be written back as they are.
        """
        if self._decoder is None or self._is_first:
            data = self._held + data
            data, self._held = self._settled(data, is_last)
            self._find(data)
        self._is_first = self._is_first and not data
        if self._decoder is None:
            return data.decode("ascii")
        before = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(data, is_last and self.name == "utf-8")
        except UnicodeError as error:
            raise MalformedError("csv_encoding", f"the text is not {self.name}: {error}") from None
        after = self._decoder.getstate()[0]
        if is_last:
            self.tail = after
        if self.name != "utf-8" and self.encode(text) + after != before + data:
            raise MalformedError(
                "csv_encoding", f"the text is not {self.name}; name its encoding (--encoding)"
            )
        return text

    def describe(self) -> str:
        """The encoding in words, and whether it is a guess."""
        if self.is_guess:
            # Bytes that cp1252 has no character for: letters of DOS, seldom anything of latin-1.
            such = ", such as cp850 for a file of DOS" if self.name == "latin-1" else ""
            return f"{self.name} (a guess, since it is not UTF-8; --encoding names another{such})"
        return self.name or "ASCII"

    def encode(self, text: str) -> bytes:
        """Text of `feed` as the bytes that it was."""
        return text.encode(self.name or "utf-8", self._errors)

    def fitting(self, text: str) -> str:
        """``text`` of ours as far as the encoding has its characters; others become ``?``."""
        name = self.name or "utf-8"
        return text.encode(name, "replace").decode(name)

    def _settled(self, data: bytes, is_last: bool) -> tuple[bytes, bytes]:
        """What the encoding can be found by, and what waits for more."""
        if is_last:
            return data, b""
        if self._is_first and len(data) < _LEAST_BYTES:
            return b"", data
        plain = data.rstrip(_BEYOND_ASCII)
        if plain.isascii() and 0 < len(data) - len(plain) < 4:
            return plain, data[len(plain) :]
        return data, b""

    def _find(self, data: bytes) -> None:
        if self._is_first:
            marked = byte_order_mark(data)
            if marked is not None:
                self._choose(marked[1])
                return
            wide = _wide(data[:_SAMPLE_BYTES])
            if wide is not None and not self._given:
                self._choose(wide)
        if self._decoder is None and not data.isascii():
            self.is_guess = not is_utf8_rather(data)
            self._choose(_narrow(data, self._is_first) if self.is_guess else "utf-8")

    def _choose(self, name: str) -> None:
        if name.startswith(WIDE):
            self._errors = "surrogatepass"
        self.name = name
        self._decoder = codecs.getincrementaldecoder(name)(self._errors)


def replaced(text: str) -> str:
    """Text of a `TextDecoder` with U+FFFD for each byte that is not a character: fit to be read."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _codec(encoding: str) -> str:
    name = charset_of(encoding)
    if name is None:
        raise MalformedError(
            "csv_encoding", f"{encoding!r} is not a known encoding; examples: utf-8, cp1252, utf-16"
        )
    return _ALIASES.get(name, name)


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark, by where its NULs are."""
    pairs = len(sample) // 2
    if pairs < 2:
        return None
    even = sample[0::2].count(0) / pairs
    odd = sample[1::2].count(0) / pairs
    if odd > _NUL_SHARE and not even > odd / 4:
        return "utf-16-le"
    if even > _NUL_SHARE and not odd > even / 4:
        return "utf-16-be"
    return None


def _narrow(data: bytes, is_first: bool) -> str:
    """A guess. What went before was ASCII: an encoding with other characters there, such as EBCDIC,
    would write back bytes that nobody sent.
    """
    sample = data[:_SAMPLE_BYTES]
    beyond = len(sample) - len(sample.decode("ascii", "ignore"))
    if beyond > max(_WESTERN_SHARE * len(sample), _LEAST_BEYOND):
        try:
            from charset_normalizer import from_bytes
        except ModuleNotFoundError:
            return single_byte(data)
        best = from_bytes(sample).best()
        if best is not None and not best.encoding.startswith("utf"):
            name = codecs.lookup(best.encoding).name
            if is_first or _has_ascii(name):
                return name
    return single_byte(data)


def _has_ascii(name: str) -> bool:
    return _ASCII.decode(name, "replace") == _ASCII.decode("ascii")
