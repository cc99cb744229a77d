"""A labelled table for spreadsheets: no cell that one of them would run as a formula."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from waybill.settings.schema import FieldSettings
from waybill.web.job import Options
from waybill.wire.table.columns import make_choice
from waybill.wire.table.dialect import row_text
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table

#: What a formula begins with, in any width.
_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CHUNK_BYTES = 1 << 18
_ROW_CHARS = 16 << 20


def unformula(cell: str) -> str:
    """``cell`` so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.startswith(_BEGINS) else cell


async def made_safe(file: Path, options: Options) -> AsyncIterator[bytes]:
    """A table with ``'`` before each cell that begins like a formula; rows without one stay as
    they are. Raises WaybillError.
    """
    choice = make_choice(
        delimiter=options.delimiter or None,
        encoding=options.encoding or None,
        quote=options.quote or None,
        head="none",
        message="1",
    )
    table = Table(FieldSettings(), choice, _ROW_CHARS)
    is_begun = False
    with file.open("rb") as reader:
        is_last = False
        while not is_last:
            chunk = await asyncio.to_thread(reader.read, _CHUNK_BYTES)
            is_last = not chunk
            rows = table.feed(chunk, is_last=is_last)
            if table.has_head and not is_begun:
                is_begun = True
                yield table.head()
            yield b"".join([table.plain(_safe(table, row)) for row in rows])
        yield table.rest()


def _safe(table: Table, row: Row) -> Row:
    if not any(cell.startswith(_BEGINS) for cell in row.cells):
        return row
    cells = list(map(unformula, row.cells))
    return row._replace(text=row_text(cells, table.dialect))
