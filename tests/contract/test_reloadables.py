"""One contract for everything that can be loaded anew while the service runs."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Running, Sidecar
from tests.patience import patience

ROOT = Path(__file__).parents[2]


class Rules:
    """The rules of a folder."""

    what = "rules"
    key = "rules"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "rules" / "a.yaml"
        self._file.parent.mkdir()
        self.write("one")
        self.overrides = [f"rules.path={self._file.parent}", "model.path=null"]

    def write(self, version: str) -> None:
        self._file.write_text(f"rules:\n- {{id: {version}, label: Error, pattern: x}}\n")

    def spoil(self) -> None:
        self._file.write_text("rules: 1")


class Prompt:
    """The prompt of the LLM tier."""

    what = "prompt"
    key = "llm"

    def __init__(self, folder: Path) -> None:
        self._good = (ROOT / "config" / "llm.yaml").read_text()
        self._file = folder / "llm.yaml"
        self._file.write_text(self._good)
        (folder / "key").write_text("a-key\n")
        self.overrides = [
            "llm.provider=groq",
            f"llm.api_key_file={folder / 'key'}",
            f"llm.store={folder / 'llm.sqlite'}",
            f"llm.prompt={self._file}",
            "llm.poll_secs=60",
            "model.path=null",
        ]

    def write(self, version: str) -> None:
        self._file.write_text(
            self._good.replace("instructions: |\n", f"instructions: |\n  {version}\n")
        )

    def spoil(self) -> None:
        self._file.write_text("labels: {}")


class Model:
    """The bundle of a folder."""

    what = "model"
    key = "model"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "model"
        shutil.copytree(ROOT / "models" / "default", self._folder)
        self.overrides = [f"model.path={self._folder}", "model.poll_secs=60"]

    def write(self, version: str) -> None:
        manifest = self._folder / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))

    def spoil(self) -> None:
        (self._folder / "classifier.onnx").write_bytes(b"rubbish")


class TokenFile:
    """The bearer tokens."""

    what = "tokens"
    key = "tokens"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "tokens"
        self.write("one")
        self.overrides = [f"http.tokens_file={self._file}", "model.path=null"]

    def write(self, version: str) -> None:
        self._file.write_text(
            f"the-token\n{version}-token\n" + f"{version}-other\n" * (version != "one")
        )

    def spoil(self) -> None:
        self._file.write_text("# no token\n")


KINDS: list[Callable[[Path], Rules | Prompt | Model | TokenFile]] = [
    Rules,
    Prompt,
    Model,
    TokenFile,
]


async def reload(sidecar: Sidecar) -> tuple[int, dict[str, dict[str, object]]]:
    status, answer, _ = await sidecar.post(b"", "/-/reload", Authorization="Bearer the-token")
    return status, json.loads(answer)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_version_is_in_force_or_refused_and_every_report_says_the_same(
    kind: Callable[[Path], Rules | Prompt | Model | TokenFile], running: Running, tmp_path: Path
) -> None:
    thing = kind(tmp_path)
    async with running(*thing.overrides) as sidecar:

        async def reported(is_refused: bool) -> dict[str, object]:
            """What all three reports say once they say so; a token file is looked at each second."""
            while True:
                status, report = await reload(sidecar)
                part = report[thing.key]
                if bool(part["refused"]) == is_refused and status == (409 if is_refused else 200):
                    break
                await asyncio.sleep(0.1)
            _, ready = await sidecar.get("/readyz")
            assert json.loads(ready)[thing.key] == part
            ok = sidecar.metric("waybill_last_reload_successful", what=thing.what)
            assert ok == (not is_refused)
            return part

        first = await reported(is_refused=False)
        assert (first["version"], first["loaded_at"]) != (None, None)
        thing.spoil()
        refused = await reported(is_refused=True)
        assert refused["version"] == first["version"]
        assert refused["loaded_at"] is not None
        if thing.what != "model":  # what was spoilt is not mended by a new manifest
            thing.write("next")
            async with patience():
                while (await reported(is_refused=False))["version"] == first["version"]:
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", [Rules, Prompt, Model])
async def test_loading_what_is_in_force_changes_nothing(
    kind: Callable[[Path], Rules | Prompt | Model], running: Running, tmp_path: Path
) -> None:
    thing = kind(tmp_path)
    async with running(*thing.overrides) as sidecar:
        edition = sidecar.service.opened.pipeline.edition
        assert (await reload(sidecar))[0] == 200
        assert sidecar.service.opened.pipeline.edition is edition
        thing.write("next")
        assert (await reload(sidecar))[0] == 200
        assert sidecar.service.opened.pipeline.edition is not edition
