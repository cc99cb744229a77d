"""The workbench: settings in, running pages out. It labels nothing for anybody; it can die."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from aiohttp import web

from waybill.core.errors import ConfigError
from waybill.ops.expectations import answer_ourselves
from waybill.ops.memory import kept_small, settle_memory
from waybill.ops.secret_file import LateSecret
from waybill.ops.tls import ServerTls, server_tls
from waybill.ops.tuning import tune_process
from waybill.ops.watched import refresh_often
from waybill.settings.addresses import bracketed, cannot_listen, is_loopback, split_address
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels
from waybill.web.auth import Door
from waybill.web.collect import Collector
from waybill.web.context import (
    BENCHES,
    LOGGED_OUT,
    OPEN_TO_ALL,
    REFUSED,
    STRANGE_FORMS,
    Bench,
)
from waybill.web.engine import Engine
from waybill.web.form_room import FormRoom
from waybill.web.jobs import Jobs
from waybill.web.kept import Kept
from waybill.web.labellings import bench_settings, with_own_corrections
from waybill.web.metrics import BenchMetrics
from waybill.web.model_trial import ModelTrials
from waybill.web.routes import routes
from waybill.web.rulebook import Rulebook, with_own_rules
from waybill.web.rulestats import RuleStatsReader
from waybill.web.security import guard
from waybill.web.store.database import Database
from waybill.web.templating import Templates
from waybill.web.trials import Trials
from waybill.web.views.entry import OPEN, logged_out
from waybill.web.views.forms import MAX_FORM_BYTES
from waybill.web.views.refused import refused
from waybill.web.ways import Travel, place_of

log = logging.getLogger(__name__)
#: Longest request line: `/find` carries a whole message.
_MAX_LINE_BYTES = 32 << 10
_DRAIN_SECS = 5.0


_SomePart = TypeVar("_SomePart", bound="_Part")


class Workbench(NamedTuple):
    """A running workbench: its address, and its parts, those of each labelling by its name."""

    address: str
    bench: Bench
    benches: Mapping[str, Bench]

    def login_link(self) -> str:
        """An address that logs in once, with every right."""
        return f"{self.address}{self.bench.base_path}/login?code={self.bench.door.new_code()}"


@contextlib.asynccontextmanager
async def running_workbench(settings: Settings) -> AsyncIterator[Workbench]:
    """Pages that answer; closed at the end.

    Raises:
        ConfigError: the store, the tokens, the labels or the address cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(kept_small())
        benches = await _build(stack, settings)
        app = make_app(benches)
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # no browser compresses what it sends
            max_line_size=_MAX_LINE_BYTES,
            shutdown_timeout=_DRAIN_SECS,
        )
        await runner.setup()
        answer_ourselves(runner)
        stack.push_async_callback(runner.cleanup)
        tls = server_tls(settings.workbench.tls, "workbench.tls")
        if tls is not None:
            refresh_often(stack, tls.refresh)
        address = await _listen(runner, settings.workbench.listen, tls)
        for bench in benches.values():
            await bench.jobs.start_sweeping()
            await bench.collector.start()
            stack.push_async_callback(bench.collector.stop)
        yield Workbench(address, benches[""], benches)


def make_app(benches: Mapping[str, Bench]) -> web.Application:
    """The application with all pages."""
    # Forms and files are bounded where they are read.
    app = web.Application(middlewares=[guard], client_max_size=MAX_FORM_BYTES)
    app[BENCHES] = benches
    app[OPEN_TO_ALL] = OPEN
    app[LOGGED_OUT] = logged_out
    app[REFUSED] = refused
    app[STRANGE_FORMS] = FormRoom()
    app.add_routes(routes(benches[""].base_path))
    return app


async def serve_workbench(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError when it cannot start."""
    tune_process()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_workbench(settings) as running:
        for bench in running.benches.values():
            bench.rulebook.warm()
            await asyncio.to_thread(bench.templates.compile_all)
        settle_memory()
        log.info("the workbench is ready", extra={"address": running.address})
        await stop.wait()


async def _build(stack: contextlib.AsyncExitStack, settings: Settings) -> Mapping[str, Bench]:
    """The workbench of each labelling by its name, the first one's (``""``) in front."""
    mine = settings.workbench
    host, _ = split_address(mine.listen)
    hosts = frozenset({host, *map(str.lower, mine.hosts)})
    found: dict[str, Bench] = {}
    door: Door | None = None
    metrics = BenchMetrics()
    for name, own in bench_settings(settings).items():
        database = Database(Path(own.workbench.store))
        stack.callback(database.close)
        if door is None:
            door = Door(mine, await database.write(_signing_key))
            _refuse_open(door, mine.listen)
        found[name] = await _build_one(stack, own, name, database, door, hosts, metrics)
    return found


def _refuse_open(door: Door, listen: str) -> None:
    if door.is_open and not is_loopback(listen):
        why = (
            f"workbench.listen: {listen} is reached by other machines; set "
            "workbench.tokens_file or workbench.user_header, or listen on 127.0.0.1"
        )
        raise ConfigError([why])


async def _build_one(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    name: str,
    database: Database,
    door: Door,
    hosts: frozenset[str],
    metrics: BenchMetrics,
) -> Bench:
    settings = with_own_rules(await asyncio.to_thread(with_own_corrections, settings, name))
    mine = settings.workbench
    taxonomy = await asyncio.to_thread(read_labels, settings.labels.path)
    token = LateSecret(mine.sidecar_token_file, "workbench.sidecar_token_file")() or ""
    travel = Travel(settings, database, place_of(settings), name)
    await travel.start()
    rulebook = _closed_by(stack, Rulebook(settings, taxonomy))
    engine = _closed_by(stack, Engine(settings, rulebook, database))
    trials = _closed_by(stack, Trials(engine, rulebook, database))
    jobs = _closed_by(stack, Jobs(Path(f"{mine.store}-files"), database, engine.settings))
    rule_stats = _closed_by(stack, RuleStatsReader(engine, database))
    return Bench(
        settings=settings,
        database=database,
        door=door,
        taxonomy=taxonomy,
        templates=Templates(mine.base_path or "", name),
        collector=Collector(mine, database, token, travel.refresh, name),
        engine=engine,
        jobs=jobs,
        rulebook=rulebook,
        trials=trials,
        model_trials=ModelTrials(settings, database),
        travel=travel,
        hosts=hosts,
        rule_stats=rule_stats,
        moves=Kept(),
        metrics=metrics,
        labelling=name,
    )


class _Part(Protocol):
    async def close(self) -> None: ...


def _closed_by(stack: contextlib.AsyncExitStack, part: _SomePart) -> _SomePart:
    stack.push_async_callback(part.close)
    return part


def _signing_key(connection: sqlite3.Connection) -> bytes:
    """The key of cookies, made once for a store."""
    connection.execute("INSERT OR IGNORE INTO keys VALUES ('cookies', ?)", (secrets.token_hex(32),))
    row = connection.execute("SELECT value FROM keys WHERE name = 'cookies'").fetchone()
    return bytes.fromhex(row["value"])


async def _listen(runner: web.AppRunner, listen: str, tls: ServerTls | None) -> str:
    host, port = split_address(listen)
    scheme, context = ("http", None) if tls is None else ("https", tls.context)
    try:
        await web.TCPSite(runner, host, port, ssl_context=context).start()
    except OSError as error:
        raise ConfigError([cannot_listen("workbench.listen", listen, error)]) from None
    bound = runner.addresses[0]
    return f"{scheme}://{bracketed(bound[0])}:{bound[1]}"
