"""The composition root: settings in, a running service out. The one place that builds everything."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from aiohttp import http_parser, web

from waybill.api.tools import Tools
from waybill.core.errors import ConfigError
from waybill.flow.flow import Flow
from waybill.handback.body import BodyHandback
from waybill.handback.forward import ForwardHandback
from waybill.handback.handback import Handback
from waybill.handback.http import HttpHandback
from waybill.handback.otlp import OtlpHandback
from waybill.ingest.connections import Connections, Guard
from waybill.ingest.forward import ForwardServer
from waybill.ingest.http import HttpIngest
from waybill.ingest.otlp import OtlpIngest
from waybill.labelling.llm.opening import open_llm
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.tier import Tier
from waybill.ops.auth import ApiKey, ServerTls, Tokens, WatchedFile, server_tls
from waybill.ops.deadletter import DeadLetters, prepare_folder
from waybill.ops.memory import settle_memory, tune_allocator
from waybill.ops.metrics import Metrics
from waybill.service.follow import ModelFollower
from waybill.service.reload import Parts, Reloader, read_parts
from waybill.settings.addresses import split_address
from waybill.settings.deadlines import deadlines_of
from waybill.settings.dump import dump_settings
from waybill.settings.schema import Settings, TlsSettings
from waybill.wire import FieldPlan, Wire

log = logging.getLogger(__name__)
VERSION = importlib.metadata.version("waybill-sidecar")
_CERTIFICATE_SECS = 1.0
_PULSE_SECS = 0.5


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: Settings, metrics: Metrics, parts: Parts | None = None, workers: int = 1
) -> AsyncIterator[tuple[Pipeline, Batcher | None, LlmTier | None]]:
    """Rules, model and LLM prompt, loaded unless they are given as ``parts``, ready to label; closed at the end.

    Raises:
        ConfigError: with every fault of rules, model and prompt together.
    """
    async with contextlib.AsyncExitStack() as stack:
        # Built elsewhere: this frame lives as long as the service, and what it names would outlive its reload.
        yield await _build_pipeline(stack, settings, metrics, parts, workers)


async def _build_pipeline(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    metrics: Metrics,
    parts: Parts | None,
    workers: int,
) -> tuple[Pipeline, Batcher | None, LlmTier | None]:
    parts = parts or await read_parts(settings)
    tiers: dict[str, Tier] = {}
    model = llm = None
    if parts.bundle is not None:
        model = Batcher(
            parts.bundle,
            batch_size=settings.model.batch_size,
            threads=settings.model.threads,
            queue_messages=settings.model.queue_messages,
            embedding_cache_bytes=settings.model.embedding_cache_bytes,
            telemetry=metrics,
        )
        stack.push_async_callback(model.close)
        tiers["model"] = ModelTier(model, settings.model, deadlines_of(settings))
    if parts.prompt is not None:
        key = ApiKey(settings.llm.api_key_file, settings.llm.api_key)
        llm = await stack.enter_async_context(
            open_llm(settings.llm, parts.prompt, key, metrics, workers)
        )
        tiers["llm"] = llm
    pipeline = Pipeline(settings, parts.rules, tiers, metrics, taxonomy=parts.taxonomy)
    return pipeline, model, llm


class Worker(msgspec.Struct, frozen=True):
    """What one of several processes (`waybill.service.workers`) gets from their parent.

    ``pulse`` is a pipe to write to as long as the event loop turns; ``metrics`` the folder that all count
    in; ``unix`` the listening Forward socket that all accept from.
    """

    number: int
    count: int
    parts: Parts | None
    pulse: int
    metrics: Path
    unix: socket.socket | None


class Service:
    """A configured service; `start` opens its sockets, `stop` drains and closes them."""

    def __init__(self, settings: Settings, worker: Worker | None = None) -> None:
        self.settings, self._worker = settings, worker
        self.metrics = Metrics(VERSION, shared=worker.metrics if worker else None)
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
        worker = self._worker
        if settings.model.follow.source is not None and (worker is None or worker.number == 0):
            follower = ModelFollower(settings.model, self.metrics)
            stack.push_async_callback(follower.stop)
            await follower.start()
        pipeline, model, llm = await stack.enter_async_context(
            open_pipeline(
                settings,
                self.metrics,
                worker.parts if worker else None,
                worker.count if worker else 1,
            )
        )
        handback = make_handback(settings, self.metrics)
        stack.push_async_callback(handback.close)
        wire = Wire(FieldPlan(settings.fields))
        prepare_folder(settings.dead_letter)
        dead_letters = DeadLetters(settings.dead_letter, self.metrics)
        self.flow = Flow(
            wire,
            pipeline,
            handback,
            settings.limits,
            self.metrics,
            dead_letters,
            pushes=settings.return_.connections,
            slot_secs=deadlines_of(settings).slot,
        )
        self.reloader = Reloader(settings, pipeline, model, self.metrics, llm)
        await self.reloader.start()
        stack.push_async_callback(self.reloader.stop)
        self._connections = Connections(settings.limits, self.metrics)
        await self._listen_http(model)
        if settings.forward.listen or settings.forward.unix:
            await self._listen_forward()
        if worker is None:
            log.info("ready", extra={"address": self.address, "version": VERSION})
        else:
            pulse = asyncio.create_task(self._beat(worker.pulse))
            stack.callback(pulse.cancel)

    async def _listen_http(self, model: Batcher | None) -> None:
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            # The one in Python is slower, and several ways to smuggle requests were found in it alone.
            raise ConfigError(
                ["aiohttp: its compiled parser is missing; unset AIOHTTP_NO_EXTENSIONS"]
            )
        settings = self.settings
        tokens = (
            Tokens(WatchedFile(settings.http.tokens_file)) if settings.http.tokens_file else None
        )
        ingest = HttpIngest(settings.http, self.flow, tokens)
        app = ingest.application()
        OtlpIngest(ingest, self.flow).add_routes(app)
        Tools(self.flow, model, self.reloader, ingest).add_routes(app)
        self.routes = list(app.router.routes())
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # inflated by wire.compression, to a verified end
            keepalive_timeout=settings.http.keepalive_secs,
            shutdown_timeout=1.0,  # the flow is drained before the runner stops
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        tls = self._tls(settings.http.tls)
        host, port = split_address(settings.http.listen)
        make = runner.server
        assert make is not None
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: Guard(
                    make,
                    self._connections,
                    settings.http.header_timeout_secs,
                    settings.http.keepalive_secs,
                ),
                host,
                port,
                ssl=tls.context if tls else None,
                ssl_handshake_timeout=settings.http.header_timeout_secs if tls else None,
                backlog=1024,
                reuse_port=self._worker is not None,
            )
        except OSError as error:
            raise ConfigError(
                [f"http.listen: cannot listen on {settings.http.listen}: {error.strerror}"]
            ) from None
        self._stack.callback(server.close)
        host, port = server.sockets[0].getsockname()[:2]
        self.address = (
            f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        )

    async def _listen_forward(self) -> None:
        tls = self._tls(self.settings.forward.tls)
        shared = (True, self._worker.unix) if self._worker else (False, None)
        self.forward = ForwardServer(
            self.settings.forward, self.flow, tls, self._connections, *shared
        )
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

    async def _beat(self, pulse: int) -> None:
        """Show our parent that the event loop turns; when there is no parent any more, stop."""
        while True:
            self.flow.note_state()
            try:
                os.write(pulse, b".")
            except BlockingIOError:  # it stands still; so be it
                pass
            except BrokenPipeError:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await asyncio.sleep(_PULSE_SECS)

    async def stop(self) -> None:
        """Refuse what is new, let what is under way end within ``http.drain_secs``, close everything."""
        if self.forward is not None:
            self.forward.pause()
        if self.flow is not None and not await self.flow.drain(self.settings.http.drain_secs):
            log.warning(
                "batches were still under way at the end of the drain; their shippers keep them"
            )
        await self._stack.aclose()


async def _follow_certificate(tls: ServerTls) -> None:
    """Look at the certificate files now and then; new connections get the new certificate."""
    while True:
        await asyncio.sleep(_CERTIFICATE_SECS)
        tls.refresh()


def make_handback(settings: Settings, metrics: Metrics) -> Handback:
    """The handback that ``return.type`` names."""
    match settings.return_.type:
        case "http":
            return HttpHandback(settings.return_)
        case "forward":
            return ForwardHandback(settings.return_)
        case "otlp":
            return OtlpHandback(settings.return_, metrics)
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


async def serve(settings: Settings, worker: Worker | None = None) -> None:
    """Run until SIGTERM or SIGINT, alone or as one of several workers.

    Raises:
        ConfigError: when the service cannot start as configured.
    """
    if worker is None:
        tune_allocator()
    service = Service(settings, worker)
    if worker is None or worker.number == 0:
        log.info("settings", extra={"settings": dump_settings(settings)})
    try:
        await service.start()
        settle_memory()
        await run_until_stopped(service)
        if worker is None:
            log.info("stopping")
    finally:
        await service.stop()
