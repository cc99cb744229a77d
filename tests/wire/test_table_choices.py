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


@pytest.mark.parametrize("size", [7, 1 << 20])
@pytest.mark.parametrize(
    ("place", "data", "written"),
    [
        (
            "3",
            b"Level,Task\nError,None,disk is full\nError,None,fan is loud\n",
            b"Level,Task,,target_label\nError,None,disk is full,Error\n",
        ),
        (
            "4",
            b'Level;Task\r\nError;a;b;"disk; full"\r\n',
            b'Level;Task;;;target_label\r\nError;a;b;"disk; full";Error\r\n',
        ),
    ],
    ids=["one", "two"],
)
def test_columns_at_the_end_may_have_no_name(
    size: int, place: str, data: bytes, written: bytes
) -> None:
    table, rows = read(data, size, message=place, details="none")
    assert {row.fault for row in rows} == {None}
    assert table.columns.message_of(rows[0].cells) in ("disk is full", "disk; full")
    assert label(table, rows).startswith(written)


@pytest.mark.parametrize(
    "data",
    [
        b"source,message\na,disk, full\nb,fan, loud\n",
        b"when,what\n1,disk\n2,disk, full\n",
        b"when,what\n1,disk,\n2,fan,\n",
    ],
    ids=["the message has commas", "not all rows have it", "it is empty"],
)
def test_a_delimiter_too_many_makes_no_column(data: bytes) -> None:
    table, rows = read(data, message=data[:20].split(b"\n")[0].decode().split(",")[1])
    assert table.columns.width == 2
    assert any(row.fault for row in rows)


@pytest.mark.parametrize("sign", ["\u200b", "\u00ad", "\u200f", "\ufeff", "\u2060", "\u00a0"])
def test_what_nobody_sees_is_no_part_of_a_name(sign: str) -> None:
    table, _ = read(f"x,{sign}mess{sign}age,source{sign}\n1,a b,c\n".encode())
    assert (table.columns.message, table.columns.source_of(["1", "a b", "c"])) == (1, "c")


def test_the_column_of_messages_is_not_the_one_of_sources() -> None:
    table, rows = read(b'_id,_source\n1,"{""message"": ""disk is full""}"\n', message="_source")
    assert table.columns.source_of(rows[0].cells) == ""


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
