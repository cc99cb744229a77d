"""What a changed rule file would do to the stored patterns: the backtest, over a day of records."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.pattern import encode
from waybill.learn.backtest.result import Backtest
from waybill.learn.backtest.run import Plan, backtest
from waybill.learn.backtest.sides import Lent, SideSpec
from waybill.settings.schema import Settings
from waybill.web.engine import Engine
from waybill.web.rulebook import Rulebook
from waybill.web.store.corrections import export
from waybill.web.store.database import Database
from waybill.web.store.recording import pattern_of


class Trial(NamedTuple):
    """What was found in how many seconds; ``fault`` says why nothing was."""

    found: Backtest | None
    secs: float
    fault: str = ""


async def try_rules(
    engine: Engine, rulebook: Rulebook, database: Database, name: str, text: str
) -> Trial:
    """The records of a day that change their label with ``text`` as the own file ``name``."""
    begin = time.perf_counter()
    lines = await database.read(lambda store: b"".join(_patterns(store)))
    corrections = await database.read(export)
    try:
        model = (await engine.opened()).model
        bundle = model.bundle if model is not None else None
        async with rulebook.in_use:
            said = await rulebook.check(name, text)
            if said.compiled is None:
                return Trial(None, time.perf_counter() - begin, "; ".join(map(str, said.faults)))
            lent = Lent(bundle, [await rulebook.in_force(), said.compiled])
            sides = (SideSpec(), SideSpec())
            data = (lines, corrections)
            found = await asyncio.to_thread(_measure, (engine.settings, lent), sides, data)
    except (WaybillError, OSError) as error:
        return Trial(None, time.perf_counter() - begin, str(error))
    return Trial(found, time.perf_counter() - begin)


async def try_models(settings: Settings, database: Database, old: str, new: str) -> Trial:
    """The records of a day that change their label with the bundle ``new`` instead of ``old``."""
    begin = time.perf_counter()
    lines = await database.read(lambda store: b"".join(_patterns(store)))
    corrections = await database.read(export)
    sides = (SideSpec(model=old), SideSpec(model=new))
    try:
        found = await asyncio.to_thread(_measure, (settings, None), sides, (lines, corrections))
    except (WaybillError, OSError) as error:
        return Trial(None, time.perf_counter() - begin, str(error))
    return Trial(found, time.perf_counter() - begin)


def _measure(
    by: tuple[Settings, Lent | None],
    sides: tuple[SideSpec, SideSpec],
    data: tuple[bytes, bytes],
) -> Backtest:
    with tempfile.TemporaryDirectory(prefix="waybill-trial-") as scratch:
        patterns = Path(scratch) / "patterns.ndjson"
        corrections = Path(scratch) / "corrections.ndjson"
        patterns.write_bytes(data[0])
        corrections.write_bytes(data[1])
        known = (corrections,) if data[1] else ()
        return backtest(Plan(str(patterns), *sides, corrections=known), *by)


def _patterns(store: sqlite3.Connection) -> Iterator[bytes]:
    """Every stored pattern with its records of a day as its count."""
    for row in store.execute("SELECT body, day_count FROM patterns WHERE day_count > 0"):
        pattern = pattern_of(row)
        scale = row["day_count"] / pattern.count if pattern.count else 0.0
        sources = {name: round(count * scale) for name, count in pattern.sources.items()}
        yield encode(
            msgspec.structs.replace(
                pattern, count=row["day_count"], error=0, sources=sources, other_sources=0
            )
        )
