"""Rules and model follow their folders, whole versions only, while traffic goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import shutil
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Running, Sidecar
from tests.patience import patience, until
from waybill.core.child import Ended, run_child
from waybill.labelling.rules import loading
from waybill.service.signals import until_stopped

BUNDLE = Path(__file__).parents[2] / "models" / "default"


class ConfigMap:
    """A folder that changes the way the kubelet changes a ConfigMap volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._number = 0

    def update(self, files: dict[str, str]) -> None:
        """Write a new version beside the old one and swap the ``..data`` link onto it."""
        self._number += 1
        version = self.folder / f"..2026_11_20_{self._number}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        link, new = self.folder / "..data", self.folder / "..data_tmp"
        old = os.readlink(link) if link.is_symlink() else None
        new.symlink_to(version.name)
        new.replace(link)
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        if old is not None:
            shutil.rmtree(self.folder / old)


def rule(name: str) -> str:
    return f"rules:\n- {{id: {name}, label: Error, pattern: 'version'}}\n"


async def label(sidecar: Sidecar) -> tuple[str, str | None]:
    status, answer, _ = await sidecar.post(b'{"log":"version"}')
    assert status == 200
    record = json.loads(answer)
    return record["target_label"], record.get("label_rule")


async def ready(sidecar: Sidecar) -> dict[str, dict[str, object]]:
    status, answer = await sidecar.get("/readyz")
    assert status == 200
    return json.loads(answer)  # type: ignore[no-any-return]


async def test_every_version_of_a_configmap_comes_into_force_under_traffic(
    running: Running, tmp_path: Path
) -> None:
    volume = ConfigMap(tmp_path / "rules")
    volume.update({"a.yaml": rule("v0")})
    async with running(
        f"rules.path={volume.folder}", "rules.poll_secs=60", "model.path=null"
    ) as sidecar:
        seen: list[str | None] = []

        async def traffic() -> None:
            while True:
                seen.append((await label(sidecar))[1])

        task = asyncio.create_task(traffic())
        for i in range(1, 8):
            volume.update({"a.yaml": rule(f"v{i}")})
            await until(lambda i=i: seen[-1:] == [f"v{i}"])  # type: ignore[misc]
        task.cancel()
        assert [name for n, name in enumerate(seen) if n == 0 or seen[n - 1] != name] == [
            f"v{i}" for i in range(8)
        ]
        assert sidecar.metric("waybill_reloads_total", what="rules", outcome="accepted") == 8
        assert sidecar.metric("waybill_rules_loaded") == 1


async def test_twenty_swaps_under_traffic_one_broken_one_huge(
    running: Running, tmp_path: Path
) -> None:
    volume = ConfigMap(tmp_path / "rules")
    volume.update({"a.yaml": rule("v0")})
    huge = "".join(
        f"- {{id: r{i}, label: Error, pattern: 'word{i} \\\\d+ happened'}}\n" for i in range(400)
    )
    async with running(f"rules.path={volume.folder}", "model.path=null") as sidecar:
        seen: list[str | None] = []

        async def traffic() -> None:
            while True:
                seen.append((await label(sidecar))[1])  # asserts status 200
                await asyncio.sleep(0.005)

        clients = [asyncio.create_task(traffic()) for _ in range(4)]
        for i in range(1, 21):
            if i == 7:
                volume.update({"a.yaml": "rules: ["})
                await until(
                    lambda: (
                        sidecar.metric("waybill_reloads_total", what="rules", outcome="refused")
                        == 1
                    )
                )
                assert seen[-1] == "v6"
                continue
            volume.update({"a.yaml": rule(f"v{i}") + (huge if i == 13 else "")})
            await until(lambda i=i: seen[-1:] == [f"v{i}"])  # type: ignore[misc]
        assert not any(client.done() for client in clients)
        for client in clients:
            client.cancel()
        assert sidecar.metric("waybill_reloads_total", what="rules", outcome="accepted") == 20


async def test_a_broken_version_is_refused_with_its_place_and_the_old_one_stays(
    running: Running, tmp_path: Path
) -> None:
    volume = ConfigMap(tmp_path / "rules")
    volume.update({"a.yaml": rule("good")})
    async with running(f"rules.path={volume.folder}", "model.path=null") as sidecar:
        before = (await ready(sidecar))["rules"]["version"]
        for broken, expected in (
            ("rules:\n- {id: bad, label: Error, pattern: '('}", "a.yaml:2: rule 'bad'"),
            ("rules: [", "[yaml]"),
            (
                "rules:\n- {id: s, label: Error, pattern: x, match: [y]}",
                "does not match its sample 'y'",
            ),
        ):
            volume.update({"a.yaml": broken})
            problems: list[str] = []

            async def refused(problems: list[str] = problems, expected: str = expected) -> bool:
                problems[:] = (await ready(sidecar))["rules"]["refused"]  # type: ignore[call-overload]
                return any(expected in problem for problem in problems)

            while not await refused():
                await asyncio.sleep(0.02)
            assert await label(sidecar) == ("Error", "good")
            assert sidecar.metric("waybill_last_reload_successful", what="rules") == 0
        assert (await ready(sidecar))["rules"]["version"] == before
        volume.update({"a.yaml": rule("better")})
        await until(lambda: sidecar.metric("waybill_last_reload_successful", what="rules") == 1)
        assert await label(sidecar) == ("Error", "better")
        assert (await ready(sidecar))["rules"]["refused"] == []


async def test_what_a_busy_machine_did_not_compile_in_time_is_tried_again(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = ConfigMap(tmp_path / "rules")
    volume.update({"a.yaml": rule("v0")})
    async with running(
        f"rules.path={volume.folder}", "rules.poll_secs=0.2", "model.path=null"
    ) as sidecar:
        is_busy = True

        async def run(*given: str, **options: Any) -> Ended:
            if is_busy:
                raise TimeoutError
            return await run_child(*given, **options)

        monkeypatch.setattr(loading, "run_child", run)
        volume.update({"a.yaml": rule("v1")})
        refused = {"what": "rules", "outcome": "refused"}
        await until(lambda: sidecar.metric("waybill_reloads_total", **refused) > 1)
        assert "took longer than" in str((await ready(sidecar))["rules"]["refused"])
        assert (await label(sidecar))[1] == "v0"
        is_busy = False

        async def is_new() -> bool:
            return (await label(sidecar))[1] == "v1"

        await until(is_new)
        assert not (await ready(sidecar))["rules"]["refused"]


async def test_polling_alone_is_enough(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_events(*_: object, **__: object) -> None:
        raise OSError("no inotify here")

    monkeypatch.setattr("waybill.ops.watch.watchfiles.awatch", no_events)
    (tmp_path / "a.yaml").write_text(rule("old"))
    async with running(
        f"rules.path={tmp_path}", "rules.poll_secs=0.05", "model.path=null"
    ) as sidecar:
        assert await label(sidecar) == ("Error", "old")
        (tmp_path / "a.yaml").write_text(rule("new"))
        while await label(sidecar) != ("Error", "new"):
            await asyncio.sleep(0.02)


async def test_a_reload_can_be_asked_for(running: Running, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(rule("a"))
    async with running(f"rules.path={tmp_path}", "model.path=null") as sidecar:
        status, answer, _ = await sidecar.post(b"", "/-/reload")
        assert (status, json.loads(answer)["rules"]["refused"]) == (200, [])
        (tmp_path / "a.yaml").write_text("rules: 1")
        status, answer, _ = await sidecar.post(b"", "/-/reload")
        assert status == 409
        assert "expected a list" in json.loads(answer)["rules"]["refused"][0]


async def test_sighup_reloads_and_sigterm_ends(running: Running, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(rule("a"))
    async with running(f"rules.path={tmp_path}", "model.path=null") as sidecar:
        serving = asyncio.create_task(until_stopped(sidecar.service.reloader.reload))
        await asyncio.sleep(0)
        loads = sidecar.metric("waybill_reloads_total", what="rules", outcome="accepted")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(
            lambda: (
                sidecar.metric("waybill_reloads_total", what="rules", outcome="accepted") > loads
            )
        )
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


async def test_a_new_bundle_comes_into_force_and_a_broken_one_does_not(
    running: Running, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLE, folder)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("rules: []")
    async with running(f"model.path={folder}", f"rules.path={tmp_path / 'rules'}") as sidecar:
        old = (await ready(sidecar))["model"]["version"]
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["version"] = "next"
        (folder / "manifest.json").write_text(json.dumps(manifest))
        await until(lambda: sidecar.state("model").version not in (None, old))
        _, answer, _ = await sidecar.post(
            b'{"log":"ERROR could not connect to the database: connection refused"}'
        )
        assert json.loads(answer)["label_rule"].endswith("@next")
        (folder / "classifier.onnx").write_bytes(b"rubbish")
        await until(lambda: bool(sidecar.state("model").problems))
        assert "hash" in sidecar.state("model").problems[0]
        assert (await ready(sidecar))["model"]["version"] == sidecar.state("model").version
        _, answer, _ = await sidecar.post(
            b'{"log":"WARN certificate of host a expires in three days"}'
        )
        assert json.loads(answer)["label_rule"].endswith("@next")


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Without the cyclic garbage collector: a full pass comes about once an hour on a service that
    has settled.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_what_a_reload_replaced_is_freed_at_once(running: Running, tmp_path: Path) -> None:
    folder, rules = tmp_path / "model", tmp_path / "rules"
    shutil.copytree(BUNDLE, folder)
    rules.mkdir()
    (rules / "a.yaml").write_text(rule("first"))
    async with running(f"model.path={folder}", f"rules.path={rules}") as sidecar:
        pipeline = sidecar.service.opened.pipeline
        tier = sidecar.service.opened.model
        assert tier is not None
        await sidecar.post(b'[{"log":"version"},{"log":"something that only the model knows"}]')
        with no_collector():
            replaced = [
                weakref.ref(thing) for thing in (pipeline.edition, pipeline.rules, tier.bundle)
            ]
            (rules / "a.yaml").write_text(rule("second"))
            manifest = json.loads((folder / "manifest.json").read_text()) | {"version": "next"}
            (folder / "manifest.json").write_text(json.dumps(manifest))
            await until(
                lambda: pipeline.rules is not replaced[1]() and tier.bundle is not replaced[2]()
            )
            await sidecar.post(
                b'[{"log":"version"},{"log":"another thing that only the model knows"}]'
            )
            assert [type(one()).__name__ for one in replaced if one() is not None] == []


async def test_readyz_warns_of_doubtful_rules_and_of_files_that_are_not_read(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("rules:\n- {id: grok, label: Error, pattern: '%{IP:c} x'}\n")
    async with running(
        f"rules.path={tmp_path}", "rules.poll_secs=60", "model.path=null"
    ) as sidecar:
        rules = (await ready(sidecar))["rules"]
        assert "a.yaml:2: rule 'grok': %{IP:c} is Grok" in str(rules["warnings"])
        (tmp_path / "B.YAML").write_text("rules: []")

        async def is_told() -> bool:
            return "B.YAML: is not read" in str((await ready(sidecar))["rules"]["warnings"])

        await until(is_told)


async def test_a_rule_that_is_out_of_force_is_shown_and_comes_back(
    running: Running, tmp_path: Path
) -> None:
    pattern = r"(?<!test )user=(\S+).*cmd=.*\1"
    (tmp_path / "a.yaml").write_text(
        f"rules:\n- {{id: sudo, label: Security Alert, pattern: '{pattern}'}}\n"
    )
    async with running(f"rules.path={tmp_path}", "model.path=null") as sidecar:
        lines = [
            json.dumps({"log": "user=" + "a" * 3000 + " " + " cmd=" * 3000 + f"b{i}"})
            for i in range(60)
        ]
        assert (await sidecar.post("\n".join(lines).encode()))[0] == 200
        told = (await ready(sidecar))["rules"]["slow"]
        assert isinstance(told, list)
        assert [slow["rule"] for slow in told] == ["sudo"]
        assert told[0]["times_out_of_force"] >= 1
        await sidecar.get("/metrics")  # some are brought up to date when somebody looks
        assert sidecar.metric("waybill_rule_unconfirmed_total") > 0
        async with patience():
            number = 0
            while True:
                number += 1
                real = json.dumps({"log": f"user=eve tty={number} cmd=chmod eve"}).encode()
                _, answer, _ = await sidecar.post(real)
                if json.loads(answer)["target_label"] == "Security Alert":
                    break
                await asyncio.sleep(0.1)
