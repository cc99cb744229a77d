"""The filter of a list: what the query string says, and the one predicate that it becomes.

Rows, counts, facets and downloads of a list are all built from the same predicate, so that they
cannot disagree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

from waybill.web import numbers

#: Names of states that a filter may ask for.
State = Literal["undecided", "unsure", "new", "corrected", "mixed", "quiet"]
STATES: tuple[State, ...] = ("undecided", "unsure", "new", "corrected", "mixed", "quiet")
#: Members of a pattern that a filter compares; each may be given several times, and with a leading
#: minus sign it means "is not".
MEMBERS = ("label", "tier", "rule", "source", "node", "alike")
#: What a list may be sorted by, and the column; a leading minus sign is the greatest first.
SORT_COLUMNS = {"rate": "hour_rate", "day": "day_count", "seen": "last_seen", "first": "first_seen",
                "sure": "confidence", "label": "label", "by": "tier"}  # fmt: skip
SORTS = {name: f"{column}, id" for name, column in SORT_COLUMNS.items()}
SORTS |= {f"-{name}": f"{column} DESC, id" for name, column in SORT_COLUMNS.items()}
_DAY = 86_400.0
#: SQLite takes so deep a condition; nobody reads more of them.
_MOST_CONDITIONS = 50
#: No name is longer, and SQLite compares with none that is much longer.
_MOST_VALUE = 1000
#: Members that stand in no narrow index.
_COSTLY = frozenset({"source", "node"})
#: So many rows are read one by one sooner than the index is read through.
_FEW = 1000
#: Patterns with a correction that was not taken back.
STANDING = "SELECT pattern FROM standing"
#: A condition in SQL and its values.
_Part: TypeAlias = tuple[str, tuple[object, ...]]


class Condition(NamedTuple):
    """One part of a filter: ``member`` is, or is not, one of its values."""

    member: str
    value: str
    is_not: bool

    @property
    def pair(self) -> tuple[str, str]:
        """As the query string has it."""
        return self.member, f"-{self.value}" if self.is_not else self.value

    @property
    def text(self) -> str:
        """As a chip says it."""
        return f"{self.member} {'is not' if self.is_not else 'is'} {self.value}"


class Filter(NamedTuple):
    """What a list shows; made of a query string by `read_filter`."""

    text: str = ""
    conditions: tuple[Condition, ...] = ()
    states: tuple[State, ...] = ()
    sort: str = "-rate"
    until: float | None = None
    is_grouped: bool = True
    unknown: tuple[str, ...] = ()
    #: How many patterns `gathered` found; None: it was not asked.
    gathered: int | None = None

    def query(self, **changes: str) -> str:
        """The query string of this filter, with ``changes``; an empty value removes a member."""
        values = [("q", self.text), *(one.pair for one in self.conditions)]
        values.append(("state", ",".join(self.states)))
        values.append(("sort", "" if self.sort == "-rate" else self.sort))
        values.append(("group", "" if self.is_grouped else "0"))
        values.append(("until", "" if self.until is None else f"{self.until:.0f}"))
        pairs = [*changes.items()]
        for name, value in values:
            if name not in changes:
                pairs.append((name, value))
        return urlencode([pair for pair in pairs if pair[1]])

    def without(self, condition: Condition) -> str:
        """The query string without one of its conditions."""
        rest = tuple(one for one in self.conditions if one != condition)
        return self._replace(conditions=rest).query()

    def having(self, member: str, value: str, is_not: bool = False) -> str:
        """The query string with one condition more."""
        added = Condition(member, value, is_not)
        if added in self.conditions:
            return self.query()
        return self._replace(conditions=(*self.conditions, added)).query()

    def sorted_by(self, name: str) -> str:
        """The query string sorted by ``name``: greatest first, or the other way round."""
        return self.query(sort=name if self.sort == f"-{name}" else f"-{name}")

    def with_state(self, state: State) -> str:
        """The query string with ``state`` added, or without it where it is set."""
        if state in self.states:
            states = tuple(one for one in self.states if one != state)
        else:
            states = (*self.states, state)
        return self._replace(states=states).query()


def read_filter(query: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> Filter:
    """The filter of a query string (as a mapping, and as all its pairs in order)."""
    conditions = []
    unknown = []
    for member, value in pairs:
        if member in MEMBERS and len(value) > _MOST_VALUE:
            unknown.append(f"a {member} of {len(value):,} characters")
        elif member in MEMBERS and value.lstrip("-"):
            conditions.append(Condition(member, value.removeprefix("-"), value.startswith("-")))
    if len(conditions) > _MOST_CONDITIONS:
        unknown.append(f"conditions beyond the first {_MOST_CONDITIONS}")
        del conditions[_MOST_CONDITIONS:]
    states: list[State] = []
    for word in query.get("state", "").split(","):
        state = _state_of(word)
        if state is not None:
            states.append(state)
        elif word:
            unknown.append(f"state {word}")
    sort = query.get("sort", "-rate")
    if sort not in SORTS:
        unknown.append(f"sort {sort}")
        sort = "-rate"
    return Filter(
        query.get("q", "").strip(),
        tuple(conditions),
        tuple(states),
        sort,
        _moment(query.get("until", "")),
        query.get("group") != "0",
        tuple(unknown),
    )


def _moment(word: str) -> float | None:
    """A time in seconds since 1970; None where there is none."""
    number = numbers.read_whole(word, 11)
    return float(number) if number is not None else None


def _state_of(word: str) -> State | None:
    for state in STATES:
        if state == word:
            return state
    return None


class Predicate(NamedTuple):
    """SQL over ``patterns`` with its values."""

    sql: str
    values: tuple[object, ...]


def predicate(wanted: Filter, now: float, unsure_below: float) -> Predicate:
    """The one predicate of a filter: true where its text and every part of it holds."""
    parts: list[_Part] = [("1", ())]
    if wanted.text:
        parts.append(("(instr(folded, ?) OR id = ?)", (wanted.text.casefold(), wanted.text)))
    if wanted.gathered is not None:
        # A plus sign has it looked up for each row of a narrow index; few are gone to directly.
        sign = "+" if wanted.gathered > _FEW else ""
        parts.append((f"{sign}rowid IN (SELECT number FROM temp.gathered)", ()))
    for member in MEMBERS:
        parts += _of_member(member, wanted.conditions)
    for state in wanted.states:
        parts.append(_of_state(state, now, unsure_below))
    if wanted.until is not None:
        parts.append(("added_at <= ?", (wanted.until,)))
    values: list[object] = []
    for _, bound in parts:
        values += bound
    return Predicate(" AND ".join(sql for sql, _ in parts), tuple(values))


def gathered(connection: sqlite3.Connection, wanted: Filter) -> Filter:
    """``wanted`` with its costly parts answered once, for all the questions of a page: the rows
    that they let through stand in the temporary table ``gathered`` of this connection.
    """
    costly = tuple(one for one in wanted.conditions if one.member in _COSTLY)
    if wanted.gathered is not None or not (wanted.text or costly):
        return wanted
    parts: list[_Part] = []
    if wanted.text:
        parts.append(("instr(folded, ?)", (wanted.text.casefold(),)))
    for member in sorted(_COSTLY):
        parts += _of_member(member, costly)
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS gathered (number INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM temp.gathered")
    # One after another: together they would read whole patterns.
    sql, bound = parts[0]
    into = "INSERT OR IGNORE INTO temp.gathered SELECT rowid FROM patterns WHERE"
    connection.execute(f"{into} {sql}", bound)
    if wanted.text:
        connection.execute(f"{into} id = ?", (wanted.text,))
    for sql, bound in parts[1:]:
        connection.execute(
            "DELETE FROM temp.gathered WHERE number NOT IN"
            f" (SELECT rowid FROM patterns WHERE {sql})",
            bound,
        )
    (number,) = connection.execute("SELECT count(*) FROM temp.gathered").fetchone()
    rest = tuple(one for one in wanted.conditions if one.member not in _COSTLY)
    return wanted._replace(text="", conditions=rest, gathered=number)


def asks_for_kind_alone(wanted: Filter) -> bool:
    """Whether the predicate of a filter, but for its conditions, looks at nothing but ``kind``."""
    is_open = wanted.text or wanted.gathered is not None or wanted.until is not None
    return not is_open and set(wanted.states) <= {"undecided"}


def _of_member(member: str, conditions: Sequence[Condition]) -> Iterator[_Part]:
    """Values of one member are alternatives; values that it must not have all hold."""
    for is_not in (False, True):
        wanted = [one for one in conditions if one.member == member and one.is_not is is_not]
        values = [_spelt(one.value) for one in wanted]
        if values:
            marks = " OR ".join([_comparison(member)] * len(values))
            yield (f"NOT ({marks})" if is_not else f"({marks})", tuple(values))


def _comparison(member: str) -> str:
    if member == "source":
        return (
            "EXISTS (SELECT 1 FROM sources WHERE sources.pattern = patterns.id"
            " AND sources.source GLOB ?)"
        )
    if member == "node":
        return "+id IN (SELECT pattern FROM node_counts WHERE node GLOB ?)"
    return f"coalesce({member}, '') GLOB ?"


def _spelt(value: str) -> str:
    """A value for GLOB in which only ``*`` stands for something else."""
    return value.replace("[", "[[]").replace("?", "[?]")


def state_parts(now: float, unsure_below: float) -> dict[State, Predicate]:
    """The condition of every state."""
    return {state: Predicate(*_of_state(state, now, unsure_below)) for state in STATES}


def _of_state(state: State, now: float, unsure_below: float) -> _Part:
    match state:
        case "undecided":
            return "kind IN ('undecided', 'not_asked')", ()
        case "unsure":
            return "kind = 'decided' AND tier != 'rule' AND confidence < ?", (unsure_below,)
        case "new":
            return "first_seen > ?", (now - _DAY,)
        case "corrected":
            return f"id IN ({STANDING})", ()
        case "mixed":
            return "is_mixed", ()
        case "quiet":
            return "last_seen < ?", (now - _DAY,)
