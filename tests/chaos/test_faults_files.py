"""Faults of rules, model and input, against a process under load."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.oracle import Oracle
from tests.chaos.peers import HttpProducer
from tests.chaos.process import ROOT, Waybill
from tests.patience import until

pytestmark = pytest.mark.e2e
IS_LONG = bool(os.environ.get("CHAOS_LONG"))
RULE = "rules:\n- {id: %s, label: %s, pattern: 'disk [0-9]+ is full'}\n"
BODY = b"\n".join(b'{"log":"disk %d is full"}' % i for i in range(200))


class Volume:
    """A ConfigMap volume, exchanged the way the kubelet's AtomicWriter does it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._version = folder, 0
        folder.mkdir(exist_ok=True)

    def write(self, files: dict[str, str]) -> None:
        """Put ``files`` in force: a new folder, a link beside, a rename over the old link."""
        old = (self.folder / "..data").resolve() if self._version else None
        self._version += 1
        fresh = self.folder / f"..{self._version}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data") / name)
        (self.folder / "..data_tmp").symlink_to(fresh.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        if old is not None:
            shutil.rmtree(old)


@asynccontextmanager
async def loaded(address: str, seen: list[set[str]]) -> AsyncIterator[None]:
    """Load beside whatever happens; ``seen`` gets the rules (or labels) of each batch, every answer
    is 200.
    """
    stop = asyncio.Event()

    async def load() -> None:
        async with aiohttp.ClientSession() as client:
            while not stop.is_set():
                async with client.post(f"{address}/v1/label", data=BODY) as reply:
                    assert reply.status == 200
                    records = [json.loads(line) for line in (await reply.read()).splitlines()]
                seen.append(
                    {record.get("label_rule") or record["target_label"] for record in records}
                )
                await asyncio.sleep(0 if IS_LONG else 0.01)

    task = asyncio.create_task(load())
    try:
        yield
    finally:
        stop.set()
        await task


async def ready(address: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as client, client.get(f"{address}/readyz") as reply:
        return dict(await reply.json())


async def test_rules_exchanged_again_and_again(tmp_path: Path) -> None:
    """Every batch is judged by one version, none fails, and the last version comes into force."""
    swaps = 1000 if IS_LONG else 25
    volume = Volume(tmp_path / "volume")
    volume.write({"a.yaml": RULE % ("version-0", "Error"), "b.yaml": "rules: []\n"})
    async with Waybill(tmp_path, f"rules.path={volume.folder}") as waybill:
        seen: list[set[str]] = []
        async with loaded(waybill.address, seen):
            for number in range(1, swaps + 1):
                volume.write(
                    {"a.yaml": RULE % (f"version-{number}", "Error"), "b.yaml": "rules: []\n"}
                )
                await asyncio.sleep(0.02 if number % 5 else 0.5)
            last = {f"version-{swaps}"}

            async def is_last() -> bool:
                return bool(seen) and seen[-1] == last

            await until(is_last)
    assert all(len(rules) == 1 for rules in seen)
    order = [int(next(iter(rules)).removeprefix("version-")) for rules in seen]
    assert order == sorted(order)
    assert len(set(order)) > 3


BROKEN = {
    "empty": b"",
    "cut": (RULE % ("old", "Error")).encode()[:-20],
    "no UTF-8": b"rules:\n- {id: a, label: Error, pattern: '\xff\xfe'}\n",
    "nested 100,000 deep": b"rules: " + b"[" * 100_000,
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((98 + i,) * 2 + (97 + i,) * 9)
        for i in range(9)
    )
    + b"rules: *j\n",
    "keys twice": b"rules:\n- {id: a, id: b, label: Error, pattern: x}\n",
    "label no": b"rules:\n- {id: a, label: no, pattern: x}\n",
    "id 010": b"rules:\n- {id: 010, label: Error, pattern: x}\n",
    "id a date": b"rules:\n- {id: 2024-01-01, label: Error, pattern: x}\n",
    "unknown key": b"rules:\n- {id: a, label: Error, pattern: x, colour: red}\n",
    "no such label": b"rules:\n- {id: a, label: Nonsense, pattern: x}\n",
    "sample that fails": b"rules:\n- {id: a, label: Error, pattern: x, match: [y]}\n",
    "no pattern": b"rules:\n- {id: a, label: Error, pattern: '('}\n",
    "slow to compile": b"rules:\n- {id: a, label: Error, pattern: '([ab].{0,300}){40}'}\n",
}


async def test_rules_that_cannot_be_used(tmp_path: Path) -> None:
    """Refused with a reason, the old set stays, the process stays; the next good version comes into
    force.
    """
    file = tmp_path / "rules" / "chaos.yaml"
    settings = ("rules.compile_secs=2", "rules.poll_secs=0.5", "rules.compile_bytes=400000000")
    async with Waybill(tmp_path, *settings) as waybill:
        pid, seen = waybill.pid, list[set[str]]()
        async with loaded(waybill.address, seen):
            for name, text in BROKEN.items():
                before = await waybill.metric(
                    'waybill_reloads_total{outcome="refused",what="rules"}'
                )
                file.write_bytes(text)

                async def is_refused(before: float = before) -> bool:
                    return (
                        await waybill.metric(
                            'waybill_reloads_total{outcome="refused",what="rules"}'
                        )
                        > before
                    )

                await until(is_refused)
                state = await ready(waybill.address)
                assert state["status"] == "ready"
                assert state["rules"]["refused"], name
                assert await waybill.metric('waybill_last_reload_successful{what="rules"}') == 0
            assert {rule for rules in seen for rule in rules} == {"disk"}
            changes: tuple[Callable[[], None], ...] = (
                file.unlink,
                lambda: shutil.rmtree(file.parent),
            )
            for change in changes:
                change()
                await asyncio.sleep(0.5)
            assert {rule for rules in seen for rule in rules} == {"disk"}
            file.parent.mkdir()
            # A byte order mark and Windows line ends are no fault.
            file.write_bytes(
                b"\xef\xbb\xbf" + (RULE % ("new", "Error")).replace("\n", "\r\n").encode()
            )

            async def is_new() -> bool:
                return seen[-1] == {"new"}

            await until(is_new)
        assert waybill.pid == pid
        assert waybill.process is not None
        assert waybill.process.returncode is None


async def test_a_rule_file_written_byte_by_byte(tmp_path: Path) -> None:
    """However much of it is there, what is in force is the old set or one that was whole."""
    file, text = tmp_path / "rules" / "chaos.yaml", RULE % ("new", "Error")
    async with Waybill(tmp_path, "rules.poll_secs=0.2") as waybill:
        seen: list[set[str]] = []
        async with loaded(waybill.address, seen):
            for size in range(0, len(text) + 1, 3):
                file.write_text(text[:size])
                await asyncio.sleep(0.03)
            file.write_text(text)

            async def is_new() -> bool:
                return seen[-1] == {"new"}

            await until(is_new)
        # A prefix that says that there are no rules is a set too.
        assert {rule for rules in seen for rule in rules} <= {"disk", "new", "Unclassified"}


async def test_models_that_cannot_be_used(tmp_path: Path) -> None:
    """A bundle with a fault never comes into force; the old one goes on judging, and the next good
    one is taken.
    """
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "models" / "default", bundle)
    originals = {path.name: path.read_bytes() for path in bundle.iterdir()}
    message = b'{"log":"kernel panic: unable to mount the root device"}'

    async def verdict(address: str) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{address}/v1/label", data=message) as reply,
        ):
            assert reply.status == 200
            return dict(json.loads(await reply.read()))

    async with Waybill(tmp_path, f"model.path={bundle}", "model.poll_secs=0.3") as waybill:
        first = await verdict(waybill.address)
        assert first["label_tier"] == "model"
        manifest = json.loads(originals["manifest.json"])
        faults: dict[str, Callable[[], object]] = {
            "cut": lambda: (bundle / "classifier.onnx").write_bytes(
                originals["classifier.onnx"][:-100]
            ),
            "a bit": lambda: (bundle / "encoder.onnx").write_bytes(
                b"\x00" + originals["encoder.onnx"][1:]
            ),
            "missing": lambda: (bundle / "tokenizer.json").unlink(),
            "extra": lambda: (bundle / "more.bin").write_bytes(b"x"),
            "labels": lambda: (bundle / "manifest.json").write_text(
                json.dumps(manifest | {"labels": ["Nonsense"]})
            ),
            "no manifest": lambda: (bundle / "manifest.json").write_text("{"),
        }
        for name, fault in faults.items():
            before = await waybill.metric('waybill_reloads_total{outcome="refused",what="model"}')
            fault()

            async def is_refused(before: float = before) -> bool:
                return (
                    await waybill.metric('waybill_reloads_total{outcome="refused",what="model"}')
                    > before
                )

            await until(is_refused)
            assert await verdict(waybill.address) == first, name
            for path in bundle.iterdir():
                path.unlink()
            for file, content in originals.items():
                (bundle / file).write_bytes(content)

            async def is_accepted() -> bool:
                return await waybill.metric('waybill_last_reload_successful{what="model"}') == 1

            await until(is_accepted)
        assert await verdict(waybill.address) == first


async def test_a_poisoned_batch_again_and_again(tmp_path: Path) -> None:
    """Each time the same final answer; others are not affected."""
    async with Waybill(tmp_path) as waybill:
        oracle = Oracle()
        running = asyncio.create_task(HttpProducer(oracle, waybill.address).run(4000))
        answers = set()
        async with aiohttp.ClientSession() as client:
            for _ in range(300):
                headers = {"Content-Encoding": "gzip"}
                async with client.post(
                    f"{waybill.address}/v1/label", data=b"\x1f\x8bnonsense", headers=headers
                ) as reply:
                    answers.add((reply.status, await reply.read()))
        await running
        assert len(answers) == 1
        assert next(iter(answers))[0] == 400
        assert oracle.close().is_conserved


async def test_nothing_but_dead_letters(tmp_path: Path) -> None:
    """The folder stays within its bound, what is beyond is counted, and good records still flow."""
    folder, most = tmp_path / "dead", 200_000
    async with Waybill(
        tmp_path, f"dead_letter.path={folder}", f"dead_letter.max_bytes={most}"
    ) as waybill:
        async with aiohttp.ClientSession() as client:
            for _ in range(300):
                async with client.post(f"{waybill.address}/v1/label", data=b"\x01" * 2000) as reply:
                    assert reply.status == 400
        assert sum(path.stat().st_size for path in folder.glob("*.body")) <= most
        series = 'waybill_dead_letter_bodies_total{outcome="%s"}'
        assert await waybill.metric(series % "kept") + await waybill.metric(series % "full") == 300
        assert await waybill.metric(series % "full") > 0
        oracle = Oracle()
        await HttpProducer(oracle, waybill.address).run(1000)
        assert oracle.close().is_conserved
