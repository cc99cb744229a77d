"""A store that is locked, full, damaged or far away: words, and nothing by halves."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from tests.web.conftest import Client, opened, pattern, settings_for
from waybill.core.errors import ConfigError
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import export
from waybill.web.store.database import Database
from waybill.web.store.faults import network_mount

MASK = "disk 0 is wobbly"
MOUNTS = [
    "22 1 0:21 / / rw - ext4 /dev/sda1 rw",
    "30 22 0:30 / /mnt/far\\040away rw,relatime shared:1 - nfs4 host:/x rw",
    "31 22 0:31 / /mnt/far\\040away/near rw - xfs /dev/sdb rw",
    "32 22 0:32 / /mnt/s rw - fuse.sshfs host: rw",
    "broken",
]


async def said(client: Client) -> tuple[int, str]:
    return await client.send(f"/patterns/{pattern_id(MASK)}/correct", {"label": "Error"})


async def test_a_store_that_is_held_says_so(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path)) as client:
        await client.put(pattern(MASK, at=time.time()))
        database = client.running.bench.database
        await database.write(lambda store: store.execute("PRAGMA busy_timeout = 100").fetchone())
        other = sqlite3.connect(tmp_path / "store.db")
        other.execute("BEGIN IMMEDIATE")
        status, words = await said(client)
        assert (status, "another process holds the store" in words) == (503, True)
        assert (await client.get("/patterns"))[0] == 200
        where = f"/patterns/{pattern_id(MASK)}/correct"
        fields = {"label": "Error", "note": "a note that took long"}
        status, page = await client.send(where, fields, Accept="text/html")
        assert (status, "another process holds the store" in page) == (503, True)
        assert 'name="note" value="a note that took long"' in page
        assert f'action="{where}"' in page
        assert "Send it again" in page
        other.rollback()
        other.close()
        assert (await said(client))[0] == 200
        assert await database.read(export)


async def test_a_full_disk_saves_nothing_and_says_so(browser: Client) -> None:
    await browser.put(pattern(MASK, at=time.time()))
    database = browser.running.bench.database
    pages = await database.write(lambda store: store.execute("PRAGMA page_count").fetchone()[0])
    await database.write(lambda store: store.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    note = "x" * 300
    for _ in range(100):
        where = f"/patterns/{pattern_id(MASK)}/correct"
        label = ("Error", "User Action")[_ % 2]
        status, words = await browser.send(where, {"label": label, "note": note})
        if status != 200:
            break
    assert (status, "the disk is full" in words) == (503, True)
    assert (await browser.get("/patterns"))[0] == 200


async def test_a_damaged_store_says_how_to_restore_it(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no store at all" * 1000)
    with pytest.raises(ConfigError, match="recover"):
        Database(tmp_path / "store.db")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/store.db", None),
        ("/mnt/far away/store.db", "nfs4"),
        ("/mnt/far away/near/store.db", None),
        ("/mnt/s/deep/store.db", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_known(path: str, kind: str | None) -> None:
    assert network_mount(Path(path), MOUNTS) == kind
