"""The canary against a real sidecar, with every way that records can come out of a pipeline, and go
wrong in it.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from tests.conftest import Running
from tests.serving import serving
from tests.support.ports import free_port
from waybill.cli.canary import outlets
from waybill.cli.canary.audit import audit
from waybill.cli.canary.command import plan_of
from waybill.cli.canary.ledger import Ledger
from waybill.cli.canary.plan import CanaryPlan
from waybill.cli.main import main, make_parser
from waybill.core.errors import WaybillError

OVERRIDES = ("model.path=null",)


def given(to: str, **changes: Any) -> CanaryPlan:
    values: dict[str, Any] = {
        "records": 200,
        "rate": 2000.0,
        "batch": 20,
        "wait_secs": 10.0,
        "settle_secs": 0.2,
    }
    return CanaryPlan(**(values | {"to": to, "connect_secs": 30.0} | changes))


async def test_records_in_the_answer(running: Running) -> None:
    async with running(*OVERRIDES) as sidecar:
        report = await audit(given(f"{sidecar.service.address}/v1/label"))
    assert report.is_fine
    assert (report.sent, report.acknowledged, report.back, report.duplicate) == (200, 200, 200, 0)
    assert report.labels == {"User Action": 200}
    assert (
        0 < report.latency_secs["p50"] <= report.latency_secs["p99"] <= report.latency_secs["max"]
    )


async def test_records_by_way_of_an_agent(running: Running) -> None:
    """The agent behind Waybill sends each third body twice, turns the order of some round, and adds
    a field.
    """
    chance = random.Random(5)
    port = free_port()
    async with aiohttp.ClientSession() as client:

        async def agent(request: web.Request) -> web.Response:
            body = await request.read()
            records = [json.loads(line) for line in body.splitlines()]
            if chance.random() < 0.5:
                records.reverse()
            for record in records:
                record["cluster"] = "test"
            out = b"".join(orjson.dumps(record) for record in records)
            for _ in range(2 if chance.random() < 0.3 else 1):
                async with client.post(f"http://127.0.0.1:{port}/any", data=out) as reply:
                    assert reply.status == 200
            return web.Response()

        async with serving(agent) as address:
            push = ("return.type=http", f"return.url={address}/", "return.format=ndjson")
            async with running(*OVERRIDES, *push) as sidecar:
                to = f"{sidecar.service.address}/v1/label"
                report = await audit(given(to, listen=f"127.0.0.1:{port}"))
    assert report.is_fine
    assert report.back == 200
    assert report.duplicate > 0
    assert report.out_of_order > 0


async def test_what_goes_wrong_is_told_apart() -> None:
    """A deployment that loses number 3, changes 4, leaves 5 without a label, and first is not
    there.
    """
    answers = iter([503, 429])

    async def broken(request: web.Request) -> web.Response:
        if (status := next(answers, 200)) != 200:
            return web.Response(status=status)
        records = json.loads(await request.read())
        for record in records:
            if record["canary_number"] != 5:
                record["target_label"] = "User Action"
            if record["canary_number"] == 4:
                record["log"] += "!"
        return web.json_response([record for record in records if record["canary_number"] != 3])

    async with serving(broken) as address:
        report = await audit(given(address, records=40))
    assert not report.is_fine
    assert (report.missing, report.altered, report.unlabelled, report.attempts_refused) == (
        1,
        1,
        1,
        2,
    )
    assert (report.sent, report.acknowledged, report.back) == (40, 40, 39)


async def test_every_labelling_must_be_there() -> None:
    async def answer(request: web.Request) -> web.Response:
        records = json.loads(await request.read())
        for record in records:
            record["target_label"] = "User Action"
            if record["canary_number"]:
                record["severity"] = "Low"
        return web.json_response(records)

    async with serving(answer) as address:
        words = ["--label-field", "target_label", "--label-field", "severity"]
        asked = make_parser().parse_args(["canary", "--to", address, "--records=20", *words])
        report = await audit(plan_of(asked))
    assert (report.unlabelled, report.back, report.is_fine) == (1, 20, False)
    assert report.labels == {"User Action": 20}
    assert report.further_labels == {"severity": {"Low": 19}}


async def test_late_records_and_those_that_never_come() -> None:
    async def nowhere(_: web.Request) -> web.Response:
        return web.Response(status=204)

    async with serving(nowhere) as address:
        report = await audit(given(address, records=20, listen="127.0.0.1:0", wait_secs=0.3))
        assert (report.missing, report.back) == (20, 0)
        with pytest.raises(WaybillError, match="say where they come out"):
            await audit(given(address))
    ledger = Ledger("User User{number} logged in.", ["target_label"], -1.0)
    (record,) = ledger.next_batch(1)
    ledger.see(record | {"target_label": "User Action"})
    assert ledger.close().late == 1


async def test_an_address_where_nobody_is_ends_the_run_and_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    with pytest.raises(WaybillError, match=r"nothing was taken in 0\.3 s: .*onnect"):
        await audit(given(f"http://127.0.0.1:{port}", connect_secs=0.3))
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("status", [400, 401, 404, 413])
async def test_an_answer_that_makes_shippers_drop_ends_the_run(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="no")

    async with serving(refuse) as address:
        with pytest.raises(WaybillError, match=str(status)):
            await audit(given(address))
        with pytest.raises(OSError, match="address"):
            await audit(given(address, listen=address.removeprefix("http://")))


class Store:
    """What Waybill handed back, as Loki or Elasticsearch would show it, after a while and in pages."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.startswith("/labelled") or request.path == "/push":
            self.records += [json.loads(line) for line in (await request.read()).splitlines()]
            return web.Response()
        if request.path == "/loki/api/v1/query_range":
            return self.loki(dict(request.query))
        assert request.path == "/logs/_search"
        return self.elasticsearch(json.loads(await request.read()))

    def loki(self, query: dict[str, str]) -> web.Response:
        self.asked.append(dict(query))
        if len(self.asked) == 1:
            return web.Response(status=503)
        values = [[f"{i}", json.dumps(record)] for i, record in enumerate(self.records)]
        stream = {"stream": {"target_label": "User Action"}, "values": values}
        return web.json_response(
            {"status": "success", "data": {"resultType": "streams", "result": [stream]}}
        )

    def elasticsearch(self, body: dict[str, Any]) -> web.Response:
        self.asked.append(body)
        if len(self.asked) == 1:
            return web.Response(status=404, text="no such index yet")
        after = body.get("search_after", [-1])[0]
        found = sorted(r["canary_number"] for r in self.records if r["canary_number"] > after)[:70]
        by_number = {record["canary_number"]: record for record in self.records}
        hits = [{"_source": by_number[number], "sort": [number]} for number in found]
        return web.json_response({"hits": {"hits": hits}})


@pytest.mark.parametrize("kind", ["loki", "elasticsearch"])
async def test_records_are_found_in_a_store(
    running: Running, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(outlets, "_ASK_SECS", 0.05)
    store = Store()
    async with (
        serving(store.handle) as address,
        running(*OVERRIDES, "return.type=http", f"return.url={address}/push") as sidecar,
    ):
        where = address if kind == "loki" else f"{address}/logs"
        report = await audit(given(f"{sidecar.service.address}/v1/label", **{kind: where}))
    assert report.is_fine
    assert (report.back, report.duplicate) == (200, 0)
    assert report.run in json.dumps(store.asked[0])


async def test_a_store_that_refuses_the_question_ends_the_run() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=204 if request.path == "/" else 400, text="parse error")

    async with serving(refuse) as address:
        with pytest.raises(WaybillError, match="parse error"):
            await audit(given(address, loki=address))


async def test_the_command_prints_the_report(
    running: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# for the canary\nfirst-token-of-16\nother\n")
    async with running(*OVERRIDES, f"http.tokens_file={tokens}") as sidecar:
        to = f"--to={sidecar.service.address}/v1/label"
        flags = ["canary", to, "--records=30", "--rate=1000", f"--token-file={tokens}"]
        assert await asyncio.to_thread(main, flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["sent"], report["back"], report["missing"]) == (30, 30, 0)


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_text(content)
    assert main(["canary", "--to=https://127.0.0.1:1/v1/label", f"--ca-file={file}"]) == 2
    said = capsys.readouterr().err
    assert f"--ca-file: {file} is not a PEM file of certificates: " in said
