"""Rules of a workbench: taken when they compile here, kept when it is away, refused with words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.conftest import Running, Sidecar
from waybill.labelling.rules.texts import (
    PATH,
    TextsError,
    decode_texts,
    encode_texts,
    text_mark,
    texts_version,
)

OWN = "rules:\n- {id: own, label: Error, pattern: 'own'}\n"
GOOD = "rules:\n- {id: good, label: User Action, pattern: 'wobbly'}\n"
OTHER = "rules:\n- {id: good, label: Error, pattern: 'wobbly'}\n"
BAD = "rules:\n- {id: bad, label: Error, pattern: '('}\n"


class Shelf:
    """A server of rule files that says what it is told to say."""

    def __init__(self) -> None:
        self.files: dict[str, str] | None = None
        self.raw: bytes | None = None
        self.status = 200
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        if self.status != 200 or self.raw is not None:
            return web.Response(status=self.status, body=self.raw)
        if self.files is None:
            return web.Response(status=204)
        tag = f'"{texts_version(self.files)}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304)
        return web.Response(body=encode_texts(self.files), headers={"ETag": tag})


@asynccontextmanager
async def serving(shelf: Shelf) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get(PATH, shelf.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    yield f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture(name="overrides")
def _overrides(tmp_path: Path) -> Callable[[str], list[str]]:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.yaml").write_text(OWN)
    (tmp_path / "token").write_text("s3cret")

    def of(source: str) -> list[str]:
        return [
            f"rules.path={tmp_path / 'own'}",
            "model.path=null",
            f"rules.follow.source={source}",
            f"rules.follow.into={tmp_path / 'followed'}",
            f"rules.follow.token_file={tmp_path / 'token'}",
            "rules.follow.interval_secs=0.05",
        ]

    return of


async def label(sidecar: Sidecar) -> str:
    _, answer, _ = await sidecar.post(b'{"log": "the disk is wobbly"}')
    return str(json.loads(answer)["target_label"])


async def edition(sidecar: Sidecar) -> dict[str, object]:
    rules = json.loads((await sidecar.get("/v1/edition"))[1])["rules"]
    assert isinstance(rules, dict)
    return rules


async def until(sidecar: Sidecar, outcome: str) -> None:
    """Wait until a pull has ended so, from now on."""
    before = sidecar.metric("waybill_rule_pulls_total", outcome=outcome) or 0
    while (sidecar.metric("waybill_rule_pulls_total", outcome=outcome) or 0) <= before:
        await asyncio.sleep(0.02)


async def test_a_workbench_is_followed_refused_and_outlived(
    running: Running, overrides: Callable[[str], list[str]], tmp_path: Path
) -> None:
    shelf = Shelf()
    async with serving(shelf) as address, running(*overrides(address)) as sidecar:
        assert await label(sidecar) == "Unclassified"
        await until(sidecar, "unchanged")
        assert shelf.asked[0] == "Bearer s3cret"
        shelf.files = {"50-workbench.yaml": GOOD}
        while await label(sidecar) != "User Action":
            await asyncio.sleep(0.02)
        told = await edition(sidecar)
        assert told["files"] == {"a.yaml": text_mark(OWN), "50-workbench.yaml": text_mark(GOOD)}
        assert told["follow"] == {"source": address, "problem": ""}
        await until(sidecar, "unchanged")

        shelf.files = {"50-workbench.yaml": BAD}
        await until(sidecar, "pattern")
        told = await edition(sidecar)
        assert told["is_newest"] is False
        await sidecar.post(b"", "/-/reload")  # of what is here, which changes nothing
        assert (await edition(sidecar))["is_newest"] is False
        assert "50-workbench.yaml:2: rule 'bad'" in str(told["last_refusal"])
        assert "50-workbench.yaml" in str(told["follow"])
        assert await label(sidecar) == "User Action"
        assert b"bad" in (await sidecar.get("/readyz"))[1]
        shelf.files = {"50-workbench.yaml": GOOD}
        await until(sidecar, "unchanged")
        assert (await edition(sidecar))["is_newest"] is True

        shelf.files = None
        await until(sidecar, "emptied")
        assert await label(sidecar) == "User Action"
        shelf.files = {}
        await until(sidecar, "accepted")
        assert await label(sidecar) == "Unclassified"
        shelf.files = {"50-workbench.yaml": OTHER}
        await until(sidecar, "accepted")
    async with running(*overrides(address)) as sidecar:
        assert await label(sidecar) == "Error"
        await until(sidecar, "unreachable")
        assert "unreachable" in str((await edition(sidecar))["follow"])
    # What no longer fits beside the own rules does not keep the service from its start.
    (tmp_path / "own" / "a.yaml").write_text(OTHER)
    (tmp_path / "own" / "b.yaml").write_text("rules: []\n")
    async with running(*overrides(address)) as sidecar:
        assert await label(sidecar) == "Error"


@pytest.mark.parametrize(
    ("status", "raw", "outcome"),
    [
        (200, b"<html>", "malformed"),
        (200, b'{"x": ' + b"[" * 100_000, "malformed"),
        (200, b'{"files": {}}' + b" " * (9 << 20), "too_large"),
        (200, b'{"files": {"../x.yaml": ""}}', "malformed"),
        (401, b"", "unauthorised"),
        (500, b"", "refused"),
        (302, b"", "refused"),
    ],
)
async def test_a_server_that_says_something_else_changes_nothing(
    running: Running,
    overrides: Callable[[str], list[str]],
    status: int,
    raw: bytes,
    outcome: str,
) -> None:
    shelf = Shelf()
    shelf.status, shelf.raw = status, raw
    async with serving(shelf) as address, running(*overrides(address)) as sidecar:
        await until(sidecar, outcome)
        assert str(outcome) in str((await edition(sidecar))["follow"])
        assert (await edition(sidecar))["is_newest"] is True


@pytest.mark.parametrize("name", ["../a.yaml", ".a.yaml", "a/b.yaml", "a.txt", "", "a" * 200])
def test_a_name_that_is_a_path_is_refused(name: str) -> None:
    with pytest.raises(TextsError, match="is not the name"):
        decode_texts(encode_texts({name: GOOD}))
