"""What was paid for once is kept: one suite over SQLite and Redis, and what only one of them can
do.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.labelling.llm.conftest import Opening
from tests.labelling.llm.standin import Standin
from tests.labelling.llm.tier_rig import WORDS
from tests.support.ports import free_port
from waybill.core.clock import ManualClock
from waybill.labelling.llm.build import open_store
from waybill.labelling.llm.errors import StoreError
from waybill.labelling.llm.store import Judgement, Usage, VerdictStore, judgement_key
from waybill.labelling.llm.store_sqlite import SqliteStore, default_path
from waybill.labelling.llm.window import LocalWindow
from waybill.settings.schema import LlmSettings

DAY = 86_400


def judgement(text: str, label: str = "Workflow Error", at: float | None = None) -> Judgement:
    labels = ("Workflow Error", "Deprecation Warning")
    return Judgement(
        judgement_key(text, labels, "m@1"),
        text,
        label,
        labels,
        ("Legacy*",),
        "m@1",
        at or time.time(),
    )


@pytest.fixture(name="redis_url", scope="module")
def _redis_url() -> Iterator[str]:
    """A Redis server of our own on a free port."""
    pytest.importorskip("redis", reason="the redis client is not installed")
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    port = free_port()
    process = subprocess.Popen(
        [server, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(name="store", params=["sqlite", "memory", "redis"])
async def _store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VerdictStore]:
    where = str(tmp_path / "deep" / "llm.sqlite") if request.param == "sqlite" else request.param
    if where == "redis":
        where = request.getfixturevalue("redis_url")
        await flush(where)
    store, _, _ = await open_store(LlmSettings(provider="groq", store=where, store_days=1))
    yield store
    await store.close()


async def flush(url: str) -> None:
    from waybill.labelling.llm.store_redis import Redis

    redis = Redis(url)
    await redis.run(redis.client.flushall(), bool)
    await redis.close()


async def test_verdicts_are_found_again(store: VerdictStore) -> None:
    await store.put([judgement("a"), judgement("b", "Deprecation Warning")])
    keys = [judgement(text).key for text in "abc"]
    assert dict(await store.get(keys)) == {
        keys[0]: "Workflow Error",
        keys[1]: "Deprecation Warning",
    }
    assert dict(await store.get([])) == {}
    assert [one.text for one in await store.judgements()] == ["a", "b"]
    assert (await store.judgements())[0] == msgspec_equal(
        judgement("a"), (await store.judgements())[0]
    )


def msgspec_equal(expected: Judgement, found: Judgement) -> Judgement:
    """``expected`` at the time of ``found``."""
    return msgspec.structs.replace(expected, judged_at=found.judged_at)


async def test_many_keys_are_looked_up_at_once(store: VerdictStore) -> None:
    await store.put([judgement(f"text {i}") for i in range(1500)])
    assert len(await store.get([judgement(f"text {i}").key for i in range(3000)])) == 1500


async def test_usage_adds_up_by_day(store: VerdictStore) -> None:
    today = int(time.time() // DAY)
    assert await store.add_usage(today, 10, 5) == Usage(10, 5)
    assert await store.add_usage(today, -3, 2) == Usage(7, 7)
    assert await store.add_usage(today + 1, 1, 1) == Usage(1, 1)


async def test_a_closed_store_says_so(store: VerdictStore) -> None:
    await store.close()
    if isinstance(store, SqliteStore):
        with pytest.raises(StoreError):
            await store.get(["a"])
    await store.close()


async def test_old_verdicts_are_forgotten(tmp_path: Path) -> None:
    now = [1_000_000.0]
    clock, monotonic = (lambda: now[0]), (lambda: now[0] - 1000)
    store = SqliteStore(
        tmp_path / "s", max_secs=4000, max_bytes=1 << 20, clock=clock, monotonic=monotonic
    )
    await store.open()
    await store.put([judgement("a", at=now[0])])
    now[0] += 4001
    assert dict(await store.get([judgement("a").key])) == {}
    await store.put([judgement("b", at=now[0])])
    assert [one.text for one in await store.judgements()] == ["b"]
    await store.close()


async def test_a_clock_that_jumps_ahead_deletes_nothing(tmp_path: Path) -> None:
    day, wall, ran = 86_400.0, ManualClock(1e9), ManualClock()
    options = {"max_secs": day, "max_bytes": 1 << 20}
    store = SqliteStore(tmp_path / "s", **options, clock=wall, monotonic=ran)  # type: ignore[arg-type]
    await store.open()
    await store.put([judgement("a", at=wall())])
    await store.add_usage(int(wall() // day), 1000, 0)
    for clock in (wall, ran):
        clock.advance(7200)
    wall.advance(365 * day)
    await store.put([judgement("b", at=wall())])
    await store.close()
    again = SqliteStore(tmp_path / "s", **options, clock=wall, monotonic=ran)  # type: ignore[arg-type]
    await again.open()
    ran.advance(1800)
    wall.advance(1800 - 365 * day)
    assert set(await again.get([judgement("a").key])) == {judgement("a").key}
    assert (await again.add_usage(int(wall() // day), 1, 0)).tokens == 1001
    await again.close()


async def test_the_file_stays_within_its_bound_and_keeps_the_newest(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s", max_secs=1e9, max_bytes=200_000)
    await store.open()
    for batch in range(40):
        await store.put([judgement(f"{batch} {i} " + "x" * 200) for i in range(50)])
    kept = await store.judgements()
    assert 100 < len(kept) < 1000
    assert kept[-1].text.startswith("39 49 ")
    await store.close()
    assert (tmp_path / "s").stat().st_size < 400_000
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


async def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"no database at all" * 1000)
    store = SqliteStore(tmp_path / "s", max_secs=1e9, max_bytes=1 << 20)
    await store.open()
    await store.put([judgement("a")])
    assert len(await store.judgements()) == 1
    assert (tmp_path / "s.damaged").exists()
    await store.close()


async def test_a_file_that_cannot_be_opened_is_replaced_by_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store, _, _ = await open_store(LlmSettings(provider="groq", store=str(tmp_path / "file" / "s")))
    await store.put([judgement("a")])
    assert len(await store.judgements()) == 1
    await store.close()


async def test_a_full_disk_is_a_store_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s", max_secs=1e9, max_bytes=1 << 30)
    await store.open()
    assert store._db is not None
    await store._run(store._db.execute, "PRAGMA max_page_count = 12")
    with pytest.raises(StoreError):
        await store.put([judgement(f"{i}" + "x" * 1000) for i in range(100)])
    assert await store.get(["x"]) == {}
    await store.close()


async def test_another_process_may_write_at_the_same_time(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s", max_secs=1e9, max_bytes=1 << 30)
    await store.open()
    with contextlib.closing(sqlite3.connect(tmp_path / "s")) as other:
        other.execute("INSERT INTO usage VALUES (1, 5, 5)")
        other.commit()
    kept = judgement("a")
    await store.put([kept])
    assert await store.get([kept.key]) == {kept.key: kept.label}
    with contextlib.closing(sqlite3.connect(tmp_path / "s")) as other:
        assert other.execute("SELECT * FROM usage").fetchall() == [(1, 5, 5)]
    await store.close()


def test_the_default_store_is_in_the_folder_for_state(tmp_path: Path) -> None:
    assert default_path({"STATE_DIRECTORY": "/var/lib/waybill:/x"}) == Path(
        "/var/lib/waybill/llm.sqlite"
    )
    assert default_path({"XDG_STATE_HOME": "/s"}) == Path("/s/waybill/llm.sqlite")
    at_home = default_path({})
    assert at_home is not None
    assert at_home.parts[-4:] == (".local", "state", "waybill", "llm.sqlite")


async def test_redis_keeps_only_so_many(redis_url: str) -> None:
    from waybill.labelling.llm.store_redis import Redis, RedisStore

    await flush(redis_url)
    store = RedisStore(Redis(redis_url), max_secs=1000, max_bytes=6000)
    await store.put([judgement(f"{i}", at=time.time() + i / 1000) for i in range(25)])
    assert [one.text for one in await store.judgements()] == [str(i) for i in range(15, 25)]
    await store.close()


@pytest.mark.parametrize("value", [b"\xff\xfe", b"", b"[]", b"{", b'{"key":"\xff"}', b"[" * 5000])
async def test_what_something_else_wrote_costs_itself_only(redis_url: str, value: bytes) -> None:
    from waybill.labelling.llm.store_redis import PREFIX, Redis, RedisStore

    await flush(redis_url)
    redis = Redis(redis_url)
    store = RedisStore(redis, max_secs=1000, max_bytes=6000)
    await store.put([judgement("a"), judgement("b")])
    keys = [judgement(text).key for text in "ab"]
    await redis.run(redis.client.set(PREFIX + "verdict:" + keys[0], value), bool)
    assert dict(await store.get(keys)) == {keys[1]: "Workflow Error"}
    assert [one.text for one in await store.judgements()] == ["b"]
    await store.close()


async def test_nodes_share_verdicts_and_the_days_tokens(
    opening: Opening, standin: Standin, redis_url: str
) -> None:
    await flush(redis_url)
    options = {"store": redis_url, "nodes": 2, "reply_tokens": 100, "tokens_per_day": 3000}
    async with opening(**options) as one, opening(**options) as two:
        assert (
            await one.label("alpha failed")
            == await two.label("alpha failed")
            == [("Workflow Error", "llm", None)]
        )
        assert len(standin.calls) == 1
        reasons = [
            (await node.label(f"{word} failed"))[0][2]
            for word in WORDS[1:11]
            for node in (one, two)
        ]
    assert "llm_day_tokens" in reasons
    used = sum(
        node.metric("tokens_total", direction=way) for node in (one, two) for way in ("in", "out")
    )
    assert 1500 < used <= 3000


async def test_nodes_share_one_rate_window(redis_url: str) -> None:
    from waybill.labelling.llm.store_redis import Redis
    from waybill.labelling.llm.window_redis import RedisWindow

    await flush(redis_url)
    redis = Redis(redis_url)
    nodes = [RedisWindow(redis, 3, 5, LocalWindow(1)) for _ in range(2)]
    waits = [await nodes[i % 2].enter(str(i)) for i in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert all(60 < wait <= 65 for wait in waits[3:])
    await nodes[0].leave("0", was_made=False)
    assert await nodes[1].enter("5") == 0
    for call in ("1", "2", "5"):
        await nodes[0].leave(call, was_made=True)
    assert 59 < await nodes[0].enter("6") <= 60
    await redis.close()


async def test_without_redis_each_node_falls_back_to_its_share(
    opening: Opening, standin: Standin
) -> None:
    pytest.importorskip("redis")
    async with opening(
        store="redis://127.0.0.1:9/0", requests_per_minute=2, nodes=2, pack_messages=1
    ) as bench:
        assert await bench.label("alpha failed") == [("Workflow Error", "llm", None)]
        assert bench.metric("store_errors_total", reason="redis") > 0
        assert (await bench.label("bravo failed"))[0][1] == "pending"
    assert len(standin.calls) == 1
