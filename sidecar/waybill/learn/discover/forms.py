r"""The form of a line: its words in order, with each value as one character that names its kind.

Lines of one form are matched by one pattern, in which words stand as they are.

>>> pattern_of([form_of("took 12 ms"), form_of("took 3.5 ms")], [1, 1])
'^took\\s+\\d+(?:[.,]\\d+)*\\s+ms$'
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from waybill.learn.backtest.texts import of_message
from waybill.learn.backtest.values import (
    COLONS,
    DAY,
    DIGIT,
    INTEGER,
    IP,
    IPV4,
    IPV4_AND_MORE,
    MONTH,
    NUMBER,
    TEXT,
    Value,
)
from waybill.patterns.alike import tells_outcome

__all__ = ["Form", "form_of", "letters_of", "merged", "pattern_of"]

#: The words of a line, in order.
Form: TypeAlias = "tuple[str, ...]"

#: Share of the words that two lines of one form have in common, at the same places.
_ALIKE = 0.7
#: Words and characters of a pattern; of a longer line the beginning is enough.
_MOST_WORDS = 60
_MOST_CHARS = 700
#: Values of a word that a pattern lists: few, short, and each met so often.
_MOST_VALUES = 4
_VALUE_CHARS = 16
_LISTED_RECORDS = 5
_MARKS = {
    DIGIT: ("\ue000", r"\d"),
    INTEGER: ("\ue001", r"\d+"),
    NUMBER: ("\ue002", r"\d+(?:[.,]\d+)*"),
    IPV4: ("\ue003", r"\d+(?:\.\d+){3}"),
    IPV4_AND_MORE: ("\ue004", r"\d+(?:\.\d+){3}[:/]\d+"),
    COLONS: ("\ue005", r"[\da-fA-F:]+"),
    IP: ("\ue006", r"[\da-fA-F.:/]+"),
    MONTH: ("\ue007", r"[A-Z][a-z]{2}"),
    DAY: ("\ue008", r"[A-Z][a-z]{2}"),
    TEXT: ("\ue009", r"\S+"),
}
#: Ids of any kind, and names.
_ID = ("\ue00a", r"[\w.:-]+")
_PATTERNS = dict([*_MARKS.values(), _ID])
_MARK = re.compile("[\ue000-\ue00b]")
#: What follows where a line was cut.
_REST = "\ue00b"
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
#: Letters that are part of a word only: two values that share them do so by chance.
_WHOLE_BEFORE = re.compile(r"(?<!\w)\w+\Z")
_WHOLE_BEHIND = re.compile(r"\A\w+")
_BLANKS = re.compile(r"[ \t\n]+")
#: A clock, a count or a level that stands before the message: it tells nothing of the label.
_HEAD = re.compile("[\ue000-\ue00a\\W_TZ]+")


def form_of(text: str, *, is_cut: bool = False) -> Form:
    """The form of a prepared line, or of a mask; one that ``is_cut`` goes on where it ends."""
    marked: list[str] = []
    for piece in of_message(_MARK.sub(" ", text)):
        if isinstance(piece, Value):
            marked.append(_MARKS.get(piece, _ID)[0])
        else:
            marked.append(piece)
    words = _BLANKS.split("".join(marked).strip())
    if is_cut:
        words[-1] = _REST
    return tuple(words)


def merged(mine: Form, theirs: Form) -> Form | None:
    """What two lines have in common, ``""`` where they differ; None where that is too little, or
    where what differs tells how something went.
    """
    if len(mine) != len(theirs):
        return None
    found: list[str] = []
    same = 0
    for one, other in zip(mine, theirs, strict=True):
        if _loose(one) == _loose(other):
            found.append(one)
            if one:
                same += 1
        elif tells_outcome(one) or tells_outcome(other):
            return None
        else:
            found.append("")
    return tuple(found) if same >= _ALIKE * len(mine) else None


def _loose(word: str) -> str:
    """A word in which all numbers are one kind."""
    return word.replace("\ue002", "\ue001")


def letters_of(pattern: str) -> int:
    """How many letters a pattern spells out."""
    told = re.sub(r"\\[a-zA-Z]|\[[^\]]{0,200}\]|\(\?:", "", pattern)
    return sum(map(str.isalpha, told))


def pattern_of(forms: Sequence[Form], records: Sequence[int]) -> str:
    """The pattern of forms that are alike: it matches the lines of each of them.

    ``records`` are those of each form: a value that is met often enough is listed.
    """
    columns = list(zip(*forms, strict=True))
    is_cut = _REST in columns[-1]
    if is_cut:
        columns.pop()
    begin = _beginning(columns)
    parts: list[str] = []
    length = 0
    for column in columns[begin : begin + _MOST_WORDS]:
        parts.append(_word(column, records))
        length += len(parts[-1])
        if length > _MOST_CHARS:
            break
    is_whole = begin + len(parts) == len(columns) and not is_cut
    before = "" if begin else "^"
    behind = "$" if is_whole else ""
    words = r"\s+".join(parts)
    return f"{before}{words}{behind}"


def _beginning(columns: Sequence[Sequence[str]]) -> int:
    """Where the message begins behind clocks and counts."""
    for index, column in enumerate(columns):
        if any(_HEAD.fullmatch(word) is None for word in column):
            return index
    return 0


def _word(words: Sequence[str], records: Sequence[int]) -> str:
    """The pattern of one place: what all lines have there, or what stands for the rest."""
    distinct = list(dict.fromkeys(words))
    if len(distinct) == 1:
        return _plain(distinct[0])
    loose = set(map(_loose, distinct))
    if len(loose) == 1:
        return _plain(distinct[0].replace("\ue001", "\ue002"))
    if len(loose) <= _MOST_VALUES and _are_listed(words, records):
        return f"(?:{'|'.join(map(_plain, sorted(distinct)))})"
    return _around(distinct)


def _are_listed(words: Sequence[str], records: Sequence[int]) -> bool:
    """Whether the values of a place are short, and met often enough to be all there are."""
    met: Counter[str] = Counter()
    for word, count in zip(words, records, strict=True):
        met[word] += count
    for value, count in met.items():
        if len(value) > _VALUE_CHARS or count < _LISTED_RECORDS or _MARK.search(value):
            return False
    return True


def _around(distinct: Sequence[str]) -> str:
    r"""What the values begin and end with, and ``\S+`` in between."""
    first = distinct[0]
    before = _WHOLE_BEFORE.sub("", first[: _shared(distinct, 1)])
    behind = _WHOLE_BEHIND.sub("", first[len(first) - _shared(distinct, -1) :])
    if len(before) + len(behind) >= min(map(len, distinct)):
        return rf"{_plain(before)}\S*"
    return rf"{_plain(before)}\S+{_plain(behind)}"


def _shared(texts: Sequence[str], step: int) -> int:
    """How many characters all texts share, from their beginning (``step`` 1) or end (-1)."""
    count = 0
    for characters in zip(*(text[::step] for text in texts), strict=False):
        if len(set(characters)) > 1:
            break
        count += 1
    return count


def _plain(text: str) -> str:
    """A text in which only marks are patterns."""
    escaped = _SPECIAL.sub(r"\\\g<0>", text)
    return _MARK.sub(lambda found: _PATTERNS[found[0]], escaped)
