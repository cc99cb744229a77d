"""What can be said about a table: quotes, head, known labels, faults by kind; lines are counted."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.test_table import label, read
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.wire.table.columns import make_choice
from waybill.wire.table.dialect import Dialect, cells_of
from waybill.wire.table.faults import Policy, parse_policy
from waybill.wire.table.row import Row
from waybill.wire.table.written import with_cell

KNOWN = b'log,target_label,n\n"a, b",User Action,"1"\nc,,2\n'
TAIL = b",confidence,tier,reason,rule\n"


def test_known_labels_are_replaced_or_kept_and_every_other_byte_stays() -> None:
    table, rows = read(KNOWN, known="replace")
    assert label(table, rows) == (
        b"log,target_label,n" + TAIL + b'"a, b",Error,"1",1,rule,,r1\nc,Error,2,1,rule,,r1\n'
    )
    table, rows = read(KNOWN, known="keep")
    assert label(table, rows) == (
        b"log,target_label,n" + TAIL + b'"a, b",User Action,"1",,,,\nc,Error,2,1,rule,,r1\n'
    )


def test_without_known_labels_ours_have_a_column_of_their_own() -> None:
    table, rows = read(b"log\na\n", known="replace", details="tier")
    assert label(table, rows) == b"log,target_label,tier\na,Error,rule\n"
    table, rows = read(KNOWN, known="replace", details="none")
    assert label(table, rows) == b'log,target_label,n\n"a, b",Error,"1"\nc,Error,2\n'


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_table_without_a_head_calls_its_columns_by_number(size: int) -> None:
    table, rows = read(b"\n1,disk\n2,log\n", size, head="none", message="2")
    assert table.columns.read([row.cells for row in rows])[0] == ["disk", "log"]
    assert label(table, rows).startswith(b"\n1,disk,Error")
    with pytest.raises(MalformedError, match="by its number, 1 to 2"):
        read(b"1,disk\n", head="none")


def test_quotes_are_text_where_it_is_said() -> None:
    table, rows = read(b'log,n\n"a,1\nb"",2\n', quote="none")
    assert [row.cells for row in rows] == [['"a', "1"], ['b""', "2"]]
    given = Verdict("Two, words", "rule", 1.0, "r\n1")
    assert table.labelled(rows[:1], [given]) == b'"a,1,Two  words,1,rule,,r 1\n'


def test_a_source_may_be_said_for_all_rows() -> None:
    table, rows = read(b"source,log\nx,a\n", source_text="shop")
    assert table.columns.read([row.cells for row in rows]) == (["a"], ["shop"])


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_rows_have_the_line_that_they_begin_on(size: int) -> None:
    data = b'sep=,\n\nlog,n\n"a\nb",1\n\nc\n"d,2\ne,3\n'
    _, rows = read(data, size)
    where = [(row.number, row.line, row.kinds) for row in rows if row.cells]
    assert where == [(1, 4, ()), (2, 7, ("cells",)), (3, 8, ("quote", "cells")), (4, 9, ())]
    assert rows[0].where == "row 1 (line 4)"


def test_a_policy_is_said_in_words() -> None:
    policy = parse_policy("skip, quote=fail,cells=pass")
    assert policy.of(("cells",)) == "pass"
    assert policy.of(("bytes", "cells")) == "skip"
    assert policy.of(("cells", "quote")) == "fail"
    assert parse_policy("") == Policy()
    for wrong in ("maybe", "lines=skip", "quote=", "=skip"):
        with pytest.raises(MalformedError, match="the kinds are quote, cells, bytes, message"):
            parse_policy(wrong)


def test_a_missing_message_is_a_fault_where_something_is_said_about_it() -> None:
    table, rows = read(b"log,n\n ,1\n")
    assert rows[0].faults(table.columns, Policy()) == ("", ())
    words = rows[0].faults(table.columns, parse_policy("message=skip"))
    assert words == ("it has no message", ("message",))


@pytest.mark.parametrize(
    "said",
    [{"quote": "half"}, {"head": "second"}, {"known": "maybe"}, {"details": "colour"}],
    ids=str,
)
def test_what_cannot_be_said_is_named(said: dict[str, str]) -> None:
    with pytest.raises(MalformedError, match=next(iter(said.values()))):
        make_choice(**said)


DIALECTS = [
    Dialect(),
    Dialect(";", "'"),
    Dialect("|", None),
    Dialect(",", '"', "\\"),
    Dialect(",", '"', None, True),
    Dialect("^", '"', "\\", True),
]


@given(
    st.sampled_from(DIALECTS),
    st.text(alphabet="ab ,;|^'\"\\\n\udc80", max_size=24),
    st.integers(0, 5),
)
def test_one_cell_is_replaced_and_the_others_stay(dialect: Dialect, text: str, place: int) -> None:
    (*rest,) = cells_of([text], dialect) if "\n" not in text else _spanning(text, dialect)
    if len(rest) != 1 or place >= len(rest[0]):
        return
    row = Row(rest[0], text, "\n", 1, None)
    written = with_cell(row, place, "NEW", dialect)
    (cells,) = cells_of(io.StringIO(written, newline=""), dialect)  # type: ignore[arg-type]
    assert cells == [*rest[0][:place], "NEW", *rest[0][place + 1 :]]


def _spanning(text: str, dialect: Dialect) -> list[list[str]]:
    return cells_of(list(io.StringIO(text, newline="")), dialect)


@given(st.lists(st.lists(st.text("a,\"\n'", max_size=4), min_size=3, max_size=3), max_size=8))
def test_a_replaced_column_reads_back_by_others(cells: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["log", "target_label", "n"], *cells])
    table, rows = read(out.getvalue().encode(), known="replace", details="none")
    written = list(csv.reader(io.StringIO(label(table, rows).decode(), newline="")))
    for before, after in zip(cells, written[1:], strict=True):
        assert after == [before[0], "Error", before[2]]
