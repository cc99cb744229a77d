"""Several labellings on the pages: each has its patterns, labels, rules and corrections."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from tests.conftest import Running
from tests.taxonomies import SEVERITY_YAML
from tests.web.conftest import Client, opened, settings_for
from tests.web.test_files import send, until
from waybill.core.correction import decode_correction, encode_correction, new_correction
from waybill.core.pattern import pattern_id
from waybill.settings.schema import CorrectionSettings, LabellingSettings, Settings
from waybill.web.labellings import edition_of, named

FIRST = """\
rules:
  - {id: came, label: User Action, pattern: 'logged in', match: ['User 1 logged in']}
"""
RULES = """\
rules:
  - {id: down, label: High, pattern: 'is down', match: ['disk is down']}
"""
TAX = "tax=severity"
PAGES = ("/", "/patterns", "/review", "/rules", "/rules/edit", "/sources", "/nodes", "/corrections",
         "/changes", "/models", "/csv", "/try", "/keys", f"/patterns/{pattern_id('blorp 0')}")  # fmt: skip
ADDRESS = re.compile('(?:href|action|hx-get|hx-post|data-[a-z]+)="(/[^"]*)"')


def severity_in(place: Path, **workbench: object) -> Settings:
    """Settings of a workbench for two labellings."""
    (place / "labels.yaml").write_text(SEVERITY_YAML)
    (place / "rules").mkdir(exist_ok=True)
    (place / "rules" / "a.yaml").write_text(RULES)
    (place / "first").mkdir(exist_ok=True)
    (place / "first" / "a.yaml").write_text(FIRST)
    file = place / "corrections.ndjson"
    lines = (
        new_correction("known before", "Low", labelling="severity", by="old"),
        new_correction("known before", "Error", by="old"),
    )
    file.write_bytes(b"".join(map(encode_correction, lines)))
    settings = settings_for(place, **workbench)
    labelling = LabellingSettings("severity", pack=str(place))
    return replace(
        settings,
        rules=replace(settings.rules, path=str(place / "first")),
        labellings=(labelling,),
        corrections=CorrectionSettings(path=str(file)),
    )


@asynccontextmanager
async def filled(running: Running, place: Path) -> AsyncIterator[Client]:
    """A workbench beside a sidecar that has told of a few lines."""
    settings = severity_in(place)
    further = f"labellings=[{{name: severity, pack: '{place}'}}]"
    async with running("model.path=null", f"rules.path={place}/first", further) as sidecar:
        await sidecar.post(
            b'[{"log":"User User1 logged in."},{"log":"a is down"},{"log":"blorp 1"}]'
        )
        mine = replace(settings.workbench, sidecars=(sidecar.service.address,))
        async with opened(replace(settings, workbench=mine)) as client:
            for bench in client.running.benches.values():
                await bench.collector.collect()
            yield client


async def test_each_labelling_has_its_pages(running: Running, tmp_path: Path) -> None:
    async with filled(running, tmp_path) as client:
        _, first = await client.get("/patterns.csv")
        _, second = await client.get(f"/patterns.csv?{TAX}")
        assert "User Action" in first
        assert "High" not in first
        assert "High" in second
        assert "User Action" not in second
        for path in PAGES:
            status, page = await client.get(f"{path}?{TAX}")
            assert status == 200, path
            switch = page.index('aria-label="Labelling"')
            page = page[:switch] + page[page.index("</nav>", switch) :]
            lost = [
                one
                for one in ADDRESS.findall(page)
                if TAX not in one and not one.startswith("/static/")
            ]
            assert lost == [], path
            for form in re.findall(r'<form[^>]*method="?get.*?</form>', page, re.DOTALL):
                assert 'name="tax" value="severity"' in form, path
        assert "target_label" in (await client.get("/"))[1]
        status, why = await client.get("/patterns?tax=colour")
        assert (status, "severity" in why) == (404, True)


async def test_what_is_said_belongs_to_the_labelling(running: Running, tmp_path: Path) -> None:
    async with filled(running, tmp_path) as client:
        where = f"/patterns/{pattern_id('blorp 0')}"
        status, page = await client.send(f"{where}/correct?{TAX}", {"label": "Low"})
        assert (status, "Recorded:" in page) == (200, True)
        status, page = await client.send(f"{where}/correct?{TAX}", {"label": "Error"})
        assert "No label was chosen" in page or status == 400
        _, lines = await client.get(f"/corrections.ndjson?{TAX}")
        (line,) = map(decode_correction, lines.encode().splitlines())
        assert (line.labelling, line.label, line.mask) == ("severity", "Low", "blorp 0")
        assert (await client.get("/corrections.ndjson"))[1] == ""
        _, page = await client.send(f"/corrections/apply?{TAX}", {})
        assert "in force on 0 of 1, until somebody brings the patch there" in page
        (change,) = re.findall(r"/changes/(\d+)\.patch", page)
        assert '"labelling":"severity"' in (await client.get(f"/changes/{change}.patch?{TAX}"))[1]
        # Both the line that was there before and what was said here are in force for files.
        await client.send(f"/try?{TAX}", {"lines": "blorp 7"})
        job = await send(client, "a.csv", b"log\na is down\nblorp 8\n", query=TAX)
        await client.send(f"{job}/run?{TAX}", {})
        await until(client, job, "finished", query=TAX)
        _, table = await client.get(f"{job}/result?{TAX}")
        assert "High" in table
        assert "Low" in table


async def test_corrections_of_before_are_those_of_the_labelling(tmp_path: Path) -> None:
    async with opened(severity_in(tmp_path)) as client:
        _, page = await client.send(f"/try?{TAX}", {"lines": "known before"})
        assert ("Low" in page, "correction" in page) == (True, True)
        _, page = await client.send("/try", {"lines": "known before"})
        assert ("Error" in page, "correction" in page) == (True, True)


async def test_a_node_without_the_labelling_says_so(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/v1/edition":
            return web.json_response({"waybill": "0.1.0"})
        return web.Response(text="")

    app = web.Application()
    app.router.add_get("/v1/{name}", answer)
    async with TestServer(app) as old:
        settings = severity_in(tmp_path, sidecars=(str(old.make_url("")),))
        async with opened(settings) as client:
            collector = client.running.benches["severity"].collector
            await collector.collect()
            asked.clear()
            await collector.collect()
            assert asked == ["/v1/edition"]
            _, page = await client.get(f"/nodes?{TAX}")
            assert "has no labelling severity" in page


@pytest.mark.parametrize("told", [{}, {"labellings": []}, {"labellings": {"severity": 1}}])
def test_an_edition_without_the_labelling_is_none(told: dict[str, object]) -> None:
    assert edition_of(told, "severity") is None
    assert edition_of(told, "") is told
    assert named(b"as it is", "") == b"as it is"
