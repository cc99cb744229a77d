"""The beginning of a file as ``waybill label`` would read and label it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from waybill.core.errors import WaybillError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.web.engine import Engine
from waybill.web.jobs import Options
from waybill.wire.inputs import Format, form_of_content, form_of_magic, form_of_name, pieces
from waybill.wire.table.columns import make_choice
from waybill.wire.table.table import Row, Table
from waybill.wire.workbook import read_sheet

#: How much of a file is read for it, and how many rows are shown.
SAMPLE_BYTES = 64 << 10
ROWS = 20
_ROW_CHARS = 1 << 20
_MAGIC_BYTES = 8


class Preview(NamedTuple):
    """What was found about a table; ``form`` other than ``csv`` has no columns to choose."""

    form: str
    delimiter: str = ""
    encoding: str = ""
    head: tuple[str, ...] = ()
    columns: Mapping[str, str] = MappingProxyType({})
    rows: tuple[tuple[tuple[str, ...], Verdict], ...] = ()
    faults: tuple[str, ...] = ()
    fault: str = ""


async def preview(engine: Engine, file: Path, name: str, options: Options) -> Preview:
    """Read the beginning of ``file``, called ``name``, and label its first rows.

    What cannot be read is said in ``fault``.
    """
    fields = engine.settings.fields
    try:
        found, start = await asyncio.to_thread(_beginning, file, name, fields.message)
        form: str | None = options.form or found
        if not form:
            form = form_of_content(start, fields.message)
        if form not in ("csv", "xlsx"):
            return Preview(form)
        return await _table(engine, fields, start, form, options)
    except (WaybillError, OSError, ValueError) as error:
        return Preview(options.form or "csv", fault=str(error))


def _beginning(file: Path, name: str, names: Sequence[str]) -> tuple[Format | None, bytes]:
    """The format by content or ``name``, and the first bytes, unpacked; of a workbook the sheet
    that has one of the columns ``names``, as CSV.
    """
    with file.open("rb") as opened:
        form = form_of_magic(opened.read(_MAGIC_BYTES)) or form_of_name(name)
        opened.seek(0)
        if form == "xlsx":
            chunks = read_sheet(opened, names).pieces
        else:
            chunks = pieces(iter(lambda: opened.read(SAMPLE_BYTES), b""))
        found = b""
        for chunk in chunks:
            found += chunk
            if len(found) >= SAMPLE_BYTES:
                break
    return form, found[:SAMPLE_BYTES]


async def _table(
    engine: Engine, fields: FieldSettings, start: bytes, form: str, options: Options
) -> Preview:
    choice = make_choice(
        delimiter=options.delimiter or None,
        encoding=options.encoding or None,
        message=options.message or None,
        source=options.source or None,
        label=options.label or None,
    )
    table = Table(fields, choice, _ROW_CHARS)
    is_whole = len(start) < SAMPLE_BYTES
    rows: list[Row] = table.feed(start, is_last=is_whole)[:ROWS]
    if not table.has_head:
        return Preview(form, fault="there is no row of column names in its first 64 KB")
    columns = table.columns
    messages, sources = columns.read([row.cells for row in rows])
    pipeline = (await engine.opened()).pipeline
    verdicts = await pipeline.label(messages, sources)
    shown = [(tuple(row.cells), verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    faults = [f"row {row.number}: {row.fault}" for row in rows if row.fault]
    return Preview(
        form,
        table.dialect.delimiter,
        table.decoder.name or "ASCII",
        tuple(columns.head),
        columns.told(),
        tuple(shown),
        tuple(faults),
    )
