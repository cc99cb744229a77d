"""Real stores: labelled records are found by their label, and a batch that was sent twice is one
document where the store knows ids.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.conftest import running
from tests.peers.catalogue import OPENSEARCH, VICTORIA_LOGS
from tests.peers.conftest import Find
from tests.peers.process import Process, answers
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "deploy" / "elasticsearch" / "index-template.json"
KIBANA = ROOT / "deploy" / "kibana" / "waybill.ndjson"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MESSAGES = (
    "GET /cart HTTP/1.1 status: 503",
    "Accepted password for root from 10.0.0.1 port 22 ssh2",
    "kernel panic - not syncing: Fatal exception",
    "disk usage of /var is at 93%",
)
Record = dict[str, Any]


async def labelled() -> list[Record]:
    """100 records as they leave Waybill."""
    records = [{"n": i, "source": "shop", "log": MESSAGES[i % len(MESSAGES)]} for i in range(100)]
    body = "".join(json.dumps(record) + "\n" for record in records).encode()
    async with running("model.path=null", "fields.record_id=waybill_id") as sidecar:
        status, answer, _ = await sidecar.post(body)
    assert status == 200
    return [json.loads(line) for line in answer.splitlines()]


def by_label(records: list[Record]) -> Counter[str]:
    return Counter(record["target_label"] for record in records)


async def until(get: Callable[[], Any], wanted: object) -> None:
    """Wait until ``await get()`` is ``wanted``: stores answer a moment after they took."""
    found = None
    for _ in range(100):
        found = await get()
        if found == wanted:
            return
        await asyncio.sleep(0.2)
    assert found == wanted


class Store:
    """A store's address and a client for it."""

    def __init__(self, address: str, client: aiohttp.ClientSession) -> None:
        self.address = address
        self._client = client

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """The answer's body; a status other than 2xx fails the test."""
        kind = headers.get("content_type", "application/json")
        async with self._client.request(
            method, self.address + path, data=body, headers={"Content-Type": kind}
        ) as reply:
            answer = await reply.read()
            assert reply.status < 300, answer[:2000]
        return answer


def bulk(records: list[Record], time: str) -> bytes:
    """As the shippers' Elasticsearch outputs write it, with Waybill's id as the document's."""
    lines = []
    for record in records:
        lines.append(json.dumps({"create": {"_index": "waybill-1", "_id": record["waybill_id"]}}))
        lines.append(json.dumps(record | {"@timestamp": time}))
    return ("\n".join(lines) + "\n").encode()


async def test_opensearch_finds_records_by_label_and_keeps_one_of_two(
    program: Find, tmp_path: Path
) -> None:
    binary = program(OPENSEARCH)
    records = await labelled()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(binary), str(tmp_path), str(port)]
    async with (
        Process(command, tmp_path, lambda: answers(f"{address}/_cluster/health")),
        aiohttp.ClientSession() as client,
    ):
        store = Store(address, client)
        await store.call("PUT", "/_index_template/waybill", TEMPLATE.read_bytes())
        first = json.loads(
            await store.call("POST", "/_bulk", bulk(records, "2026-11-26T10:00:00Z"))
        )
        assert not first["errors"], first["items"][0]
        again = json.loads(
            await store.call("POST", "/_bulk", bulk(records, "2026-11-26T10:00:00Z"))
        )
        assert {item["create"]["status"] for item in again["items"]} == {409}
        await store.call("POST", "/waybill-1/_refresh")
        query = {"size": 0, "aggs": {"labels": {"terms": {"field": "target_label"}}}}
        said = json.loads(
            await store.call("POST", "/waybill-1/_search", json.dumps(query).encode())
        )
        buckets = said["aggregations"]["labels"]["buckets"]
        assert {one["key"]: one["doc_count"] for one in buckets} == by_label(records)
        for label, wanted in by_label(records).items():
            query = {"size": 100, "query": {"term": {"target_label": label}}}
            said = json.loads(
                await store.call("POST", "/waybill-1/_search", json.dumps(query).encode())
            )
            labels = [hit["_source"]["target_label"] for hit in said["hits"]["hits"]]
            assert labels == [label] * wanted


def saved(kind: str) -> list[Record]:
    """The attributes of each object of ``kind`` that is imported into Kibana."""
    objects = map(json.loads, KIBANA.read_text().splitlines())
    return [one["attributes"] for one in objects if one["type"] == kind]


def asked_by(search: Record) -> Record:
    """What Kibana asks for a saved search; our few words of KQL are Lucene's but for the signs."""
    source = json.loads(search["kibanaSavedObjectMeta"]["searchSourceJSON"])
    text = source["query"]["query"].replace(" < ", ":<").replace(" and ", " AND ")
    query = {"query_string": {"query": re.sub(r":\s+", ":", text)}}
    return {"size": 200, "query": query, "sort": [dict(search["sort"])]}


def aggregations_of(chart: Record) -> Record:
    """What Kibana asks for a chart: its buckets, each in the one before."""
    asked: Record = {}
    for one in reversed(json.loads(chart["visState"])["aggs"]):
        given = one["params"]
        if one["type"] == "terms":
            asked = {
                "aggs": {"by": {"terms": {"field": given["field"], "size": given["size"]}} | asked}
            }
        elif one["type"] == "date_histogram":
            every = {"field": given["field"], "fixed_interval": "1h"}
            asked = {"aggs": {"by": {"date_histogram": every} | asked}}
    return {"size": 0} | asked


def counts_in(buckets: list[Record]) -> Counter[str]:
    """Documents by the key of the innermost buckets."""
    found: Counter[str] = Counter()
    for bucket in buckets:
        found += (
            counts_in(bucket["by"]["buckets"])
            if "by" in bucket
            else Counter({str(bucket["key"]): bucket["doc_count"]})
        )
    return found


async def test_opensearch_answers_what_saved_searches_and_charts_ask(
    program: Find, tmp_path: Path
) -> None:
    binary = program(OPENSEARCH)
    records = await labelled()
    doubtful = {"target_label": "Error", "label_tier": "model", "label_confidence": 0.41}
    sure = doubtful | {"label_confidence": 0.97, "label_rule": "default@1"}
    records += [
        one | {"log": "?", "waybill_id": name} for name, one in (("a", doubtful), ("b", sure))
    ]
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    async with (
        Process(
            [str(binary), str(tmp_path), str(port)],
            tmp_path,
            lambda: answers(f"{address}/_cluster/health"),
        ),
        aiohttp.ClientSession() as client,
    ):
        store = Store(address, client)
        await store.call("PUT", "/_index_template/waybill", TEMPLATE.read_bytes())
        await store.call("POST", "/_bulk?refresh=true", bulk(records, "2026-11-26T10:00:00Z"))
        (view,) = saved("index-pattern")

        async def ask(query: Record) -> Record:
            path = f"/{view['title']}/_search"
            answer: Record = json.loads(await store.call("POST", path, json.dumps(query).encode()))
            return answer

        expected = by_label(records)
        searches = {one["title"].removeprefix("Waybill: "): one for one in saved("search")}
        for label, search in searches.items():
            found = [hit["_source"] for hit in (await ask(asked_by(search)))["hits"]["hits"]]
            if label == "labelled with low confidence":
                assert [one["waybill_id"] for one in found] == ["a"]
            else:
                assert by_label(found) == Counter({label: expected[label]}) or not expected[label]
                assert len(found) == expected[label]
        assert set(expected) <= set(searches)
        rules = Counter(one["label_rule"] for one in records if "label_rule" in one)
        text = documented("Elasticsearch, OpenSearch")
        hits = (await ask({"query": {"query_string": {"query": text}}, "size": 200}))["hits"][
            "hits"
        ]
        assert len(hits) == expected["Critical Error"]
        for chart in saved("visualization"):
            said = await ask(aggregations_of(chart))
            wanted = rules if "rules" in chart["title"] else expected
            assert counts_in(said["aggregations"]["by"]["buckets"]) == wanted, chart["title"]


@pytest.fixture(name="victoria")
def _victoria(program: Find) -> Path:
    return program(VICTORIA_LOGS)


def start_victoria(binary: Path, folder: Path, port: int) -> Process:
    command = [
        str(binary),
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
    ]
    return Process(command, folder, lambda: answers(f"http://127.0.0.1:{port}/health"))


async def count(store: Store, query: str) -> int:
    body = f"query={query} | stats count() as n".encode()
    said = await store.call(
        "POST", "/select/logsql/query", body, content_type="application/x-www-form-urlencoded"
    )
    return int(json.loads(said)["n"])


async def test_a_loki_store_finds_streams_by_label(victoria: Path, tmp_path: Path) -> None:
    records = await labelled()
    port = free_port()
    streams: dict[str, list[list[str]]] = {}
    for record in records:
        moment = str(1_795_210_000_000_000_000 + record["n"])
        streams.setdefault(record["target_label"], []).append([moment, record["log"]])
    push = {
        "streams": [
            {"stream": {"job": "waybill", "target_label": label}, "values": values}
            for label, values in streams.items()
        ]
    }
    async with start_victoria(victoria, tmp_path, port), aiohttp.ClientSession() as client:
        store = Store(f"http://127.0.0.1:{port}", client)
        await store.call("POST", "/insert/loki/api/v1/push", json.dumps(push).encode())
        for label, expected in by_label(records).items():

            async def found(label: str = label) -> int:
                return await count(store, f'{{target_label="{label}"}}')

            await until(found, expected)
        asked = documented("VictoriaLogs")
        said = await store.call(
            "POST",
            "/select/logsql/query",
            urlencode({"query": asked}).encode(),
            content_type="application/x-www-form-urlencoded",
        )
        wanted = by_label(records)["Critical Error"]
        assert json.loads(said) == {"target_label": "Critical Error", "records": str(wanted)}


def documented(store: str) -> str:
    """The query by label that docs/labels.md gives for ``store``."""
    page = (ROOT / "docs" / "labels.md").read_text()
    (found,) = re.findall(rf"^\| {re.escape(store)}[^|]*\| `(.+)` \|$", page, re.MULTILINE)
    return str(found).replace("\\|", "|")


async def test_an_elasticsearch_store_without_ids_finds_a_batch_twice(
    victoria: Path, tmp_path: Path
) -> None:
    records = await labelled()
    port = free_port()
    async with start_victoria(victoria, tmp_path, port), aiohttp.ClientSession() as client:
        store = Store(f"http://127.0.0.1:{port}", client)
        path = "/insert/elasticsearch/_bulk?_stream_fields=source&_msg_field=log"
        for _ in range(2):
            await store.call("POST", path + "&_time_field=@timestamp",
                             bulk(records, "2026-11-26T10:00:00Z"))  # fmt: skip
        for label, expected in by_label(records).items():

            async def found(label: str = label) -> int:
                return await count(store, f'target_label:"{label}"')

            # It keeps what it is sent, as often as it is sent: its queries deduplicate by id.
            await until(found, 2 * expected)
        assert await unique(store) == len(records)


async def unique(store: Store) -> int:
    body = b"query=* | stats count_uniq(waybill_id) as n"
    said = await store.call(
        "POST", "/select/logsql/query", body, content_type="application/x-www-form-urlencoded"
    )
    return int(json.loads(said)["n"])
