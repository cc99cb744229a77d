"""What pages cost for many patterns, by counts: no question reads whole patterns one by one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.conftest import pattern, share
from waybill.web.store.database import Database
from waybill.web.store.facets import facets, moved_since
from waybill.web.store.filters import Filter, gathered, predicate, read_filter
from waybill.web.store.queries import (
    alike_counts,
    list_ids,
    list_patterns,
    patterns_reading,
    patterns_where,
)
from waybill.web.store.queue import Asked, read_queue
from waybill.web.store.recording import NodeAnswer, record_answer
from waybill.web.store.source_sums import labels_of_sources, source_rows, sum_sources
from waybill.web.store.trends import moves

NOW = time.time()
#: Tables that grow with patterns and sidecars.
WIDE = ("SCAN patterns", "SCAN hours", "SCAN node_counts", "SCAN label_changes")
QUERIES = [
    "", "q=zone", "q=nothing", "state=undecided", "state=unsure,corrected", "state=new,mixed",
    "label=Error&sort=-seen", "label=-Error&sort=label", "source=src-*", "source=-src-1",
    "node=n-*&rule=a*", "group=0&sort=-sure", "alike=x", "tier=rule&until=1795210000",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    """A store with some patterns."""
    path = tmp_path_factory.mktemp("scale") / "store.db"
    Database(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    told = []
    for number in range(200):
        label = ("Error", "Unclassified", "User Action")[number % 3]
        mask = f"zone {'x' * number} failed"
        told.append(pattern(mask, share(label, 9), count=9, at=NOW, sources={f"src-{number}": 9}))
    record_answer(connection, NodeAnswer("n-1", NOW, told))
    sum_sources(connection, NOW)
    return connection


def scans(store: sqlite3.Connection, ask: Callable[[], object]) -> list[str]:
    """Steps of the plans of all that ``ask`` asks that read whole patterns, or hours, in turn."""
    asked: list[str] = []
    store.set_trace_callback(asked.append)
    ask()
    store.set_trace_callback(None)
    found = []
    for sql in asked:
        if not sql.startswith(("SELECT", "WITH", "INSERT")):
            continue
        for row in store.execute(f"EXPLAIN QUERY PLAN {sql}"):
            step = row["detail"]
            if step.startswith(WIDE) and "COVERING INDEX" not in step:
                found.append(f"{step}: {sql}")
    assert asked
    return found


def read(query: str) -> Filter:
    """The filter of a query string."""
    pairs = [(name, value) for name, _, value in (one.partition("=") for one in query.split("&"))]
    return read_filter(dict(pairs), pairs)


@pytest.mark.parametrize("query", QUERIES)
def test_no_list_reads_whole_patterns_in_turn(store: sqlite3.Connection, query: str) -> None:
    def ask() -> None:
        wanted = gathered(store, read(query))
        page = list_patterns(store, wanted, NOW, 0.6)
        facets(store, wanted, NOW, 0.6)
        moved_since(store, wanted, NOW, 0.6, NOW - 60)
        list_ids(store, wanted, NOW, 0.6)
        where = predicate(wanted, NOW, 0.6)
        alike_counts(store, where, page.rows)
        patterns_where(store, where, 10)

    assert scans(store, ask) == []


def test_no_page_reads_whole_patterns_in_turn(store: sqlite3.Connection) -> None:
    def ask() -> None:
        moves(store, NOW, 5)
        for name in ("undecided", "unsure", "new", "second", "disagree"):
            read_queue(store, name, Asked("ann", NOW, NOW, 0.6))
        patterns_reading(store, ["zone", "failed"], 3)

    assert scans(store, ask) == []


def test_sources_are_read_of_their_sums_page_by_page(store: sqlite3.Connection) -> None:
    asked: list[str] = []
    store.set_trace_callback(asked.append)
    seen: list[str] = []
    after = ""
    while not seen or after:
        page = source_rows(store, 30, after)
        found = [row["source"] for row in page.rows]
        assert all(labels_of_sources(store, found).values())
        seen += found
        after = page.after
    store.set_trace_callback(None)
    assert len(seen) == len(set(seen)) == 200
    assert all("source_sums" in sql and "patterns p" not in sql for sql in asked)


def test_one_text_is_looked_for_once(store: sqlite3.Connection) -> None:
    asked: list[str] = []
    store.set_trace_callback(asked.append)
    wanted = gathered(store, read("q=ZONE&source=src-*"))
    list_patterns(store, wanted, NOW, 0.6)
    facets(store, wanted, NOW, 0.6)
    store.set_trace_callback(None)
    assert wanted.gathered == 200
    assert sum("instr(" in sql for sql in asked) == 1
    assert sum("GLOB" in sql for sql in asked) == 1


def test_what_a_node_says_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    store = sqlite3.connect(path)
    store.row_factory = sqlite3.Row
    told = [pattern(f"message {'x' * i}", count=7, at=NOW, since=1.0) for i in range(50)]
    assert record_answer(store, NodeAnswer("n", NOW, told)) == 50
    written = store.total_changes
    assert record_answer(store, NodeAnswer("n", NOW + 15, told)) == 0
    assert store.total_changes == written
    more = pattern("message ", count=9, at=NOW + 20, since=1.0)
    assert record_answer(store, NodeAnswer("n", NOW + 30, [more, *told[1:]])) == 1
    (counted,) = store.execute("SELECT sum(count) FROM hours").fetchone()
    assert counted == 50 * 7 + 2
    store.close()
