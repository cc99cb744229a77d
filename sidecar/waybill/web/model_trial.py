"""What another model would do to the stored patterns: the backtest, over a day of records."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from waybill.core.errors import WaybillError
from waybill.core.pattern import encode
from waybill.learn.backtest.result import Backtest
from waybill.learn.backtest.run import Plan, backtest
from waybill.learn.backtest.sides import SideSpec
from waybill.settings.schema import Settings
from waybill.web.store.corrections import export
from waybill.web.store.database import Database
from waybill.web.trials import Trial, of_a_day


async def try_models(settings: Settings, database: Database, old: str, new: str) -> Trial:
    """The records of a day that change their label with the bundle ``new`` instead of ``old``."""
    begin = time.perf_counter()
    lines = await database.read(lambda store: b"".join(_patterns(store)))
    corrections = await database.read(export)
    sides = (SideSpec(model=old), SideSpec(model=new))
    try:
        found = await asyncio.to_thread(_measure, settings, sides, (lines, corrections))
    except (WaybillError, OSError) as error:
        return Trial(None, time.perf_counter() - begin, str(error))
    return Trial(found, time.perf_counter() - begin)


def _measure(
    settings: Settings, sides: tuple[SideSpec, SideSpec], data: tuple[bytes, bytes]
) -> Backtest:
    with tempfile.TemporaryDirectory(prefix="waybill-trial-") as scratch:
        patterns = Path(scratch) / "patterns.ndjson"
        corrections = Path(scratch) / "corrections.ndjson"
        patterns.write_bytes(data[0])
        corrections.write_bytes(data[1])
        known = (corrections,) if data[1] else ()
        return backtest(Plan(str(patterns), *sides, corrections=known), settings)


def _patterns(store: sqlite3.Connection) -> Iterator[bytes]:
    """Every stored pattern with its records of a day as its count."""
    for row in store.execute("SELECT body, day_count FROM patterns WHERE day_count > 0"):
        yield encode(of_a_day(row))
