"""``/models``: which model is in force where, and how far it agrees with what people said."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import Settled, settle
from waybill.core.errors import ConfigError, WaybillError
from waybill.hub.versions import is_version
from waybill.labelling.model.manifest import read_manifest
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.groups import groups_of, matrix_of
from waybill.web.reliability import Bin, bins_of, reliability_svg
from waybill.web.rendering import page
from waybill.web.store.changes import Change, add_change
from waybill.web.store.queries import history, node_rows
from waybill.web.versions import Scores, promote, scores_of, versions_in
from waybill.web.views.forms import read_form, see

#: Corrections that are compared at most, the newest ones.
_MOST = 2000


class Model(NamedTuple):
    """The model of this workbench."""

    version: str
    facts: list[tuple[str, str]]
    scores: Scores | None


class Agreement(NamedTuple):
    """How many corrections get their label without being corrections, a matrix, and confidence."""

    right: int
    total: int
    columns: list[str]
    rows: list[tuple[str, list[int]]]
    bins: list[Bin]


async def show(request: web.Request) -> web.Response:
    """Models and what they are worth."""
    bench = bench_of(request)
    in_force: Counter[str] = Counter()
    for row in await bench.database.read(node_rows):
        part = json.loads(row["edition"]).get("model")
        if isinstance(part, dict):
            part = part.get("version")
        if part:
            in_force[str(part)] += 1
    lines = await bench.database.read(history)
    model, agreement, fault = None, None, request.query.get("fault", "")
    try:
        model = await _model(bench)
        agreement = await _agreement(bench, settle(lines)[-_MOST:])
    except WaybillError as error:
        fault = str(error)
    if agreement is not None:
        bench.engine.agreement = (agreement.right, agreement.total)
    folder = folder_of(bench)
    return await page(
        request,
        "models.html",
        "Models",
        model=model,
        in_force=in_force.most_common(),
        versions=await asyncio.to_thread(versions_in, folder),
        source=bench.settings.model.follow.source or "",
        folder=folder,
        agreement=agreement,
        reliability=reliability_svg(agreement.bins) if agreement is not None else "",
        step=step,
        said=request.query.get("said", ""),
        fault=fault,
    )


async def compare(request: web.Request) -> web.Response:
    """What one version instead of another would change over a day, and both their scores."""
    bench = bench_of(request)
    known = {one.name: one for one in await asyncio.to_thread(versions_in, folder_of(bench))}
    old, new = known.get(request.query.get("a", "")), known.get(request.query.get("b", ""))
    if old is None or new is None:
        raise see(request, "/models", urlencode({"fault": "Choose two versions to compare."}))
    trial = await bench.model_trials.try_models(str(old.folder), str(new.folder))
    told: dict[str, object] = {}
    if trial.found is not None:
        told["groups"] = groups_of(trial.found, {})
        told["matrix"] = matrix_of(trial.found, bench.taxonomy.names)
    return await page(
        request,
        "compare.html",
        f"{old.name} and {new.name} · Models",
        old=old,
        new=new,
        trial=trial,
        told=told,
    )


async def bring(request: web.Request) -> web.Response:
    """Promote a version, or go back to one: it is published once more as the newest."""
    form = await read_form(request, "apply")
    bench = bench_of(request)
    name, folder = form.get("version", ""), folder_of(bench)
    if folder is None:
        raise see(
            request,
            "/models",
            urlencode({"fault": "No folder of versions is set."}),
        )
    try:
        following = await asyncio.to_thread(promote, folder, name)
    except ConfigError as error:
        raise see(request, "/models", urlencode({"fault": str(error)})) from None
    author, way = user_of(request).name, "folder"
    made = Change(
        author=author,
        what=f"model {name} as {following}",
        file=str(folder),
        before=name,
        after=following,
        note="",
        way=way,
        at=time.time(),
    )
    await bench.database.write(lambda store: add_change(store, made))
    words = f"{name} is now {following}; sidecars that follow {folder} take it up soon."
    raise see(request, "/models", urlencode({"said": words}))


async def patch(request: web.Request) -> web.Response:
    """The setting that brings a version to sidecars where no folder is followed."""
    version = request.query.get("version", "")
    if not is_version(version):
        raise web.HTTPNotFound(text="There is no such version.\n")
    text = f"# For the settings of the sidecars.\nmodel:\n  follow:\n    version: {version}\n"
    headers = {"Content-Disposition": 'attachment; filename="model.yaml"'}
    return web.Response(text=text, content_type="application/yaml", headers=headers)


def folder_of(bench: Bench) -> Path | None:
    """The folder of versions that sidecars follow; None: there is none, or it is a repository."""
    source = bench.settings.model.follow.source
    folder = Path(source).expanduser() if source else None
    return folder if folder is not None and folder.is_dir() else None


def step(count: int, most: int) -> int:
    """Which of five greys a cell gets."""
    if not count or not most:
        return 0
    return 1 + min(3, int(4 * count / (most + 1)))


async def _model(bench: Bench) -> Model | None:
    opened = await bench.engine.opened()
    if opened.model is None:
        return None
    bundle = opened.model.bundle
    if bundle.folder is None:
        return Model(opened.model.version, [], None)
    manifest = await asyncio.to_thread(read_manifest, bundle.folder)
    facts = [("Folder", str(bundle.folder)), ("Made by", str(manifest.made.get("command", "-")))]
    sure, far = manifest.thresholds.confidence, manifest.thresholds.distance
    facts.append(("A label needs", f"confidence {sure:.2f} and distance under {far:.2f}"))
    return Model(opened.model.version, facts, scores_of(manifest))


async def _agreement(bench: Bench, standing: Sequence[Settled]) -> Agreement | None:
    """What rules and model say of the masks that people corrected."""
    if not standing:
        return None
    masks = [one.correction.mask for one in standing]
    said = await bench.engine.label(masks, [""] * len(masks))
    table = Table(bench.taxonomy.names)
    sure = []
    for one, verdict in zip(standing, said, strict=True):
        table.count(one.correction.label, verdict.label)
        if verdict.tier == "model" and verdict.confidence is not None:
            sure.append((verdict.confidence, verdict.label == one.correction.label))
    rows = list(table.rows())
    return Agreement(table.right, len(standing), table.columns(), rows, bins_of(sure))


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
        if people == ours:
            self.right += 1

    def columns(self) -> list[str]:
        """The labels that we give, in order."""
        return [name for name in self._names if name in self._ours]

    def rows(self) -> Iterator[tuple[str, list[int]]]:
        """Each label that people gave, with its count in every column."""
        columns = self.columns()
        for name in self._names:
            if name in self._people:
                yield name, [self._pairs[name, column] for column in columns]
