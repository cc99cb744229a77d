"""Tables come out as they went in, with labels beside them; what is wrong with a row is named."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import random
from collections.abc import Iterator, Sequence
from encodings.aliases import aliases
from types import SimpleNamespace
from typing import Literal

import pytest

from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire.table.columns import Choice, make_choice
from waybill.wire.table.dialect import Dialect
from waybill.wire.table.row import Row
from waybill.wire.table.rows import PlainRows, RawRow, RowReader
from waybill.wire.table.table import Table

FIELDS = FieldSettings()
VERDICT = Verdict("Error", "rule", 1.0, "r1")
ADDED = ["Error", "1", "rule", "", "r1"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
DELIMITERS = [",", ";", "\t", "|"]
ENDS = ["\n", "\r\n", "\r"]


def read(data: bytes, size: int = 1 << 20, **said: str) -> tuple[Table, list[Row]]:
    table = Table(FIELDS, make_choice(**said), 1 << 20)
    rows: list[Row] = []
    for at in range(0, len(data), size):
        rows += table.feed(data[at : at + size])
    return table, rows + table.feed(b"", is_last=True)


def label(table: Table, rows: list[Row]) -> bytes:
    return table.head() + table.labelled(rows, [VERDICT] * len(rows)) + table.rest()


def cells(rng: random.Random, delimiter: str) -> str:
    words = [
        "disk",
        "Müller",
        "5 €",
        "",
        " ",
        "a'b",
        "- ü",
        "=1",
        delimiter,
        '"',
        "\n",
        "it's",
        "x" * 50,
    ]
    return "".join(rng.choices(words, k=rng.randrange(5)))


def generated(seed: int) -> tuple[bytes, str, str, list[list[str]]]:
    """A file that Python's csv writes: bytes, encoding, delimiter and its rows."""
    rng = random.Random(seed)
    encoding = ENCODINGS[seed % len(ENCODINGS)]
    delimiter = rng.choice(DELIMITERS)
    end = rng.choice(ENDS)
    quoting: Literal[0, 1, 2] = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    head = rng.choice(
        [["source", "log_message"], ["id", "Source", "Log Message", "more"], ["log", "service"]]
    )
    rows = [[cells(rng, delimiter) for _ in head] for _ in range(rng.randrange(30))]
    rows.insert(0, ["ü€"] * len(head))
    if end == "\r":
        quoting = csv.QUOTE_ALL  # Python's writer leaves a line feed without quotes otherwise
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([head, *rows])
    text = out.getvalue()
    if rng.random() < 0.3:
        text = text[: -len(end)]
    return text.encode(encoding), encoding, delimiter, [head, *rows]


@pytest.mark.parametrize("block", range(20))
def test_rows_are_those_of_python_and_no_byte_is_changed(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        data, encoding, delimiter, written = generated(seed)
        text = data.decode(encoding)
        expected = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row
        ]
        assert [row for row in written if any(row) or len(row) > 1] == expected
        table, rows = read(data, random.Random(seed).choice([1, 7, 64, 1 << 20]))
        assert table.dialect.delimiter == delimiter, seed
        assert [list(row.cells) for row in rows if row.cells] == expected[1:], seed
        assert [row.fault for row in rows] == [None] * len(rows)
        out = label(table, rows)
        ours = csv.reader(io.StringIO(out.decode(encoding), newline=""), delimiter=delimiter)
        assert [row[:-5] for row in ours if row] == expected, seed
        ours = csv.reader(io.StringIO(out.decode(encoding), newline=""), delimiter=delimiter)
        assert [row[-5:] for row in ours if row][1:] == [ADDED] * (len(expected) - 1)
        # Without our cells the bytes are those that came.
        plain = b"".join(table.plain(row) for row in rows)
        assert data.endswith(plain)


@pytest.mark.parametrize("name", ["punycode", "idna", "undefined", "zlib", "rot13", "\0", "\ud800"])
def test_what_is_no_character_set_is_refused(name: str) -> None:
    with pytest.raises(MalformedError, match="not a known encoding"):
        read(b"log\na", encoding=name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize(("delimiter", "end"), [*itertools.product(DELIMITERS, ENDS)])
def test_rows_with_faults_are_named_and_none_is_lost(
    encoding: str, delimiter: str, end: str
) -> None:
    rng = random.Random(delimiter + end)
    for _ in range(30):
        rows = []
        faults = set()
        for number in range(1, 40):
            row = [f"s{number}", f"message {number} ü"]
            kind = rng.randrange(12)
            if kind == 0:
                row.append("more")
            elif kind == 1:
                row.pop()
            elif kind == 2:
                row[1] = f'"open {number}'
            elif kind == 3:
                row[1] = f'Disk {number}" full'
            if kind < 3:
                faults.add(number)
            rows.append(delimiter.join(row))
        data = end.join([f"source{delimiter}log", *rows, ""]).encode(encoding)
        table, read_rows = read(data, rng.choice([5, 100, 1 << 20]))
        assert [row.number for row in read_rows] == list(range(1, 40))
        assert {row.number for row in read_rows if row.fault} == faults
        text = label(table, read_rows).decode(encoding)
        found = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        assert len(found) == 39
        assert {row["target_label"] for row in found} == {"Error"}
        assert [row["source"] for row in found] == [f"s{number}" for number in range(1, 40)]
        assert all(None not in row for row in found)


def test_a_row_without_a_message_costs_itself() -> None:
    table, rows = read(b'source,log\nA\nB,b\n"open')
    assert table.columns.read([row.cells for row in rows]) == (
        [None, "b", None],
        ["A", "B", "open"],
    )


def test_a_message_with_delimiters_is_whole() -> None:
    table, rows = read(b"source,log\nBilling,User User1 logged in, then left\n")
    assert rows[0].fault == "3 cells where the head has 2"
    assert table.columns.message_of(rows[0].cells) == "User User1 logged in, then left"
    table, rows = read(b"log,source\nlogged in, then left,Billing\nfine,Shop,,\n")
    assert table.columns.message_of(rows[0].cells) == "logged in, then left"
    assert table.columns.source_of(rows[0].cells) == "Billing"
    assert table.columns.source_of(rows[1].cells) == "Shop"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("log\nÜberweisung\n".encode("latin-1"), "cp1252"),
        ("log\nM\x81ller ü\n".encode("latin-1"), "latin-1"),
        ("log\n5 €\n".encode("cp1252"), "cp1252"),
        (b"log\n" + b"plain\n" * 1000 + "ü\n".encode("latin-1"), "cp1252"),
        (b"log\n" + b"plain\n" * 1000 + "ü\n".encode(), "utf-8"),
        (b"log\nplain\n", None),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_an_encoding_is_found_and_every_byte_kept(
    data: bytes, encoding: str | None, size: int
) -> None:
    table, rows = read(data, size)
    assert table.decoder.name == encoding
    assert b"".join(table.plain(row) for row in rows) == data[4:]
    assert [row.fault for row in rows if row.fault] == []


def test_other_encodings_are_found_or_named() -> None:
    pytest.importorskip("charset_normalizer")
    text = "log\n" + "Ошибка соединения с базой данных\n" * 20
    table, rows = read(text.encode("cp1251"))
    assert table.columns.message_of(rows[0].cells) == "Ошибка соединения с базой данных"
    for encoding in ("shift_jis", "gb18030", "koi8-r", "cp1250", "utf-16-be"):
        data = "log\nx ".encode(encoding) + "Ж\n".encode(encoding, "replace")
        table, rows = read(data, encoding=encoding)
        assert label(table, rows).startswith("log,target_label".encode(encoding))
    with pytest.raises(MalformedError, match="not a known encoding"):
        read(b"log\n", encoding="klingon")


@pytest.mark.parametrize("guess", sorted({*aliases.values()}))
def test_no_guess_changes_what_was_read_before_it(
    guess: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("charset_normalizer")
    if guess.endswith("_codec") or guess in ("mbcs", "rot_13"):
        return  # what is no character set is never guessed
    best = SimpleNamespace(best=lambda: SimpleNamespace(encoding=guess))
    monkeypatch.setattr(library, "from_bytes", lambda _: best)
    head, plain = b"source,log\r\n", b"a,b\\~%\r\n" * 50 + b"c,"
    data = head + plain + b"\x99\x9c\x8d\xf5" * 50 + b"\r\n"
    table, rows = read(data, len(head + plain))
    assert b"".join(table.plain(row) for row in rows) == data[len(head) :]
    assert label(table, rows).startswith(b"source,log,target_label")


def test_bytes_that_are_not_of_the_encoding_are_named_and_kept() -> None:
    data = "log\nÜberall\n".encode() + b"odd \xff byte\n" + "ß\n".encode()
    for size in (1, 3, 1 << 20):
        table, rows = read(data, size)
        assert table.decoder.name == "utf-8"
        assert [row.fault for row in rows] == [None, "bytes that are not utf-8", None]
        message = table.columns.message_of(rows[1].cells)
        assert message is not None
        message.encode()
        assert b"odd \xff byte,Error" in label(table, rows)
    table, rows = read("log\nab".encode("utf-16") + b"\x00", encoding="utf-16")
    assert label(table, rows).endswith(b"\x00")


def test_what_spreadsheets_write_is_read() -> None:
    table, rows = read("\ufeffsep=;\r\nSource;Log Message\r\nA;x\r\n".encode())
    assert rows[0].cells == ["A", "x"]
    assert label(table, rows).startswith("\ufeffsep=;\r\nSource;Log Message;target_label;".encode())
    table, rows = read(b'\xef\xbb\xbf"source","log"\n"a","b"\n')
    assert table.columns.source_of(rows[0].cells) == "a"
    table, rows = read(b'source, log\na, "b, c"\nd, "e, ""f"""\n')
    assert [list(row.cells) for row in rows] == [["a", "b, c"], ["d", 'e, "f"']]
    table, rows = read(b"'source','log'\n'a','b, c'\n")
    assert rows[0].cells == ["a", "b, c"]
    table, rows = read(b'source,log\na,"he said \\"no\\", then left"\nb,c\n')
    assert rows[0].cells == ["a", 'he said "no", then left']
    table, rows = read(b"source,log\r\na,b\r\n \t\r\nc,d\r\n\x1a")
    assert [list(row.cells) for row in rows] == [["a", "b"], [], ["c", "d"], []]
    assert label(table, rows).endswith(b"\r\n \t\r\nc,d,Error,1,rule,,r1\r\n\x1a")
    table, rows = read(b"\n\r\nsource,log\na,b\n")
    assert label(table, rows).startswith(b"\n\r\nsource,log,target_label")


def test_columns_are_found_said_and_settable() -> None:
    table, _ = read(b"a,LOG,SOURCE\n1,2,3\n")
    assert table.columns.describe() == {
        "message": "LOG", "source": "SOURCE", "our label": "target_label",
    }  # fmt: skip
    table, rows = read(b"what;who\nx;y\n", message="what", source="who")
    assert table.columns.message_of(rows[0].cells) == "x"
    assert table.columns.source_of(rows[0].cells) == "y"
    with pytest.raises(MalformedError, match=r"the columns are: what, who"):
        read(b"what;who\nx;y\n")
    with pytest.raises(MalformedError, match=r"--source-column: no column is called 'z'"):
        read(b"log;who\nx;y\n", source="z")
    table, rows = read(b"log,message\n ,x\n,\n")
    assert [table.columns.message_of(row.cells) for row in rows] == ["x", None]


def test_no_column_has_a_name_of_the_table() -> None:
    table, _ = read(b"log,Confidence,tier,waybill_tier,target_label,predicted_label,rule\n")
    names = table.head().decode().strip().split(",")
    assert len({name.lower() for name in names}) == len(names)
    assert table.columns.label == 4
    assert table.columns.added[0] == "waybill_predicted_label"
    table, _ = read(b"log,truth\n", label="truth")
    assert (table.columns.label, table.columns.added[0]) == (1, "target_label")
    table, _ = read(b"log,target_label\n", label="new")
    assert (table.columns.label, table.columns.added[0]) == (1, "new")


class CountingReader(RowReader):
    """Counts the lines that are given to ``csv``."""

    lines = 0

    def _from(self, lines: Sequence[str], at: int) -> Iterator[str]:
        for line in super()._from(lines, at):
            self.lines += 1
            yield line

    def plain(self, text: str) -> PlainRows | None:
        """Counts the lines that are tried; none is tried twice."""
        before = self._line
        found = super().plain(text)
        self.lines += text.count("\n") if found is None else self._line - before
        return found


def read_as_tables_do(reader: RowReader, text: str, size: int) -> list[RawRow]:
    rows: list[RawRow] = []
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        plain = reader.plain(piece)
        rows += reader.feed(piece) if plain is None else plain.raw()
    return rows + reader.feed("", is_last=True)


def rows_of(text: str, size: int) -> list[RawRow]:
    reader = RowReader(Dialect(), 1000)
    rows: list[RawRow] = []
    for at in range(0, len(text), size):
        rows += reader.feed(text[at : at + size])
    return rows + reader.feed("", is_last=True)


@pytest.mark.parametrize("end", ENDS)
def test_plain_rows_are_what_they_are_one_by_one(end: str) -> None:
    rng = random.Random(7)
    lines = [
        "a,b",
        '"a, b",c',
        "",
        '"it says ""no""",x',
        '"two\nlines",x',
        'a"b,"c"',
        '"open,c',
        "\r",
    ]
    for weights in ([9, 9, 0, 9, 0, 0, 0, 0], [99, 99, 1, 9, 2, 1, 1, 1]):
        text = end.join(rng.choices(lines, weights, k=300))
        for size in (40, 400, 4000):
            found = read_as_tables_do(RowReader(Dialect(), 1000), text, size)
            assert found == rows_of(text, size)


def test_work_grows_with_the_input_only() -> None:
    kinds = ['log"\n"' + "{}", 'log\n"{}', "log\n{}", 'a"{}', '"{}"']
    fills = ["\n", '"\n', '""\n', '"a"b\n', '"a\n', 'a,"b\n', "x", '"', '""', "\r", ",", '"\n"x']
    for kind, fill in itertools.product(kinds, fills):
        text = kind.format(fill * (8_000 // len(fill)))
        for limit in (1 << 12, 1 << 24):
            reader = CountingReader(Dialect(), limit)
            with contextlib.suppress(MalformedError):
                read_as_tables_do(reader, text, 1 << 10)
            count = len(list(io.StringIO(text, newline="")))
            assert reader.lines <= 5 * count + 50, (kind, fill, limit)


def test_a_row_past_the_limit_ends_with_its_line_or_is_refused() -> None:
    reader = RowReader(Dialect(), 1000)
    rows = reader.feed('a,"open\n' + "x,y\n" * 1000)
    rows += reader.feed("", is_last=True)
    assert len(rows) == 1001
    assert rows[0][2] == "its quote is never closed"
    with pytest.raises(MalformedError, match="csv_row_too_large"):
        RowReader(Dialect(), 1000).feed("x" * 2000)


def test_a_choice_that_is_none_is_refused() -> None:
    for said in ("", "ab", '"', "\n"):
        with pytest.raises(MalformedError, match="delimiter"):
            make_choice(delimiter=said)
    assert make_choice(delimiter="tab") == Choice(delimiter="\t")
    with pytest.raises(MalformedError, match="the file is empty"):
        read(b"")
    with pytest.raises(MalformedError, match="the file is empty"):
        read(b"\n\n")
