"""The composition root: settings in, a running service out. The one place that builds everything."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import signal
from collections.abc import AsyncIterator

from aiohttp import http_parser, web

from sidecar.config import Settings, TlsSettings, dump_settings, split_address
from sidecar.errors import BundleError, ConfigError, RuleSetError
from sidecar.flow import Flow, Handback
from sidecar.follow import ModelFollower
from sidecar.handback.body import BodyHandback
from sidecar.handback.forward import ForwardHandback
from sidecar.handback.http import HttpHandback
from sidecar.ingest.connections import Connections, GuardedRunner
from sidecar.ingest.forward import ForwardServer
from sidecar.ingest.http import HttpIngest
from sidecar.ingest.tools import Tools
from sidecar.labelling.llm.opening import open_llm
from sidecar.labelling.llm.tier import LlmTier
from sidecar.labelling.model.tier import ModelTier
from sidecar.labelling.model.verdicts import ModelVerdicts
from sidecar.labelling.pipeline import Pipeline, SlowTier
from sidecar.ops.auth import ApiKey, ServerTls, Tokens, WatchedFile, server_tls
from sidecar.ops.deadletter import DeadLetters
from sidecar.ops.memory import settle_memory, tune_allocator
from sidecar.ops.metrics import Metrics
from sidecar.reload import Reloader, read_bundle, read_prompt, read_rules
from sidecar.wire import FieldPlan, Wire

log = logging.getLogger(__name__)
VERSION = importlib.metadata.version("waybill")
_CERTIFICATE_SECS = 1.0


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: Settings, metrics: Metrics
) -> AsyncIterator[tuple[Pipeline, ModelTier | None, LlmTier | None]]:
    """Rules, model and LLM prompt loaded and ready to label; closed at the end.

    Raises:
        ConfigError: with every fault of rules, model and prompt together.
    """
    rules, bundle, prompt = await asyncio.gather(
        read_rules(settings), read_bundle(settings), read_prompt(settings), return_exceptions=True
    )
    problems: list[str] = []
    for outcome in (rules, bundle, prompt):
        if isinstance(outcome, RuleSetError):
            problems += [str(error) for error in outcome.errors]
        elif isinstance(outcome, BundleError):
            problems.append(f"model.path: {outcome}")
        elif isinstance(outcome, ConfigError):
            problems += [f"llm.prompt: {problem}" for problem in outcome.problems]
        elif isinstance(outcome, BaseException):
            raise outcome
    if (
        problems
        or isinstance(rules, BaseException)
        or isinstance(bundle, BaseException)
        or isinstance(prompt, BaseException)
    ):
        raise ConfigError(problems)
    model = None
    if bundle is not None:
        model = ModelTier(
            bundle,
            batch_size=settings.model.batch_size,
            threads=settings.model.threads,
            queue_messages=settings.model.queue_messages,
            embedding_cache_bytes=settings.model.embedding_cache_bytes,
        )
    tiers: dict[str, SlowTier] = {"model": ModelVerdicts(model, settings.model)} if model is not None else {}
    async with contextlib.AsyncExitStack() as stack:
        if model is not None:
            stack.push_async_callback(model.close)
        llm = None
        if prompt is not None:
            key = ApiKey(settings.llm.api_key_file, settings.llm.api_key)
            llm = await stack.enter_async_context(open_llm(settings.llm, prompt, key, metrics))
            tiers["llm"] = llm
        yield Pipeline(settings, rules, tiers, metrics), model, llm


class Service:
    """A configured service; `start` opens its sockets, `stop` drains and closes them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(VERSION)
        self._stack = contextlib.AsyncExitStack()
        self.address = ""
        self.flow: Flow = None  # type: ignore[assignment]
        self.forward: ForwardServer | None = None
        self.routes: list[web.AbstractRoute] = []

    async def start(self) -> None:
        """Load rules and model, then listen.

        Raises:
            ConfigError: rules, model or an address cannot be used.
        """
        settings, stack = self.settings, self._stack
        if settings.model.follow.source is not None:
            follower = ModelFollower(settings.model, self.metrics)
            stack.push_async_callback(follower.stop)
            await follower.start()
        pipeline, model, llm = await stack.enter_async_context(open_pipeline(settings, self.metrics))
        handback = make_handback(settings)
        stack.push_async_callback(handback.close)
        wire = Wire(FieldPlan(settings.fields))
        dead_letters = DeadLetters(settings.dead_letter, self.metrics)
        self.flow = Flow(
            wire,
            pipeline,
            handback,
            settings.limits,
            self.metrics,
            dead_letters,
            pushes=settings.return_.connections,
        )
        self.reloader = Reloader(settings, pipeline, model, self.metrics, llm)
        self.reloader.start()
        self._connections = Connections(settings.limits, self.metrics)
        stack.push_async_callback(self.reloader.stop)
        await self._listen_http(model)
        if settings.forward.listen or settings.forward.unix:
            await self._listen_forward()
        log.info("ready", extra={"address": self.address, "version": VERSION})

    async def _listen_http(self, model: ModelTier | None) -> None:
        settings = self.settings
        tokens = Tokens(WatchedFile(settings.http.tokens_file)) if settings.http.tokens_file else None
        ingest = HttpIngest(settings.http, self.flow, tokens)
        app = ingest.application()
        Tools(self.flow, model, self.reloader, ingest).add_routes(app)
        self.routes = list(app.router.routes())
        runner = GuardedRunner(
            app,
            self._connections,
            access_log=None,
            auto_decompress=False,  # inflated by wire.compression, to a verified end
            keepalive_timeout=settings.http.keepalive_secs,
            shutdown_timeout=1.0,  # the flow is drained before the runner stops
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        tls = self._tls(settings.http.tls)
        host, port = split_address(settings.http.listen)
        site = web.TCPSite(runner, host, port, ssl_context=tls.context if tls else None, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError([f"http.listen: cannot listen on {settings.http.listen}: {error.strerror}"]) from None
        host, port = runner.addresses[0][:2]
        self.address = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _listen_forward(self) -> None:
        tls = self._tls(self.settings.forward.tls)
        self.forward = ForwardServer(self.settings.forward, self.flow, tls, self._connections)
        self._stack.push_async_callback(self.forward.stop)
        try:
            await self.forward.start()
        except OSError as error:
            raise ConfigError([f"forward: cannot listen: {error.strerror or error}"]) from None

    def _tls(self, settings: TlsSettings) -> ServerTls | None:
        """TLS for a listener, following its files while the service runs."""
        tls = server_tls(settings)
        if tls is not None:
            refresher = asyncio.create_task(_follow_certificate(tls))
            self._stack.callback(refresher.cancel)
        return tls

    async def stop(self) -> None:
        """Refuse what is new, let what is under way end within ``http.drain_secs``, close everything."""
        if self.forward is not None:
            self.forward.pause()
        if self.flow is not None and not await self.flow.drain(self.settings.http.drain_secs):
            log.warning("batches were still under way at the end of the drain; their shippers keep them")
        await self._stack.aclose()


async def _follow_certificate(tls: ServerTls) -> None:
    """Look at the certificate files now and then; new connections get the new certificate."""
    while True:
        await asyncio.sleep(_CERTIFICATE_SECS)
        tls.refresh()


def make_handback(settings: Settings) -> Handback:
    """The handback that ``return.type`` names."""
    match settings.return_.type:
        case "http":
            return HttpHandback(settings.return_)
        case "forward":
            return ForwardHandback(settings.return_)
        case _:
            return BodyHandback()


async def run_until_stopped(service: Service) -> None:
    """Wait for SIGTERM or SIGINT; SIGHUP reloads rules and model."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    reloads: set[asyncio.Task[bool]] = set()

    def on_hangup() -> None:
        task = asyncio.create_task(service.reloader.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    await stop.wait()


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigError: when the service cannot start as configured.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ConfigError(["aiohttp: its compiled parser is missing or off (AIOHTTP_NO_EXTENSIONS)"])
    tune_allocator()
    service = Service(settings)
    log.info("settings", extra={"settings": dump_settings(settings)})
    try:
        await service.start()
        settle_memory()
        await run_until_stopped(service)
        log.info("stopping")
    finally:
        await service.stop()
