"""Follows the corrections of a server: another Waybill, or a workbench.

Asked about every ``corrections.interval_secs``, and a copy that is the newest is not sent again.
What was fetched stays in force whatever becomes of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import operator
from pathlib import Path

from waybill.core.errors import CorrectionError, CorrectionsError
from waybill.core.output import writing
from waybill.labelling.corrections.files import MAX_TOTAL_BYTES, parse_history
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.table import read_table
from waybill.ops.metrics import Metrics
from waybill.service.corrections import CorrectionsPart
from waybill.service.fetching import START_SECS, Fetcher, FetchError
from waybill.service.polling import Poller
from waybill.settings.addresses import is_address
from waybill.settings.schema import CorrectionSettings, Settings

__all__ = ["CorrectionFollower", "follow_corrections"]

log = logging.getLogger(__name__)
_PATH = "/v1/corrections"
#: Looked at in one step.
_STEP_BYTES = 1 << 20


class CorrectionFollower:
    """Fetches for ``part``; ``cache`` is where a copy is kept, by one process of several."""

    def __init__(
        self,
        settings: CorrectionSettings,
        part: CorrectionsPart,
        metrics: Metrics,
        *,
        keeps: bool,
    ) -> None:
        self._settings = settings
        self._part = part
        self._metrics = metrics
        self._cache = settings.follow_cache if keeps else None
        self._fetcher = Fetcher(
            f"{(settings.follow or '').rstrip('/')}{_PATH}",
            settings.follow_token_file,
            "corrections.follow_token_file",
            MAX_TOTAL_BYTES,
        )
        self._poller = Poller(
            self._fetcher.url,
            settings.interval_secs,
            self.pull,
            lack="no corrections were fetched yet",
            start_secs=START_SECS,
        )

    async def start(self) -> None:
        """Begin; wait a little for the first answer where there is nothing from before."""
        await self._poller.start(has_some=bool(self._part.source.fetched))

    async def stop(self) -> None:
        """Stop following."""
        await self._poller.stop()

    async def pull(self) -> None:
        """Ask once; what goes wrong is counted, told and logged once."""
        try:
            outcome = "accepted" if await self._pull() else "unchanged"
        except FetchError as error:
            outcome = error.code
            self._part.followed.tell(str(error))
        except CorrectionsError as error:
            outcome = error.errors[0].code
            self._part.followed.tell(str(error.errors[0]))
        else:
            self._part.followed.tell("")
        self._metrics.correction_pulls.labels(outcome).inc()

    async def _pull(self) -> bool:
        """Whether there is something new. Raises FetchError, CorrectionsError."""
        data, tag = await self._fetcher.fetch()
        if data is None:
            return False
        source = self._part.source
        if data and await asyncio.to_thread(operator.eq, data, source.fetched):
            self._name(tag)  # servers that name no copies send each again
            return False
        if await asyncio.to_thread(_is_emptied, source.fetched, data):
            detail = "the server has none any more; a blank line in its file takes all back"
            raise CorrectionsError([CorrectionError("emptied", detail, file=self._settings.follow)])
        await asyncio.to_thread(self._check, data)
        is_new = await asyncio.to_thread(_take, source, data)
        self._name(tag)
        await self._part.catch_up()
        if is_new and self._cache is not None:
            await asyncio.to_thread(_keep, self._cache, data)
        return is_new

    def _name(self, tag: str | None) -> None:
        """What is in force is what the server calls ``tag``."""
        self._fetcher.tag = tag
        self._part.follow_tag = tag

    def _check(self, data: bytes) -> None:
        """Refuse what could not come into force. Raises CorrectionsError."""
        history = parse_history(data, self._settings.follow or "")
        try:
            read_table(history, self._part.taxonomy)
        finally:
            history.clear()


async def follow_corrections(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    part: CorrectionsPart | None,
    metrics: Metrics,
    *,
    keeps: bool,
) -> None:
    """Follow the server of ``corrections.follow``, if there is one, until ``stack`` ends.

    Raises ConfigError: the file with the token cannot be used.
    """
    follow = settings.corrections.follow
    if follow is None or not is_address(follow) or part is None:
        return
    follower = CorrectionFollower(settings.corrections, part, metrics, keeps=keeps)
    stack.push_async_callback(follower.stop)
    await follower.start()


def _is_emptied(before: bytes, data: bytes) -> bool:
    """Whether there is nothing but blanks where there was something."""
    return _has_some(before) and not _has_some(data)


def _has_some(data: bytes) -> bool:
    """Whether there is anything but blanks; other threads have their turns meanwhile."""
    steps = range(0, len(data), _STEP_BYTES)
    return any(data[at : at + _STEP_BYTES].strip() for at in steps)


def _take(source: CorrectionSource, data: bytes) -> bool:
    """Whether ``data`` is not what was there."""
    is_new = data != source.fetched
    source.take_fetched(data)
    return is_new


def _keep(cache: str, data: bytes) -> None:
    try:
        Path(cache).parent.mkdir(parents=True, exist_ok=True)
        with writing(cache) as file:
            file.write(data)
    except OSError as error:
        detail = f"{cache}: {error.strerror}"
        log.warning("fetched corrections are not kept for a restart", extra={"detail": detail})
