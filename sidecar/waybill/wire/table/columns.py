"""The head of a table: which columns hold message, source and label, and how ours are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from waybill.core.errors import MalformedError
from waybill.core.prepare import is_blank
from waybill.settings.schema import FieldSettings
from waybill.wire.table.dialect import normal

__all__ = ["DEFAULT", "DETAILS", "Choice", "Columns", "Known", "make_choice"]

#: What becomes of labels that a table brings: ours stand beside them, in the place of none of them
#: but the blank ones, or in the place of all.
Known: TypeAlias = Literal["beside", "keep", "replace"]

#: What is added beside the label.
DETAILS = ("confidence", "tier", "reason", "rule")
_DELIMITER_WORDS = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "space": " ",
}
_QUOTE_WORDS = {"double": '"', "single": "'", "none": "", '"': '"', "'": "'"}
_KNOWN: dict[str, Known] = dict(zip(get_args(Known), get_args(Known), strict=True))
#: So many of the names that were looked for are told.
_NAMED = 8
#: The name of our label where the table has one of its own.
_PREDICTED = "predicted_label"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has said about a table; None: find it out.

    ``label`` is the column of the known labels, or, where the head has no such column, the name of
    ours. ``quote`` ``""``: quotes are text. Without ``has_head`` the first row is one as the others
    are, and columns are called by their numbers. ``source_text`` is the source of all rows;
    ``details`` are those that are added beside the label.
    """

    delimiter: str | None = None
    encoding: str | None = None
    message: str | None = None
    source: str | None = None
    label: str | None = None
    quote: str | None = None
    has_head: bool = True
    known: Known = "beside"
    source_text: str | None = None
    details: tuple[str, ...] = DETAILS


#: Nothing is said.
DEFAULT = Choice()


def make_choice(
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    message: str | None = None,
    source: str | None = None,
    label: str | None = None,
    quote: str | None = None,
    head: str | None = None,
    known: str | None = None,
    source_text: str | None = None,
    details: str | None = None,
) -> Choice:
    """A `Choice` out of words; ``tab`` is a tab. Raises MalformedError (``fields``)."""
    delimiter = _DELIMITER_WORDS.get(delimiter or "", delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in "\r\n\"'"):
        raise MalformedError(
            "fields", f"delimiter: {delimiter!r}; it is one character such as , ; | or tab"
        )
    if quote is not None:
        quote = _QUOTE_WORDS[_one_of("quote", quote, tuple(_QUOTE_WORDS))]
    wanted = tuple(filter(None, map(str.strip, (details or "").split(","))))
    for name in wanted:
        _one_of("details", name, (*DETAILS, "none"))
    if details is None:
        wanted = DETAILS
    return Choice(
        delimiter=delimiter,
        encoding=encoding,
        message=message,
        source=source,
        label=label,
        quote=quote,
        has_head=_one_of("head", head or "first", ("first", "none")) == "first",
        known=_KNOWN[_one_of("known_labels", known or "beside", tuple(_KNOWN))],
        source_text=source_text,
        details=tuple(name for name in DETAILS if name in wanted),
    )


def _one_of(what: str, said: str, allowed: Sequence[str]) -> str:
    if said not in allowed:
        raise MalformedError("fields", f"{what}: {said[:60]!r}; it is one of {', '.join(allowed)}")
    return said


#: A spreadsheet has 16,384 at most, an export of records a few hundred.
_MAX_COLUMNS = 16_384


class Columns:
    """The columns of one head. Raises MalformedError (``csv_columns``)."""

    def __init__(
        self,
        head: Sequence[str],
        fields: FieldSettings,
        choice: Choice,
        *,
        needs_message: bool = True,
        further: Sequence[FieldSettings] = (),
    ) -> None:
        if len(head) > _MAX_COLUMNS:
            raise MalformedError("csv_columns", f"the head has more than {_MAX_COLUMNS} columns")
        self.head: list[str] = []
        for number, name in enumerate(head, 1):
            called = name.strip("\ufeff").strip() if choice.has_head else ""
            self.head.append(called or str(number))
        self.width = len(head)
        self._messages = self._named(choice.message, "--message-column")
        if not self._messages:
            self._messages = self._places(fields.message)
        if not self._messages and needs_message:
            raise MalformedError("csv_columns", _no_message(fields, choice, self.head))
        self._source_text = choice.source_text or ""
        self._sources = self._named(choice.source, "--source-column")
        if not self._sources and choice.source_text is None:
            # Whoever takes a column for messages does not take it for their source.
            self._sources = [at for at in self._places(fields.source) if at not in self._messages]
        known = self._places([choice.label or fields.label]) or self._places([fields.label])
        #: Where the table's own labels are.
        self.label: int | None = known[0] if known else None
        #: Where our label stands, if in the place of the table's own.
        self.place: int | None = self.label if choice.known != "beside" else None
        #: Whether a row that has a label keeps it.
        self.keeps_labels = choice.known == "keep"
        #: What is added beside our label.
        self.details = choice.details
        self.added = self._added(choice, fields, further)

    @property
    def has_messages(self) -> bool:
        """Whether a column holds messages."""
        return bool(self._messages)

    @property
    def message(self) -> int:
        """The first column of messages; without one, the last column."""
        return self._messages[0] if self._messages else self.width - 1

    def describe(self) -> dict[str, str]:
        """What was found, by what it is."""
        found = {"message": self.head[self.message]}
        if self._sources:
            found["source"] = self.head[self._sources[0]]
        if self.label is not None:
            found["known label"] = self.head[self.label]
        found["our label"] = self.added[0] if self.place is None else self.head[self.place]
        return found

    def keeps(self, cells: Sequence[str]) -> bool:
        """Whether a row keeps the label that it has."""
        return self.keeps_labels and self.label_of(cells) is not None

    def message_of(self, cells: Sequence[str]) -> str | None:
        """The first message that is not blank, or None."""
        for at in self._messages:
            if at < len(cells) and not is_blank(cells[at]):
                return cells[at]
        return None

    def read(self, rows: Sequence[Sequence[str]]) -> tuple[list[str | None], list[str]]:
        """The messages and the sources of rows, by their cells."""
        if len(self._messages) > 1 or not all(rows):
            messages = [self.message_of(cells) for cells in rows]
            return messages, [self.source_of(cells) for cells in rows]
        at = self._messages[0]
        messages = [cells[at] or None for cells in rows]
        if len(self._sources) == 1:
            place = self._sources[0]
            return messages, [cells[place].strip() for cells in rows]
        return messages, [self.source_of(cells) for cells in rows]

    def source_of(self, cells: Sequence[str]) -> str:
        """The first source that is not blank, or ``""``."""
        for at in self._sources:
            if at < len(cells):
                source = cells[at].strip()
                if not is_blank(source):
                    return source
        return self._source_text

    def label_of(self, cells: Sequence[str]) -> str | None:
        """The table's own label, None where it has none."""
        if self.label is None or self.label >= len(cells):
            return None
        return cells[self.label].strip() or None

    def _added(
        self, choice: Choice, fields: FieldSettings, further: Sequence[FieldSettings]
    ) -> list[str]:
        taken = {normal(name) for name in self.head}
        label = choice.label or fields.label
        if normal(label) in taken:
            label = fields.label
        if normal(label) in taken:
            label = _PREDICTED
        names: list[str] = []
        more = () if fields.pattern is None else (fields.pattern,)
        first = (label,) if self.place is None else ()
        for name in (*first, *self.details, *more, *_further_names(further)):
            free = _free(name, taken)
            taken.add(normal(free))
            names.append(free)
        return names

    def _named(self, name: str | None, option: str) -> list[int]:
        if name is None:
            return []
        found = self._places([name])
        if found:
            return found
        if name.isdecimal() and 0 < int(name) <= self.width:
            return [int(name) - 1]
        raise MalformedError(
            "csv_columns",
            f"{option}: no column is called {name!r}; the columns are: {_shown(self.head)}",
        )

    def _places(self, names: Sequence[str]) -> list[int]:
        """Columns of these names, in the order of the names; exact spellings first."""
        spelled = [normal(name) for name in self.head]
        places: list[int] = []
        for name in names:
            places += _where(self.head, name)
        for name in names:
            places += _where(spelled, normal(name))
        return list(dict.fromkeys(places))


def _where(names: Sequence[str], wanted: str) -> list[int]:
    """The places of ``wanted`` in ``names``; none for an empty name."""
    if not wanted:
        return []
    return [at for at, name in enumerate(names) if name == wanted]


def _further_names(further: Sequence[FieldSettings]) -> Iterator[str]:
    """The columns of further labellings, as their fields are called."""
    for fields in further:
        yield fields.label
        for detail in DETAILS:
            name = getattr(fields, detail)
            if name is not None:
                yield name


def _free(name: str, taken: set[str]) -> str:
    if normal(name) not in taken:
        return name
    other = f"waybill_{name}"
    number = 2
    while normal(other) in taken:
        other = f"waybill_{name}_{number}"
        number += 1
    return other


def _no_message(fields: FieldSettings, choice: Choice, head: Sequence[str]) -> str:
    if not choice.has_head:
        return (
            "a table without a head has no names: say which column holds the messages by its "
            f"number, 1 to {len(head)}, as in --message-column {len(head)}"
        )
    return (
        f"no column is called {_few(fields.message)} (fields.message); the columns are: "
        f"{_shown(head)}. Name the one that holds the messages: --message-column NAME or its "
        f"number; without a head: --head none --message-column {len(head)} (over "
        f"HTTP ?head=none&message_column={len(head)}); --format text takes a file line by line"
    )


def _few(names: Sequence[str]) -> str:
    text = ", ".join(names[:_NAMED])
    return f"{text} and so on" if len(names) > _NAMED else text


def _shown(head: Sequence[str]) -> str:
    return ", ".join(name[:60] for name in head[:30]) or "none"
