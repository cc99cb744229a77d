r"""What every tier reads of a message: its text without what terminals, editors and pipes put in.

A record's bytes go out as they came; rules, memo, model and LLM read what `prepare` makes of the
message:

- Terminal sequences go: colours and cursor moves (CSI), titles and links (OSC and its kin, ended by
  BEL or ST), choices of a character set.
- Every line end (CR LF, CR, VT, FF, NEL, U+2028, U+2029) is LF, every blank of Unicode's a space.
- What has no width goes: BOM, zero-width and direction marks, soft hyphens, NUL and all other
  control characters but TAB and LF.
- Half of a surrogate pair, which is not a character, is a question mark, as in every encoding.
- Blanks and line ends around the text go.

Upper and lower case, spaces within and everything visible stay. A text of which nothing is left is
*blank*, which is the same as no text.

>>> prepare("\ufeff\x1b[31;1mDisk full\x1b[0m\r\n")
'Disk full'
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["SUSPECTS", "is_blank", "prepare", "prepare_all", "without_escapes"]

_LINE_ENDS = "\r\x0b\x0c\x85\u2028\u2029"
_SPACES = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
)
_TO_MEND = re.compile(f"[{_LINE_ENDS}{_SPACES}{_UNSEEN}\ud800-\udfff]")
_LINE_END = re.compile(f"\r\n|[{_LINE_ENDS}]")
_SPACE = re.compile(f"[{_SPACES}]")
_UNSEEN_RUN = re.compile(f"[{_UNSEEN}]+")
#: Each alternative stops at the next ESC at the latest, so all of them together are linear. A
#: sequence that the end of the text cuts short goes as well; of any other broken one only the ESC.
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*+[ -/]*+(?:[@-~]|\Z)"
    r"|[\]PX^_][^\x07\x1b\x9c]*+(?:\x07|\x1b\\|\x9c)"
    r"|[#%()*+][0-9A-Z]"
    r"|[0-9=>](?![0-9]))"
)
#: The same with introducers of one character: few, since cp1252 read as Latin-1 has these as well.
_C1_SEQUENCE = re.compile(
    r"\x9b[0-9;:]*+[mK]|[\x90\x9d-\x9f][^\x07\x1b\x90\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"
)
_INTRODUCER = re.compile("[\x1b\x90-\x9f]")
_BEGINNING = 4096
#: A text of which so many characters are not seen counts as empty.
_READ = 1 << 20
#: For text that is ASCII: line ends that are not LF, and what is not seen.
_ASCII_LINE_ENDS = bytes.maketrans(b"\r\x0b\x0c", b"\n\n\n")
_ASCII_UNSEEN = bytes([*range(9), *range(0x0E, 0x20), 0x7F])

#: What bytes of UTF-8 may belong to a character that has to go or to change; NUL is the first.
SUSPECTS = bytes([*range(9), *range(0x0B, 0x20), 0x7F, 0xC2, 0xD8, 0xE1, 0xE2, 0xE3, 0xEF])
#: Each of them as NUL: one C call tells.
_MARK = bytes.maketrans(SUSPECTS, bytes(len(SUSPECTS)))


def prepare(text: str) -> str:
    """``text`` as the tiers read it. `prepare` of what it gives changes nothing more."""
    if _TO_MEND.search(text) is None:
        return text.strip()
    text = without_escapes(text.encode("utf-8", "replace").decode())
    if text.isascii():  # the same as below, without a regular expression
        data = text.encode().replace(b"\r\n", b"\n")
        return data.translate(_ASCII_LINE_ENDS, _ASCII_UNSEEN).decode().strip()
    text = _C1_SEQUENCE.sub("", text)
    text = _SPACE.sub(" ", text)
    text = _LINE_END.sub("\n", text)
    return _UNSEEN_RUN.sub("", text).strip()


def without_escapes(text: str) -> str:
    r"""``text`` without what colours a terminal or moves its cursor.

    >>> without_escapes("\x1b[31mfailed\x1b[0m")
    'failed'
    """
    return _ESCAPE.sub("", text) if "\x1b" in text else text


def prepare_all(texts: Sequence[str], limit_chars: int | None = None) -> Sequence[str]:
    """`prepare` for each of ``texts``; ``texts`` itself where there is nothing to do, as mostly.

    Of a longer one only the first ``limit_chars`` characters are read.
    """
    together = "".join(texts)
    if limit_chars is not None and _has_longer(texts, len(together), limit_chars):
        texts = [text[:limit_chars] for text in texts]
        together = "".join(texts)
    try:
        has_suspects = b"\0" in together.encode().translate(_MARK)
    except UnicodeEncodeError:  # half a pair of surrogates
        has_suspects = True
    if has_suspects:
        return list(map(prepare, texts))
    stripped = list(map(str.strip, texts))
    return texts if stripped == texts else stripped


def _has_longer(texts: Sequence[str], total: int, limit_chars: int) -> bool:
    """Whether one of ``texts``, of ``total`` characters, has more than ``limit_chars``."""
    return total > limit_chars and max(map(len, texts)) > limit_chars


def is_blank(text: str) -> bool:
    """Whether nothing of ``text`` is left for anyone to read."""
    if "!" <= text[:1] <= "~":
        return False
    # Of a long one the beginning tells, unless a sequence that begins there may hide the rest.
    is_long = len(text) > _BEGINNING and _INTRODUCER.search(text, 0, _BEGINNING) is None
    if is_long and prepare(text[:_BEGINNING]):
        return False
    return not prepare(text[:_READ])
