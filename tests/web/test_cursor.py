"""Lists go on behind the last row, in every order, whatever comes or goes meanwhile."""

from __future__ import annotations

import sqlite3
import time
from itertools import pairwise

import pytest

from tests.web.conftest import Client, pattern, share
from waybill.web.store.filters import SORTS, Filter
from waybill.web.store.queries import list_patterns

LABELS = ("Error", "User Action", "Unclassified")


def walked(store: sqlite3.Connection, sort: str, delete: bool = False) -> list[str]:
    """The ids of all pages of four rows; with ``delete`` the row before the cursor goes away."""
    found: list[str] = []
    after = ""
    while True:
        page = list_patterns(store, Filter(sort=sort), time.time(), 0.6, after, most=4)
        found += [row["id"] for row in page.rows]
        after = page.after
        if not after:
            return found
        if delete:
            store.execute("DELETE FROM patterns WHERE id = ?", (found[-1],))


@pytest.mark.parametrize("sort", sorted(SORTS))
async def test_every_row_comes_once(browser: Client, sort: str) -> None:
    now = time.time()
    patterns = []
    for number in range(30):
        label = LABELS[number % 3]
        more: dict[str, object] = {"confidence": None} if label == "Unclassified" else {}
        verdict = share(label, 10, **more)
        patterns.append(pattern(f"message {'x' * number}", verdict, count=10 + number // 4, at=now))
    await browser.put(*patterns)
    database = browser.running.bench.database
    whole = await database.read(lambda store: walked(store, sort))
    assert len(whole) == len(set(whole)) == 30
    meanwhile = await database.write(lambda store: walked(store, sort, delete=True))
    assert meanwhile == whole
    for one, other in pairwise(meanwhile):
        assert one != other


@pytest.mark.parametrize("cursor", ["", "x", "////", "W10", "WzFd", "%00", "W251bGwsMSwyXQ"])
async def test_a_cursor_that_nobody_gave_is_the_beginning(browser: Client, cursor: str) -> None:
    await browser.put(pattern("message", at=time.time()))
    status, text = await browser.get(f"/patterns.json?after={cursor}")
    assert status == 200
    assert "message" in text
