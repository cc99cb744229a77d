"""What of a message matters to its label: two reductions, both pure functions of the text.

``shape`` replaces every digit by ``0``. It is one C call and the key of the memo's first level, so
that a counter or a clock in a message does not miss. ``mask`` collapses what varies (clock times,
numbers, addresses, ids) and keeps the words; it is the key of the memo's second level *and* exactly
the text that the model embeds. Because ``mask(m) == mask(shape(m))``, two messages of one shape
always get one verdict, on every node and at every retry.

>>> mask("2026-11-20 22:23:01,117 ERROR [pool-3] 10.0.0.7:5432 refused after 30 s")
'ERROR [pool-0] <ip> refused after 0 s'
"""

from __future__ import annotations

import re

__all__ = ["MASK_CHARS", "mask", "shape"]

#: Length cap of a mask, in characters: about the 128 tokens that the encoder reads.
MASK_CHARS = 512

#: How much of a message is looked at: prefixes such as timestamps shrink, so more than MASK_CHARS.
_LOOK_CHARS = 1536

_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def shape(message: str) -> str:
    """The message with every ASCII digit replaced by ``0``.

    By way of bytes: 0.14 µs for 100 characters, where ``str.translate`` takes 2.1 µs.
    """
    try:
        return message.encode().translate(_DIGITS).decode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON allows
        return message.encode("utf-8", "surrogatepass").translate(_DIGITS).decode("utf-8", "surrogatepass")


# All patterns below see shaped text: every digit is already 0. Each repeats only disjoint character
# classes, or counts with a bound, so each is linear in the text.
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"00[:.]00[:.]00(?:[.,:]0{1,9})?(?:Z|[ ]?[+-]00:?00|[ ]UTC)?"
_TIMESTAMP = re.compile(
    r"[\[(<]?(?<![0\w])(?:"
    rf"0000[-/.]00[-/.]00[T _-]{{1,2}}{_CLOCK}"
    rf"|00[-/.]00[-/.](?:00){{1,2}}[T ,]{{1,2}}{_CLOCK}"
    rf"|00/{_MONTH}/0000:{_CLOCK}"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?{_MONTH} 00? {_CLOCK}(?: 0000)?"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?00? {_MONTH} 0000 {_CLOCK}"
    rf"|{_CLOCK}"
    r")[\])>]?:?(?![0\w]) ?"
)
_KLOG = re.compile(r"\b([IWEF])0000 00:00:00\.0{3,9} {1,8}0{1,8} ")
_KLOG_LEVEL = {"I": "INFO ", "W": "WARNING ", "E": "ERROR ", "F": "FATAL "}
_UUID = re.compile(r"\b[0a-fA-F]{8}-[0a-fA-F]{4}-[0a-fA-F]{4}-[0a-fA-F]{4}-[0a-fA-F]{12}\b")
_IPV4 = re.compile(r"\b0{1,3}\.0{1,3}\.0{1,3}\.0{1,3}(?::0{1,5}|/0{1,2})?(?![.0])")
_COLONS = re.compile(r"(?<![\w:])(?:[0a-fA-F]{0,4}:){3,8}[0a-fA-F]{1,4}(?![\w:])")
_HEX = re.compile(r"\b(?:0[xX][0a-fA-F]+|(?=0*[a-fA-F])(?=[a-fA-F]*0)[0a-fA-F]{8,})\b")
_NUMBER = re.compile(r"0+(?:[.,]0+)*")
_RULER = re.compile(r"([.\-=*_#~+])\1{3,}")


def _klog_level(match: re.Match[str]) -> str:
    return _KLOG_LEVEL[match[1]]


def mask(message: str) -> str:
    """The message without what varies: at most `MASK_CHARS` characters, whitespace folded.

    Clock times vanish, klog headers become a level word, UUIDs and hex ids ``<id>``, IP and MAC
    addresses ``<ip>``, numbers ``0``, rulers three characters. Words and punctuation stay.
    """
    look = message[:_LOOK_CHARS]
    if len(message) > _LOOK_CHARS:
        look = look.rpartition(" ")[0] or look  # half a word means nothing, and half a secret is not recognised
    text = " ".join(shape(look).split())
    if "0" in text:
        text = _mask_digits(text)
    text = _RULER.sub(r"\1\1\1", text)
    return text[:MASK_CHARS].strip()


def _mask_digits(text: str) -> str:
    """Collapse everything that holds a digit; ``text`` is shaped and folded."""
    if "00:00" in text or "00.00." in text:
        text = _KLOG.sub(_klog_level, text)
        text = _TIMESTAMP.sub("", text)
    if "-" in text:
        text = _UUID.sub("<id>", text)
    if "0." in text:
        text = _IPV4.sub("<ip>", text)
    if ":" in text:
        text = _COLONS.sub("<ip>", text)
    text = _HEX.sub("<id>", text)
    return _NUMBER.sub("0", text)
