"""How changes travel: recorded, written whole, found again after a kill, told node by node."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.web.conftest import Client, opened, pattern, settings_for
from waybill.core.correction import decode_correction, new_correction
from waybill.labelling.rules.texts import text_mark
from waybill.settings.schema import Settings
from waybill.web.spread import Spread, read_fleet, spread
from waybill.web.store.changes import Change, add_change, find_change, newest_by_file, put_file
from waybill.web.store.corrections import add_correction, count_waiting
from waybill.web.store.database import Database
from waybill.web.store.nodes import NodeState, note_node
from waybill.web.ways import NotWrittenError, Travel, place_of

NAME = "50-workbench.yaml"
RULES = "rules:\n- {id: own, label: Error, pattern: 'wobbly'}\n"


def change(before: str | None, after: str | None, **more: Any) -> Change:
    return Change("ann", f"edit {NAME}", NAME, before, after, "", "", time.time(), **more)


@asynccontextmanager
async def travelling(settings: Settings) -> AsyncIterator[tuple[Travel, Database]]:
    database = Database(Path(settings.workbench.store))
    travel = Travel(settings, database, place_of(settings))
    await travel.start()
    try:
        yield travel, database
    finally:
        database.close()


class Api:
    """A Kubernetes API with one ConfigMap, as far as it is asked here."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {"other.yaml": "rules: []\n"}
        self.version = 1
        self.rivals: list[dict[str, str]] = []
        self.status = 200

    def routes(self) -> list[web.RouteDef]:
        path = "/api/v1/namespaces/logging/configmaps/own"
        return [web.get(path, self.get), web.patch(path, self.patch)]

    def answer(self) -> web.Response:
        meta = {"name": "own", "resourceVersion": str(self.version)}
        return web.json_response({"kind": "ConfigMap", "metadata": meta, "data": self.data})

    async def get(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer s3cret"
        if self.status != 200:
            return web.json_response({"message": "no such right"}, status=self.status)
        answer = self.answer()
        if self.rivals:  # somebody is faster than the patch
            self.data = {**self.data, **self.rivals.pop(0)}
            self.version += 1
        return answer

    async def patch(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        patch = await request.json()
        if patch["metadata"]["resourceVersion"] != str(self.version):
            return web.json_response({"message": "the object has been modified"}, status=409)
        for key, text in patch["data"].items():
            if text is None:
                self.data.pop(key, None)
            else:
                self.data[key] = text
        self.version += 1
        return self.answer()


@asynccontextmanager
async def cluster(api: Api, place: Path) -> AsyncIterator[Settings]:
    app = web.Application()
    app.add_routes(api.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (place / "token").write_text("s3cret")
    (place / "namespace").write_text("logging")
    try:
        yield settings_for(
            place,
            apply="configmap",
            configmap="own",
            kubernetes_api=f"http://127.0.0.1:{runner.addresses[0][1]}",
            service_account=str(place),
        )
    finally:
        await runner.cleanup()


async def test_a_configmap_is_patched_and_rebased(tmp_path: Path) -> None:
    api = Api()
    async with cluster(api, tmp_path) as settings, travelling(settings) as (travel, database):
        api.rivals = [{"theirs": "1"}, {"theirs": "2"}]
        await travel.bring_rules(change(None, RULES))
        assert api.data == {"other.yaml": "rules: []\n", "theirs": "2", NAME: RULES}
        assert (tmp_path / "store.db-rules" / NAME).read_text() == RULES
        line = new_correction("disk 0 is wobbly", "Error", at="2026-11-26T10:00:00Z")
        await database.write(lambda store: add_correction(store, line))
        await travel.bring_corrections(change("", ""))
        assert decode_correction(api.data["corrections.ndjson"].encode()) == line
        # Somebody edits the very file: nothing of theirs is overwritten.
        api.data[NAME] = "rules: []\n"
        api.version += 1
        with pytest.raises(NotWrittenError, match="changed by others"):
            await travel.bring_rules(change(RULES, None))
        assert api.data[NAME] == "rules: []\n"
        with pytest.raises(NotWrittenError, match="holds 1048576"):
            await travel.bring_rules(change("rules: []\n", "#" * (1 << 20)))
        api.status = 403
        with pytest.raises(NotWrittenError, match="get and patch"):
            await travel.bring_rules(change("rules: []\n", None))
        rows = await database.read(newest_by_file)
        assert {row["file"]: row["state"] for row in rows} == {
            NAME: "written",
            "corrections.ndjson": "written",
        }


async def test_a_cluster_that_refuses_is_told_and_what_was_typed_stays(tmp_path: Path) -> None:
    api = Api()
    async with cluster(api, tmp_path) as settings, opened(settings) as client:
        _, text = await client.get(f"/rules/edit?file={NAME}")
        base = re.search('name="base" value="([^"]*)"', text)
        assert base is not None
        form = {"file": NAME, "text": RULES, "base": base[1], "do": "apply"}
        api.rivals = [{"theirs": str(number)} for number in range(20)]
        _, text = await client.send("/rules/edit", form)
        assert "is changed by others all the time: try again" in text
        api.rivals = []
        api.status = 403
        _, text = await client.send("/rules/edit", form)
        assert "needs get and patch on this ConfigMap" in text
        assert "id: own" in text
        api.status = 200
        await client.send("/rules/edit", form)
        assert api.data[NAME] == RULES


async def test_files_that_are_refreshed_by_many_at_once_are_the_last_ones(tmp_path: Path) -> None:
    """A change refreshes them, and each round of collecting does."""
    settings = settings_for(tmp_path, apply="follow")
    async with travelling(settings) as (travel, database):
        for turn in range(20):
            text = f"rules: [] # {turn}\n"
            await database.write(functools.partial(put_file, name=NAME, text=text))
            await asyncio.gather(*(travel.refresh() for _ in range(8)))
            (file,) = (tmp_path / "store.db-rules").iterdir()
            assert (file.name, file.read_text()) == (NAME, text)


@pytest.mark.parametrize("found", [None, RULES, "rules: [] # of somebody else\n"])
async def test_what_a_kill_interrupted_is_finished_or_told(
    tmp_path: Path, found: str | None
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    if found is not None:
        (own / NAME).write_text(found)
    file = tmp_path / "c.ndjson"
    settings = settings_for(tmp_path, apply="folder", folder=str(own), corrections_file=str(file))
    database = Database(Path(settings.workbench.store))

    def interrupted(store: sqlite3.Connection) -> int:
        add_correction(store, new_correction("a", "Error", at="2026-11-26T10:00:00Z"))
        made = change("", "", state="writing")._replace(file="corrections.ndjson", way="folder")
        store.execute("UPDATE corrections SET change = ?", (add_change(store, made),))
        return add_change(store, change(None, RULES, state="writing"))

    number = await database.write(interrupted)
    database.close()
    async with travelling(settings) as (_, database):
        row = await database.read(lambda store: find_change(store, number))
    assert row is not None
    assert file.read_bytes().count(b"\n") == 1
    if found in (None, RULES):
        assert (row["state"], (own / NAME).read_text()) == ("written", RULES)
    else:
        assert (row["state"], (own / NAME).read_text()) == ("failed", found)
        assert "changed by somebody else" in row["fault"]


async def test_corrections_that_cannot_be_written_wait_again(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, apply="folder")
    async with travelling(settings) as (travel, database):
        line = new_correction("a", "Error", at="2026-11-26T10:00:00Z")
        await database.write(lambda store: add_correction(store, line))
        with pytest.raises(NotWrittenError, match="set workbench"):
            await travel.bring_corrections(change("", ""))
        assert await database.read(count_waiting) == 1


async def told(client: Client, number: int, at: float) -> Spread:
    def read(store: sqlite3.Connection) -> Spread:
        row = find_change(store, number)
        assert row is not None
        return spread(read_fleet(store), row, at)

    return await client.running.bench.database.read(read)


async def test_a_change_says_where_it_is(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path, apply="follow")) as client:
        database = client.running.bench.database
        number = await client.running.bench.travel.bring_rules(change(None, RULES))
        now = time.time()

        async def node(name: str, **rules: object) -> None:
            edition = json.dumps({"rules": rules})
            state = NodeState(name, "http://n", now, edition=edition)
            await database.write(lambda store: note_node(store, state))

        assert (await told(client, number, now)).sentence == "no sidecar is known yet"
        await node("n-1", files={})
        assert (await told(client, number, now)).state == "waiting"
        await node("n-2", files={NAME: text_mark(RULES)})
        refusal = {"detail": ["50-workbench.yaml:2: <b>no</b>"]}
        await node("n-3", files={}, is_newest=False, last_refusal=refusal)
        found = await told(client, number, now)
        assert found.sentence == "in force on 1 of 3 · 1 waiting · 1 refused"
        assert (await told(client, number, now + 301)).state == "late"
        _, text = await client.get(f"/changes/{number}")
        assert "50-workbench.yaml:2: &lt;b&gt;no&lt;/b&gt;" in text
        await node("n-1", files={NAME: text_mark(RULES)})
        assert (await told(client, number, now)).state == "partly"
        await node("n-3", files={NAME: text_mark(RULES)})
        await client.running.bench.collector.collect()
        assert (await told(client, number, now)).sentence.startswith("in force on 3 of 3, ")
        later = await client.running.bench.travel.bring_rules(change(RULES, None))
        assert (await told(client, number, now)).sentence == f"change {later} decides now"
        status, body = await client.get("/v1/rule-files")
        assert (status, body) == (200, '{"files":{}}')


async def test_a_store_without_changes_offers_nothing(browser: Client, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    assert (await browser.get("/v1/rule-files"))[0] == 404
    async with opened(settings_for(tmp_path / "more", apply="follow")) as client:
        assert (await client.get("/v1/rule-files"))[0] == 204
        assert await client.get("/v1/corrections") == (200, "")


async def test_corrections_are_served_once_they_are_applied(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path, apply="follow")) as client:
        await client.put(pattern("disk 0 is wobbly", at=time.time()))
        (one,) = json.loads((await client.get("/patterns.json"))[1])["patterns"]
        await client.send(f"/patterns/{one['id']}/correct", {"label": "Error"})
        assert (await client.get("/v1/corrections"))[1] == ""
        _, page = await client.send("/corrections/apply", {})
        assert "On its way." in page
        (line,) = (await client.get("/v1/corrections"))[1].splitlines()
        assert decode_correction(line.encode()).label == "Error"
        _, page = await client.send("/corrections/apply", {})
        assert "No correction waits." in page
        _, page = await client.send("/changes/1/undo", {})
        assert "takes back change 1." in page
        assert len((await client.get("/v1/corrections"))[1].splitlines()) == 2
        assert (await client.running.bench.engine.label(["disk 3 is wobbly"], [""]))[0].tier != (
            "correction"
        )


async def test_a_correction_says_whether_it_is_applied_and_in_which_change(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path, apply="follow")) as client:
        await client.put(pattern("disk 0 is wobbly", at=time.time()))
        (one,) = json.loads((await client.get("/patterns.json"))[1])["patterns"]
        where = f"/patterns/{one['id']}"
        _, page = await client.send(f"{where}/correct", {"label": "Error"})
        assert "Nothing changes until it is applied" in page
        assert "not yet: apply it" in page
        assert "<b>Corrected to Error</b>" in page
        assert "not applied" in (await client.get("/corrections"))[1]
        _, page = await client.send("/corrections/apply", {})
        assert where in page
        assert "not applied" not in (await client.get("/corrections"))[1]
        _, page = await client.get(where)
        assert "not yet: apply it" not in page
        assert '/changes/1">Change 1</a>' in page
        await client.send("/changes/1/undo", {})
        assert "Taken back by" in (await client.get("/changes/1"))[1]
        assert "It takes back" in (await client.get("/changes/2"))[1]
