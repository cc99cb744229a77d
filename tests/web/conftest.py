"""A running workbench on a store of its own, filled without a sidecar."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jinja2
import msgspec
import pytest

from tests.support.forking.process import command_words
from waybill.core.pattern import Guess, Pattern, VerdictShare, pattern_id
from waybill.settings.schema import Settings
from waybill.web import jobs
from waybill.web.app import Workbench, running_workbench
from waybill.web.store.recording import NodeAnswer, record_answer
from waybill.web.store.source_sums import sum_sources

NOW = 1_795_210_000.0
#: Compiled at once; the packaged ones take seconds.
RULES = """rules:
- {id: login, label: User Action, pattern: 'logged in'}
- {id: disk, label: Critical Error, pattern: 'disk \\d+ is full'}
- {id: umlaut, label: Error, pattern: 'Müller'}
"""


def share(label: str, count: int = 1, **more: object) -> VerdictShare:
    """A verdict; without a word about it a rule's."""
    values: dict[str, object] = {"tier": "rule", "rule": "a-rule", "confidence": 1.0}
    if label == "Unclassified":
        values = {"tier": "none", "reason": "low_confidence"}
    return VerdictShare(label=label, count=count, **{**values, **more})  # type: ignore[arg-type]


def pattern(
    mask: str, *verdicts: VerdictShare, count: int = 100, at: float = NOW, **more: object
) -> Pattern:
    """A pattern that one node tells of."""
    values: dict[str, object] = {
        "since": at - 7200,
        "first_seen": at - 7200,
        "last_seen": at - 60,
        "sources": {"shop": count},
        "examples": (mask.replace("<id>", "9f2c").replace("0", "42"),),
        "guess": Guess("Workflow Error", 0.46),
    }
    told = verdicts or (share("Unclassified", count),)
    return Pattern(
        id=pattern_id(mask),
        mask=mask,
        count=count,
        verdicts=told,
        **{**values, **more},  # type: ignore[arg-type]
    )


class Client:
    """A browser without scripts: gets pages, sends forms."""

    def __init__(self, running: Workbench, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """The status and the text of a page."""
        async with self.session.get(self.running.address + path, headers=headers) as reply:
            return reply.status, await reply.text()

    async def send(
        self, path: str, fields: Mapping[str, str | Sequence[str]], **headers: str
    ) -> tuple[int, str]:
        """Send a form with its token; the status and the page that follows. A field may have
        several values.
        """
        body: list[tuple[str, str]] = []
        for name, values in {"form_token": await self.token(), **fields}.items():
            body += [(name, value) for value in ([values] if isinstance(values, str) else values)]
        async with self.session.post(
            self.running.address + path, data=body, headers=headers
        ) as reply:
            return reply.status, await reply.text()

    async def token(self) -> str:
        """The form token of this browser."""
        _, page = await self.get("/csv")
        found = re.search('name="form_token" value="([0-9a-f]+)"', page)
        assert found is not None
        return found[1]

    async def put(self, *patterns: Pattern, node: str = "n-1", at: float | None = None) -> None:
        """Have a node tell of patterns now, or at a time."""
        answer = NodeAnswer(node, at if at is not None else time.time(), patterns)
        database = self.running.bench.database
        await database.write(lambda store: record_answer(store, answer))
        await database.write(lambda store: sum_sources(store, answer.at))


def settings_for(place: Path, **workbench: object) -> Settings:
    """Settings of a workbench that asks nobody, whose few rules are compiled at once."""
    replace = msgspec.structs.replace
    few = place / "few-rules"
    few.mkdir(parents=True, exist_ok=True)
    (few / "a.yaml").write_text(RULES)
    settings = Settings()
    mine = replace(
        settings.workbench,
        **{
            "store": str(place / "store.db"),
            "listen": "127.0.0.1:0",
            "sidecars": (),
            **workbench,
        },
    )
    return replace(
        settings,
        workbench=mine,
        model=replace(settings.model, path=None),
        rules=replace(settings.rules, path=str(few)),
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Client]:
    """A workbench with a browser before it."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with running_workbench(settings) as running, aiohttp.ClientSession(cookie_jar=jar) as one:
        for bench in running.benches.values():
            bench.rule_stats.patience_secs = bench.trials.patience_secs = 60.0
        yield Client(running, one)


@pytest.fixture(autouse=True, scope="session")
def _templates_once() -> Iterator[None]:
    """A template that one workbench has compiled serves the next of this process."""
    compile_template = jinja2.Environment.compile
    compiled: dict[object, object] = {}

    def once(
        self: jinja2.Environment,
        source: str,
        name: str | None = None,
        filename: str | None = None,
        **more: object,
    ) -> object:
        key = (source, name, filename, *more.items())
        if key not in compiled:
            compiled[key] = compile_template(self, source, name, filename, **more)  # type: ignore[call-overload]
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", once)
        yield


@pytest.fixture(autouse=True, scope="session")
def _commands_forked() -> Iterator[None]:
    """The command that labels a file starts as a fork of one that has imported everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "_WAYBILL", command_words())
        yield


@pytest.fixture(name="browser")
async def _browser(tmp_path: Path) -> AsyncIterator[Client]:
    async with opened(settings_for(tmp_path)) as client:
        yield client
