"""``/models``: which model is in force where, and how far it agrees with what people said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aiohttp import web

from waybill.core.correction import Settled, settle
from waybill.core.errors import WaybillError
from waybill.web.context import Bench, bench_of
from waybill.web.rendering import page
from waybill.web.store.queries import history, node_rows

#: Corrections that are compared at most, the newest ones.
_MOST = 2000


class Model(NamedTuple):
    """The model of this workbench."""

    version: str
    facts: list[tuple[str, str]]


class Agreement(NamedTuple):
    """How many corrections get their label without being corrections, and a matrix."""

    right: int
    total: int
    columns: list[str]
    rows: list[tuple[str, list[int]]]


async def show(request: web.Request) -> web.Response:
    """Models and what they are worth."""
    bench = bench_of(request)
    versions: Counter[str] = Counter()
    for row in await bench.database.read(node_rows):
        part = json.loads(row["edition"]).get("model")
        if isinstance(part, dict):
            part = part.get("version")
        if part:
            versions[str(part)] += 1
    lines = await bench.database.read(history)
    model, agreement, fault = None, None, ""
    try:
        model = await _model(bench)
        agreement = await _agreement(bench, settle(lines)[-_MOST:])
    except WaybillError as error:
        fault = str(error)
    return await page(
        request,
        "models.html",
        "Models",
        model=model,
        versions=versions.most_common(),
        agreement=agreement,
        fault=fault,
    )


async def _model(bench: Bench) -> Model | None:
    opened = await bench.engine.opened()
    if opened.model is None:
        return None
    bundle = opened.model.bundle
    facts = [("Labels", ", ".join(bench.taxonomy.names)), ("Folder", str(bundle.folder))]
    return Model(opened.model.version, facts)


async def _agreement(bench: Bench, standing: Sequence[Settled]) -> Agreement | None:
    """What rules and model say of the masks that people corrected."""
    if not standing:
        return None
    masks = [one.correction.mask for one in standing]
    said = await bench.engine.label(masks, "")
    table = Table(bench.taxonomy.names)
    for one, verdict in zip(standing, said, strict=True):
        table.count(one.correction.label, verdict.label)
    return Agreement(table.right, len(standing), table.columns(), list(table.rows()))


class Table:
    """Counts pairs of labels: what people said, and what rules and model say."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._people: set[str] = set()
        self._ours: set[str] = set()
        self.right = 0

    def count(self, people: str, ours: str) -> None:
        """One more pair."""
        self._pairs[people, ours] += 1
        self._people.add(people)
        self._ours.add(ours)
        self.right += people == ours

    def columns(self) -> list[str]:
        """The labels that we give, in order."""
        return [name for name in self._names if name in self._ours]

    def rows(self) -> Iterator[tuple[str, list[int]]]:
        """Each label that people gave, with its count in every column."""
        columns = self.columns()
        for name in self._names:
            if name in self._people:
                yield name, [self._pairs[name, column] for column in columns]
