"""From settings to a running tier: which provider, which store, which share of the limits."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from waybill.core.again import again_and_again
from waybill.core.errors import ConfigError
from waybill.labelling.llm.audit import Audit
from waybill.labelling.llm.breaker import Breaker
from waybill.labelling.llm.errors import StoreError
from waybill.labelling.llm.guards import Guards
from waybill.labelling.llm.ledger import Ledger
from waybill.labelling.llm.prompt import Prompt
from waybill.labelling.llm.providers.base import ApiKey, Provider
from waybill.labelling.llm.store import VerdictStore
from waybill.labelling.llm.store_sqlite import SqliteStore, default_path
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.llm.window import LocalWindow, Window
from waybill.labelling.telemetry import Telemetry
from waybill.settings.schema import LlmSettings

log = logging.getLogger(__name__)
_DAY_SECS = 86_400
#: So often a node hears what all have spent, also while it has nothing to ask.
_LOOK_SECS = 60.0
_REDIS = ("redis://", "rediss://", "unix://")


@contextlib.asynccontextmanager
async def open_llm(
    settings: LlmSettings, prompt: Prompt, key: ApiKey, telemetry: Telemetry, workers: int = 1
) -> AsyncIterator[LlmTier]:
    """The configured tier, started; closed at the end.

    The limits are divided among ``workers`` processes.

    Raises:
        ConfigError: what is configured needs an extra that is not installed.
    """
    check_extras(settings)
    # The clients take a quarter of a second to import.
    provider = await asyncio.to_thread(_make_provider, settings, key)
    store, window, nodes = await open_store(settings, workers)
    own, own_share = await _open_own_count(settings, workers, nodes)
    ledger = Ledger(
        store,
        tokens_per_day=None if settings.tokens_per_day is None else settings.tokens_per_day / nodes,
        budget_per_day=None if settings.budget_per_day is None else settings.budget_per_day / nodes,
        price_in=settings.price_in or 0.0,
        price_out=settings.price_out or 0.0,
        own=own,
        own_share=own_share,
    )
    guards = Guards(window, ledger, Breaker(settings.breaker_failures, settings.breaker_secs))
    audit = Audit(Path(settings.audit), settings.audit_bytes) if settings.audit else None
    tier = LlmTier(settings, provider, prompt, store, guards, telemetry, audit)
    tier.start()
    looks = again_and_again("asking what the LLM has spent", functools.partial(_look, ledger))
    task = asyncio.create_task(looks)
    try:
        yield tier
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tier.close()
        if own is not None:
            await own.close()


async def _look(ledger: Ledger) -> None:
    await asyncio.sleep(_LOOK_SECS)
    await ledger.look()


async def _open_own_count(
    settings: LlmSettings, workers: int, nodes: int
) -> tuple[SqliteStore | None, float]:
    """Where this node counts what it spends itself, for when the store is away, and its share.

    ``nodes`` is by how many the limits are divided already.
    """
    whole = settings.nodes * workers
    is_limited = settings.tokens_per_day is not None or settings.budget_per_day is not None
    path = default_path()
    if not is_limited or not _is_redis(settings.store) or path is None:
        return None, nodes / whole
    own = SqliteStore(
        path.with_name("llm-usage.sqlite"), max_secs=_DAY_SECS, max_bytes=settings.store_bytes
    )
    try:
        await own.open()
    except StoreError:
        log.warning("a restart forgets what the LLM has spent while Redis is away")
        await own.close()
        return None, nodes / whole
    # A file is shared by the workers of a node.
    return own, nodes / settings.nodes


async def open_store(settings: LlmSettings, workers: int = 1) -> tuple[VerdictStore, Window, int]:
    """Store and rate window, and by how many stores the daily limits are to be divided.

    A file that cannot be opened is replaced by a store in memory: the LLM tier must not keep a
    service from starting.
    """
    max_secs = settings.store_days * _DAY_SECS
    share = LocalWindow(settings.requests_per_minute / (settings.nodes * workers))
    if settings.store is not None and _is_redis(settings.store):
        from waybill.labelling.llm.store_redis import Redis, RedisStore
        from waybill.labelling.llm.window_redis import RedisWindow

        redis = await asyncio.to_thread(Redis, settings.store)
        window = RedisWindow(redis, settings.requests_per_minute, settings.timeout_secs + 1, share)
        return RedisStore(redis, max_secs=max_secs, max_bytes=settings.store_bytes), window, 1
    path = _store_file(settings.store)
    store = SqliteStore(path, max_secs=max_secs, max_bytes=settings.store_bytes)
    try:
        await store.open()
    except StoreError:
        log.warning("the LLM's verdicts are kept in memory only", extra={"path": path})
        await store.close()
        store = SqliteStore(None, max_secs=max_secs, max_bytes=settings.store_bytes)
        await store.open()
    # A file is shared by the workers of a node, memory is not.
    return store, share, settings.nodes if store.is_shared else settings.nodes * workers


def _store_file(setting: str | None) -> Path | None:
    """The file of the verdicts; None keeps them in memory."""
    if setting == "memory":
        return None
    if setting:
        return Path(setting)
    path = default_path()
    if path is None:
        log.warning(
            "there is no folder for the LLM's verdicts; set llm.store, "
            "or a restart pays for them again"
        )
    return path


def check_extras(settings: LlmSettings) -> None:
    """See that what ``settings`` ask for is installed. Raises ConfigError."""
    problems = []
    if settings.provider == "gemini" and not _is_installed("google.genai"):
        problems.append(
            "llm.provider: gemini needs google-genai; install it with: "
            "pip install 'waybill-sidecar[gemini]'"
        )
    if _is_redis(settings.store) and not _is_installed("redis"):
        problems.append(
            "llm.store: Redis needs its client; install it with: "
            "pip install 'waybill-sidecar[redis]'"
        )
    if problems:
        raise ConfigError(problems)


def _is_redis(store: str | None) -> bool:
    return store is not None and store.startswith(_REDIS)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _make_provider(settings: LlmSettings, key: ApiKey) -> Provider:
    if settings.provider == "gemini":
        from waybill.labelling.llm.providers.gemini import GeminiProvider

        return GeminiProvider(settings, key)
    from waybill.labelling.llm.providers.groq import GroqProvider

    return GroqProvider(settings, key)
