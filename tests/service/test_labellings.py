"""Two labellings in one running sidecar: each way in, each report, each reload."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.conftest import Running, Sidecar
from tests.taxonomies import SEVERITY_YAML
from waybill.core.pattern import Pattern, decode
from waybill.learn.recorded import read_recorded

RULES = """\
rules:
  - {id: down, label: High, pattern: 'is down', fields: {team: ops}, match: ['disk is down']}
"""


#: Of the first labelling; the shipped ones take long to compile for each further one.
FIRST = "rules: [{id: login, label: User Action, pattern: 'logged in'}]"


@pytest.fixture(name="labelling")
def _labelling(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "a.yaml").write_text(FIRST)
    (tmp_path / "labels.yaml").write_text(SEVERITY_YAML)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    further = f"labellings=[{{name: severity, pack: '{tmp_path}'}}]"
    return f"rules.path={tmp_path / 'first'}", further


async def test_both_labels_come_by_every_way(running: Running, labelling: tuple[str, str]) -> None:
    async with running("model.path=null", *labelling) as sidecar:
        _, body, _ = await sidecar.post(b'[{"log":"User User1 logged in."},{"log":"a is down"}]')
        first, second = json.loads(body)
        assert (first["target_label"], first["severity"]) == ("User Action", "Unclassified")
        assert first["severity_reason"] == "model_disabled"
        assert (second["severity"], second["severity_rule"], second["team"]) == (
            "High",
            "down",
            "ops",
        )
        entry = msgpack.packb([1, {"log": "b is down"}])
        _, body, _ = await sidecar.post(entry, **{"Content-Type": "application/msgpack"})
        assert msgpack.unpackb(body)[1]["severity"] == "High"
        _, body, _ = await sidecar.post(b'{"log":"c is down","severity":"mine"}')
        assert json.loads(body)["severity"] == "mine"
        async with sidecar.client.post(
            f"{sidecar.service.address}/v1/classify/csv",
            data="source,log_message\na,it is down\n",
            headers={"Content-Type": "text/csv"},
        ) as answer:
            head, row = (await answer.text()).splitlines()
        cells = dict(zip(head.split(","), row.split(","), strict=True))
        assert (cells["severity"], cells["severity_rule"]) == ("High", "down")
        assert (
            sidecar.metric(
                "waybill_labelling_records_labelled_total",
                labelling="severity",
                tier="rule",
                label="High",
            )
            == 3
        )
        assert sidecar.metric("waybill_labelling_records_kept_total", labelling="severity") == 1
        assert sidecar.metric("waybill_labelling_rules_loaded", labelling="severity") == 1


async def test_explain_tells_of_each(running: Running, labelling: tuple[str, str]) -> None:
    async with running("model.path=null", *labelling) as sidecar:
        async with sidecar.client.post(
            f"{sidecar.service.address}/v1/explain", json={"message": "a is down"}
        ) as answer:
            found = await answer.json()
        assert found["label"] == "Unclassified"
        severity = found["labellings"]["severity"]
        assert (severity["field"], severity["label"], severity["rule"]) == (
            "severity",
            "High",
            "down",
        )


async def test_rules_of_each_are_loaded_anew_by_themselves(
    running: Running, labelling: tuple[str, str], tmp_path: Path
) -> None:
    async with running("model.path=null", *labelling) as sidecar:
        before = sidecar.service.opened.pipeline.rules
        file = tmp_path / "rules" / "a.yaml"
        file.write_text(RULES.replace("High", "Low"))
        await sidecar.service.reloader.reload()
        _, body, _ = await sidecar.post(b'{"log":"a is down"}')
        assert json.loads(body)["severity"] == "Low"
        assert sidecar.service.opened.pipeline.rules is before
        file.write_text(RULES.replace("High", "Hihg"))
        await sidecar.service.reloader.reload()
        _, body = await sidecar.get("/readyz")
        report = json.loads(body)
        assert "Hihg" in report["severity.rules"]["refused"][0]
        assert report["rules"]["refused"] == []
        await asyncio.sleep(0)


async def test_every_fault_is_told_with_its_labelling(
    running: Running, labelling: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "rules" / "a.yaml").write_text(RULES.replace("is down'", "(down'"))
    with pytest.raises(Exception, match=r"labelling severity: .*a.yaml") as raised:
        async with running("model.path=null", *labelling):
            pass
    assert "rule 'down'" in str(raised.value)


async def test_corrections_belong_to_one_labelling(
    running: Running, labelling: tuple[str, str], tmp_path: Path
) -> None:
    async with running(
        "model.path=null", *labelling, f"corrections.path={tmp_path / 'c.ndjson'}"
    ) as sidecar:

        async def say(**said: str) -> tuple[int, dict[str, object]]:
            status, answer, _ = await sidecar.post(json.dumps(said).encode(), "/v1/corrections")
            return status, json.loads(answer)

        async def labels() -> tuple[str, str]:
            _, body, _ = await sidecar.post(b'{"log":"zonk 7 is zinked"}')
            record = json.loads(body)
            return record["target_label"], record["severity"]

        tag = (await sidecar.client.get(f"{sidecar.service.address}/v1/corrections")).headers
        before = await labels()
        status, answer = await say(message="zonk 3 is zinked", label="High", labelling="severity")
        assert (status, answer["in_force"], answer["labelling"]) == (201, True, "severity")
        assert await labels() == (before[0], "High")
        await say(message="zonk 3 is zinked", label="Error")
        assert await labels() == ("Error", "High")
        assert sidecar.metric("waybill_corrections_loaded", labelling="severity") == 1
        now = (await sidecar.client.get(f"{sidecar.service.address}/v1/corrections")).headers
        assert now["ETag"] != tag["ETag"]
        assert (await say(withdraws=str(answer["id"])))[1]["in_force"] is True
        assert await labels() == ("Error", before[1])
        status, answer = await say(message="m", label="High", labelling="team")
        assert (status, answer["reason"]) == (400, "fields")
        assert "severity" in str(answer["detail"])
        status, answer = await say(message="m", label="High")
        assert (status, answer["reason"]) == (400, "label")
        assert str(answer["detail"]).endswith('add "labelling": "severity"')


async def ask(sidecar: Sidecar, path: str) -> Any:
    status, body = await sidecar.get(path)
    assert status == 200, body
    return json.loads(body)


async def patterns(sidecar: Sidecar, query: str) -> dict[str, Pattern]:
    status, body = await sidecar.get(f"/v1/patterns?{query}")
    assert status == 200, body
    return {one.mask: one for one in map(decode, body.splitlines())}


async def test_patterns_and_sources_tell_of_each(
    running: Running, labelling: tuple[str, str]
) -> None:
    settings = ("model.path=null", *labelling, "patterns.learn_secs=0.000001")
    async with running(*settings) as sidecar:
        await asyncio.sleep(1.1)  # moments of patterns are whole seconds
        records = [{"source": "db", "log": f"disk {number} is down"} for number in range(6)]
        records.append({"source": "db", "log": "User User1 logged in."})
        await sidecar.post(json.dumps(records).encode())
        first = await patterns(sidecar, "")
        severity = await patterns(sidecar, "labelling=severity")
        assert {one.id for one in first.values()} == {one.id for one in severity.values()}
        down = severity["disk 0 is down"]
        assert (down.label, down.count, down.labelling) == ("High", 6, "severity")
        assert first["disk 0 is down"].labelling == ""
        assert first["disk 0 is down"].label == "Unclassified"
        named = await patterns(sidecar, "labelling=severity&label=High")
        assert list(named) == ["disk 0 is down"]
        told = await ask(sidecar, "/v1/sources?labelling=severity")
        (source,) = told["sources"]
        assert source["labels"] == {"High": 6, "Unclassified": 1}
        await sidecar.get("/metrics")
        metric = sidecar.metric
        new = "waybill_labelling_patterns_new_total"
        assert metric(new, labelling="severity", label="High") == 1
        assert metric("waybill_patterns_new_total", label="Unclassified") == 1
        assert metric("waybill_labelling_patterns", labelling="severity") == 2
        read = await asyncio.to_thread(list, read_recorded(sidecar.service.address, "severity"))
        assert {one.labelling for one in read} == {"severity"}


async def test_sources_of_each_have_metrics(running: Running, labelling: tuple[str, str]) -> None:
    async with running("model.path=null", *labelling) as sidecar:
        await sidecar.post(b'[{"source":"db","log":"disk 1 is down"}]')
        await sidecar.get("/metrics")
        found = sidecar.metric(
            "waybill_labelling_source_records_total",
            labelling="severity",
            source="db",
            label="High",
        )
        assert found == 1


async def test_rules_and_edition_tell_of_each(running: Running, labelling: tuple[str, str]) -> None:
    async with running("model.path=null", *labelling) as sidecar:
        (rule,) = (await ask(sidecar, "/v1/rules?labelling=severity"))["rules"]
        assert (rule["id"], rule["label"]) == ("down", "High")
        asked = {
            "labelling": "severity",
            "rules": "rules: [{id: up, label: Low, pattern: 'is (down|up)'}]",
            "messages": ["a is down"],
        }
        async with sidecar.client.post(
            f"{sidecar.service.address}/v1/rules/test", json=asked
        ) as answer:
            tried = await answer.json()
        assert tried["changed"] == [{"message": 0, "from": "High", "to": "Low"}]
        del asked["labelling"]
        path = f"{sidecar.service.address}/v1/rules/test"
        async with sidecar.client.post(f"{path}?labelling=severity", json=asked) as answer:
            assert await answer.json() == tried
        asked["labelling"] = "other"
        async with sidecar.client.post(f"{path}?labelling=severity", json=asked) as answer:
            assert (await answer.json())["reason"] == "fields"
        edition = await ask(sidecar, "/v1/edition")
        severity = edition["labellings"]["severity"]
        assert severity["labels"]["labels"] == ["High", "Low", "Unclassified"]
        assert severity["rules"]["version"] != edition["rules"]["version"]


async def test_a_labelling_that_is_not_there_is_answered_with_those_that_are(
    running: Running, labelling: tuple[str, str]
) -> None:
    async with running("model.path=null", *labelling) as sidecar:
        of = "labelling=sevrity"
        answers = [await sidecar.get(f"/v1/{one}?{of}") for one in ("patterns", "sources", "rules")]
        posted: dict[str, dict[str, str]] = {
            "rules/test": {"rules": ""},
            "corrections": {"message": "a", "label": "High"},
        }
        for path, asked in posted.items():
            async with sidecar.client.post(
                f"{sidecar.service.address}/v1/{path}", json={"labelling": "sevrity", **asked}
            ) as answer:
                answers.append((answer.status, await answer.read()))
        for status, body in answers:
            problem = json.loads(body)
            assert (status, problem["reason"]) == (400, "fields"), problem
            assert "'sevrity' is not one of the labellings here: severity" in problem["detail"]
    async with running("model.path=null") as sidecar:
        _, body = await sidecar.get("/v1/patterns?labelling=severity")
        assert "none but the first, which needs no name" in json.loads(body)["detail"]
