"""The pictures of README and of docs/workbench.md, taken from the pages themselves.

``SCREENSHOTS=1 pytest tests/web/test_screenshots.py`` takes them anew.
"""

from __future__ import annotations

import functools
import os
import re
import sqlite3
import time
from pathlib import Path

import pytest

from tests.web.conftest import Client, opened, pattern, settings_for, share
from tests.web.test_browser import browsing
from tests.web.test_browser import pytestmark as needs_browser
from tests.web.test_files import send, until
from waybill.core.pattern import Pattern, pattern_id
from waybill.web.store.nodes import NodeState, note_node

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "img"
#: All of them together, in bytes.
_BUDGET = 1_000_000
_SIZE = {"width": 1280, "height": 760}
#: Two days, so that one is compared with the other.
HOURS = 49
PAGES = {
    "overview": "/",
    "patterns": "/patterns",
    "pattern": f"/patterns/{pattern_id('order <id> rejected by partner 0')}",
    "review": "/review",
    "rule": f"/rules/edit?from={pattern_id('order <id> rejected by partner 0')}",
    "sources": "/sources",
    "models": "/models",
}
DARK = ("patterns",)
SAID = {
    "User <id> logged in": ("User Action", 9200, "crm"),
    "GET /api/orders/0 HTTP/0.0 status: 0": ("HTTP Status", 21_400, "gateway"),
    "disk 0 is full": ("Critical Error", 31, "storage"),
    "connection to <ip> timed out after 0 ms": ("Error", 1204, "billing"),
    "backup 0 finished in 0 s": ("System Notification", 310, "storage"),
    "0 failed logins of <id> from <ip>": ("Security Alert", 88, "crm"),
    "memory of pod <id> at 0 %": ("Resource Usage", 640, "gateway"),
}
OPEN = {
    "order <id> rejected by partner 0": (4100, "shop"),
    "quota of 0 requests used up for <id>": (1260, "billing"),
    "reconciliation of batch 0 postponed": (420, "billing"),
    "sidecar <id> drifted 0 ms": (97, "gateway"),
}
TABLE = "".join(
    f"{n},shop,order {n} rejected by partner {n % 7},\n{n},crm,User U{n} logged in,User Action\n"
    for n in range(400)
)


def told_until(hour: int, now: float) -> list[Pattern]:
    """What a sidecar has counted by the end of an ``hour``; some grows unevenly."""
    at = now - (HOURS - hour) * 3600
    day = {"since": now - HOURS * 3600, "first_seen": now - HOURS * 3600, "last_seen": at - 30}
    told = []
    for mask, (label, count, source) in SAID.items():
        so_far = count * hour // 24
        told.append(
            pattern(mask, share(label, so_far), count=so_far, sources={source: so_far}, **day)
        )
    for mask, (count, source) in OPEN.items():
        so_far = count * (hour + 6 * max(0, hour - 40)) // (7 * 24)
        told.append(pattern(mask, count=so_far, sources={source: so_far}, **day))
    return told


async def fill(client: Client) -> None:
    now = time.time()
    for hour in range(1, HOURS + 1):
        await client.put(*told_until(hour, now), node="waybill-0", at=now - (HOURS - hour) * 3600)
    for name in ("waybill-0", "waybill-1", "waybill-2"):
        state = NodeState(name, f"http://{name}:9880", now)
        await client.running.bench.database.write(functools.partial(_noted, state))


def _noted(state: NodeState, store: sqlite3.Connection) -> None:
    note_node(store, state)


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="taken with SCREENSHOTS=1 only")
@pytest.mark.timeout(300)
async def test_pictures_are_taken(tmp_path: Path) -> None:
    assert needs_browser
    FOLDER.mkdir(exist_ok=True)
    async with opened(settings_for(tmp_path)) as client:
        await fill(client)
        job = await send(client, "orders.csv", f"id,source,message,target_label\n{TABLE}".encode())
        look = {"viewport": _SIZE, "reduced_motion": "reduce"}
        async with browsing(client, **look, color_scheme="light") as page:
            shots = dict(PAGES, csv=job)
            for name, path in shots.items():
                await page.goto(client.running.address + path)
                await page.wait_for_load_state("networkidle")
                await page.screenshot(path=FOLDER / f"{name}.png")
            await client.send(f"{job}/run", {})
            await until(client, job, "finished")
            await page.goto(client.running.address + job)
            await page.screenshot(path=FOLDER / "csv-result.png")
            await page.emulate_media(color_scheme="dark")
            for name in DARK:
                await page.goto(client.running.address + PAGES[name])
                await page.wait_for_load_state("networkidle")
                await page.screenshot(path=FOLDER / f"{name}-dark.png")


def test_every_picture_is_shown_and_all_are_small() -> None:
    names = {file.name for file in FOLDER.glob("*.png")}
    texts = (ROOT / "README.md").read_text("utf-8") + (ROOT / "docs/workbench.md").read_text(
        "utf-8"
    )
    assert set(re.findall(r"img/([\w-]+\.png)", texts)) == names
    assert sum(file.stat().st_size for file in FOLDER.glob("*.png")) < _BUDGET
