"""The composition root: settings in, a running service out. The one place that builds everything.

`build` gives a service that listens, `serve` runs one until it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from waybill.core.names import Door
from waybill.core.reasons import RefusalReason
from waybill.core.version import VERSION
from waybill.flow.flow import Flow
from waybill.flow.inflight import Inflight
from waybill.handback.body import BodyHandback
from waybill.handback.forward import ForwardHandback
from waybill.handback.handback import Handback
from waybill.handback.http import HttpHandback
from waybill.handback.otlp import OtlpHandback
from waybill.ingest.connections import Connections
from waybill.ingest.forward.server import ForwardServer
from waybill.ingest.http.server import HttpServer
from waybill.ingest.listener import Intake, Listener
from waybill.ops.deadletter import DeadLetters, prepare_folder
from waybill.ops.memory import Trimmer, kept_small, settle_memory
from waybill.ops.metrics import Metrics
from waybill.ops.tls import ServerTls, server_tls
from waybill.ops.tuning import tune_process
from waybill.ops.watched import refresh_often
from waybill.service.corrections import CorrectionsPart
from waybill.service.endpoints import Deps, http_routes
from waybill.service.follow_corrections import follow_corrections
from waybill.service.follow_model import ModelFollower
from waybill.service.follow_rules import follow_rules
from waybill.service.gauges import note_state
from waybill.service.opening import Opened, open_pipeline
from waybill.service.parts import reloadable_parts
from waybill.service.patterns import Patterns, open_patterns
from waybill.service.reload import Reloader
from waybill.service.roles import SINGLE, Member, Role
from waybill.service.rules import RulesPart
from waybill.service.signals import until_stopped
from waybill.service.tokens import TokensPart
from waybill.settings.deadlines import deadlines_of
from waybill.settings.dump import changed_settings, dump_settings
from waybill.settings.labellings import added_fields
from waybill.settings.naming import closed_doors, missing_secrets, name_secrets
from waybill.settings.schema import Settings, TlsSettings
from waybill.wire import FieldPlan, Wire

log = logging.getLogger(__name__)
_PULSE_SECS = 0.5
#: What lines of text may become as JSON, in times of ``limits.body_bytes``: with it, its messages
#: and its answer, a body still fits into ``limits.inflight_bytes``.
_TEXT_SHARE = 1.25


@dataclass(frozen=True)
class Service:
    """A running service. Built by `build`, which also drains and closes it."""

    settings: Settings
    metrics: Metrics
    opened: Opened
    inflight: Inflight
    flow: Flow
    reloader: Reloader
    http: HttpServer
    forward: ForwardServer | None
    patterns: Patterns | None

    @property
    def listeners(self) -> Sequence[Listener]:
        """Everything that batches come in by."""
        if self.forward is None:
            return [self.http]
        return [self.http, self.forward]

    @property
    def address(self) -> str:
        """Where HTTP is served, as a URL without a path."""
        return self.http.addresses[0]

    def note_state(self) -> None:
        """Bring the metrics that nothing counts by itself up to date."""
        note_state(self.opened.labellings, self.metrics, self.patterns)

    async def drain(self) -> None:
        """Refuse what is new, let what is under way end within ``http.drain_secs``."""
        for listener in self.listeners:
            listener.pause()
        if not await self.flow.drain(self.settings.http.drain_secs):
            log.warning(
                "batches were still under way at the end of the drain; their shippers keep them"
            )


@contextlib.asynccontextmanager
async def build(settings: Settings, role: Role = SINGLE) -> AsyncIterator[Service]:
    """A service that listens; drained and closed at the end.

    Raises:
        ConfigError: rules, model, a secret or an address cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(kept_small())
        service = await _Assembly(stack, settings, role).build()
        try:
            yield service
        finally:
            await service.drain()


class _Assembly:
    """Builds the parts of a service. They end with ``stack``, in the opposite order."""

    def __init__(self, stack: contextlib.AsyncExitStack, settings: Settings, role: Role) -> None:
        self._stack = stack
        self._settings = settings
        self._role = role
        self._metrics = Metrics(VERSION, shared=role.metrics)
        self._connections = Connections(settings.limits, self._metrics)

    async def build(self) -> Service:
        """A service that listens. Raises ConfigError."""
        settings, metrics, role = self._settings, self._metrics, self._role
        if role.is_first:
            await self._follow_models()
        opened = await self._stack.enter_async_context(
            open_pipeline(settings, metrics, role.parts, role.count)
        )
        patterns = await open_patterns(self._stack, settings, opened.labellings, metrics, role)
        handback = make_handback(settings, metrics)
        self._stack.push_async_callback(handback.close)
        prepare_folder(settings.dead_letter)
        dead_letters = DeadLetters(settings.dead_letter, metrics)
        inflight = self._make_inflight()
        flow = self._make_flow(opened, handback, dead_letters, inflight)
        intake = self._make_intake(flow, inflight, dead_letters)
        tokens = self._make_tokens()
        reloader = await self._start_reloader(opened, tokens)
        await self._follow_servers(reloader)
        deps = Deps(settings, opened, flow, intake, reloader, metrics, patterns)
        http = await self._serve_http(deps, tokens)
        forward = await self._serve_forward(intake)
        service = Service(
            settings=settings,
            metrics=metrics,
            opened=opened,
            inflight=inflight,
            flow=flow,
            reloader=reloader,
            http=http,
            forward=forward,
            patterns=patterns,
        )
        self._announce(service)
        return service

    async def _follow_models(self) -> None:
        settings = self._settings
        if settings.model.follow.source is None:
            return
        follower = ModelFollower(settings.model, self._metrics, settings.labels.path)
        self._stack.push_async_callback(follower.stop)
        await follower.start()

    def _make_inflight(self) -> Inflight:
        metrics = self._metrics
        trimmer = Trimmer()
        self._stack.push_async_callback(trimmer.stop)

        def note(in_use_bytes: int) -> None:
            metrics.inflight_bytes.set(in_use_bytes)
            trimmer.note(in_use_bytes)

        return Inflight(self._settings.limits, note, deadlines_of(self._settings).slot)

    def _make_flow(
        self, opened: Opened, handback: Handback, dead_letters: DeadLetters, inflight: Inflight
    ) -> Flow:
        settings = self._settings
        return Flow(
            Wire(
                FieldPlan(*added_fields(settings)),
                text_bytes=int(settings.limits.body_bytes * _TEXT_SHARE),
            ),
            opened.labeller,
            handback,
            settings.limits,
            self._metrics,
            dead_letters,
            inflight,
            pushes=settings.return_.connections,
            slot_secs=deadlines_of(settings).slot,
        )

    def _make_intake(self, flow: Flow, inflight: Inflight, dead_letters: DeadLetters) -> Intake:
        metrics = self._metrics

        def refused(door: Door, reason: RefusalReason) -> None:
            metrics.refused.labels(door, reason).inc()

        most_bytes = self._settings.limits.body_bytes
        return Intake(inflight.hold, flow.run, refused, most_bytes, dead_letters)

    def _make_tokens(self) -> TokensPart | None:
        """The bearer tokens, following their file while the service runs."""
        if not self._settings.http.tokens_file:
            return None
        part = TokensPart(self._settings.http.tokens_file, self._metrics)
        refresh_often(self._stack, part.tokens.refresh)
        return part

    async def _start_reloader(self, opened: Opened, tokens: TokensPart | None) -> Reloader:
        reloader = Reloader({**reloadable_parts(opened, self._metrics), "tokens": tokens})
        self._stack.push_async_callback(reloader.stop)
        await reloader.start()
        return reloader

    async def _follow_servers(self, reloader: Reloader) -> None:
        """Follow the servers that corrections and rules are fetched from."""
        stack, settings, metrics = self._stack, self._settings, self._metrics
        keeps = self._role.is_first
        corrections = reloader.find("corrections", CorrectionsPart)
        await follow_corrections(stack, settings, corrections, metrics, keeps=keeps)
        rules = reloader.find("rules", RulesPart)
        await follow_rules(stack, settings, rules, metrics, keeps=keeps)

    async def _serve_http(self, deps: Deps, tokens: TokensPart | None) -> HttpServer:
        settings = self._settings.http
        server = HttpServer(
            settings,
            http_routes(deps),
            self._connections,
            deps.intake,
            tokens.tokens if tokens is not None else None,
            self._make_tls(settings.tls, "http.tls"),
            shares_address=self._role.shares_address,
        )
        await self._listen(server)
        return server

    async def _serve_forward(self, intake: Intake) -> ForwardServer | None:
        settings = self._settings.forward
        if not settings.listen and not settings.unix:
            return None
        server = ForwardServer(
            settings,
            intake,
            self._connections,
            self._make_tls(settings.tls, "forward.tls"),
            shares_address=self._role.shares_address,
            shared_unix=self._role.unix,
        )
        await self._listen(server)
        return server

    async def _listen(self, listener: Listener) -> None:
        self._stack.push_async_callback(listener.stop)
        await listener.start()

    def _make_tls(self, settings: TlsSettings, setting: str) -> ServerTls | None:
        """TLS for a listener, following its files while the service runs."""
        tls = server_tls(settings, setting)
        if tls is not None:
            refresh_often(self._stack, tls.refresh)
        return tls

    def _announce(self, service: Service) -> None:
        """Say that the service is ready: in the log, or to the parent that waits for it."""
        if isinstance(self._role, Member):
            task = asyncio.create_task(_beat(self._role.pulse, service.note_state))
            self._stack.callback(task.cancel)
        else:
            log.info("ready", extra={"address": service.address, "version": VERSION})


async def _beat(pulse: int, on_beat: Callable[[], None]) -> None:
    """Show our parent that the event loop turns; when there is no parent any more, stop."""
    while True:
        on_beat()
        try:
            os.write(pulse, b".")
        except BlockingIOError:  # it stands still: nothing to do
            pass
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        await asyncio.sleep(_PULSE_SECS)


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


async def serve(settings: Settings, role: Role = SINGLE) -> None:
    """Run until SIGTERM or SIGINT, alone or as one of several workers.

    Raises:
        ConfigError: when the service cannot start as configured.
    """
    is_alone = not isinstance(role, Member)
    if is_alone:
        tune_process()
    if role.is_first:
        shown = {"settings": changed_settings(settings), "secrets": name_secrets(settings)}
        log.info("settings other than the defaults", extra=shown)
        log.debug("all settings", extra={"settings": dump_settings(settings)})
        for lack in missing_secrets(settings):
            log.warning("a setting may not do what is expected", extra={"detail": lack})
        for closed in closed_doors(settings):
            log.debug("a path takes nothing", extra={"detail": closed})
    async with build(settings, role) as service:
        settle_memory()
        await until_stopped(service.reloader.reload)
        if is_alone:
            log.info("stopping")
