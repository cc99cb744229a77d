"""How a table is read, with what speaks for it, so that a person can see and overrule it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from waybill.core.text import byte_order_mark
from waybill.web.job import Options
from waybill.wire.table.encoding import TextDecoder, replaced
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table

#: What was found, and what speaks for it, by what it is.
Findings: TypeAlias = dict[str, tuple[str, str]]
_NAMES = {"\t": "tab", " ": "blank"}
_BEYOND = re.compile(r"\w{0,40}[^\x00-\x7f]\w{0,40}")


def table_findings(
    table: Table, rows: Sequence[Row], start: bytes, options: Options, by_content: str
) -> Findings:
    """What was found about a table by its first rows and its first bytes."""
    text = replaced("".join(row.text + row.end for row in rows))
    columns = table.columns
    head = ("first row", f"the names of {columns.width} columns")
    if options.head == "none":
        head = ("none", "the first row reads like those behind it")
    message = columns.describe()["message"]
    why = "has the longest texts" if by_content else "by its name"
    found = {
        "delimiter": (
            _NAMES.get(table.dialect.delimiter, table.dialect.delimiter),
            _even(table, rows),
        ),
        "quote": (table.dialect.quote or "none", _quoted(table, rows)),
        "encoding": encoding_finding(table.decoder, text, start),
        "head": head,
        "message": (message, why),
    }
    source = columns.describe().get("source")
    if source is not None:
        found["source"] = (source, "by its name")
    return found


def encoding_finding(decoder: TextDecoder, text: str, start: bytes = b"") -> tuple[str, str]:
    """The encoding, and a word of the text that it decides."""
    marked = byte_order_mark(start)
    if marked is not None:
        return decoder.name or marked[1], "the file begins with its byte order mark"
    if decoder.name is None:
        return "ASCII", "nothing beyond ASCII so far"
    word = _BEYOND.search(text)
    why = f"reads {word[0][:40]}" if word else "by the first bytes beyond ASCII"
    if decoder.is_guess:
        why = f"a guess, since it is not UTF-8; {why}"
    return decoder.name, why


def _even(table: Table, rows: Sequence[Row]) -> str:
    width = table.columns.width
    even = len(rows) - sum("cells" in row.kinds for row in rows)
    words = f"in {even} of {len(rows)} rows, {width} columns each"
    if table.dialect.preamble:
        return f"named by the first line; {words}"
    return words


def _quoted(table: Table, rows: Sequence[Row]) -> str:
    quote = table.dialect.quote
    if quote is None:
        return "quotes are text"
    inside = sum(1 for row in rows if quote in row.text)
    if not inside:
        return "none in the first rows"
    escaped = ", with a backslash before those within" if table.dialect.escape else ""
    return f"in {inside} of {len(rows)} rows{escaped}"
