"""Follows the corrections of a server: another Waybill, or a workbench.

Asked about every ``corrections.interval_secs``, and a copy that is the newest is not sent again.
What was fetched stays in force whatever becomes of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from pathlib import Path

import aiohttp

from waybill.core.errors import CorrectionError, CorrectionsError, WaybillError
from waybill.core.output import writing
from waybill.core.reasons import CorrectionPullCode
from waybill.labelling.corrections.files import MAX_TOTAL_BYTES, parse_history
from waybill.labelling.corrections.table import read_table
from waybill.ops.metrics import Metrics
from waybill.ops.secret_file import SecretFile
from waybill.service.corrections import CorrectionsPart
from waybill.settings.addresses import is_address
from waybill.settings.schema import CorrectionSettings, Settings

__all__ = ["CorrectionFollower", "follow_corrections"]

log = logging.getLogger(__name__)
_PATH = "/v1/corrections"
_TIMEOUT_SECS = 30.0
#: Where nothing was fetched before, the start waits for it, but not longer.
_START_SECS = 5.0
_JITTER = 0.1
_PIECE_BYTES = 1 << 16
_STATUS: dict[int, CorrectionPullCode] = {401: "unauthorised", 403: "unauthorised"}


class _PullError(WaybillError):
    code: CorrectionPullCode

    def __init__(self, code: CorrectionPullCode, detail: str) -> None:
        super().__init__(f"{detail} [{code}]")
        self.code = code
        self.detail = detail


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
        self._token: SecretFile | None = None
        if settings.follow_token_file is not None:
            self._token = SecretFile(settings.follow_token_file, "corrections.follow_token_file")
        self._tag: str | None = None
        self._told = ""
        self._has_pulled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; wait a little for the first answer where there is nothing from before."""
        has_some = bool(self._part.source.fetched)
        self._task = asyncio.create_task(self._run())
        if has_some:
            return
        try:
            await asyncio.wait_for(self._has_pulled.wait(), _START_SECS)
        except TimeoutError:
            log.warning("no corrections were fetched yet", extra={"source": self._settings.follow})

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def pull(self) -> None:
        """Ask once; what goes wrong is counted, told and logged once."""
        try:
            outcome = "accepted" if await self._pull() else "unchanged"
        except _PullError as error:
            outcome = error.code
            self._tell(str(error))
        except CorrectionsError as error:
            outcome = error.errors[0].code
            self._tell(str(error.errors[0]))
        else:
            self._tell("")
        self._metrics.correction_pulls.labels(outcome).inc()

    async def _pull(self) -> bool:
        """Whether there is something new. Raises _PullError, CorrectionsError."""
        tag, data = await self._fetch()
        if data is None:
            return False
        source = self._part.source
        if source.fetched.strip() and not data.strip():
            detail = "the server has none any more; a blank line in its file takes all back"
            raise CorrectionsError([CorrectionError("emptied", detail, file=self._settings.follow)])
        await asyncio.to_thread(self._check, data)
        is_new = data != source.fetched
        source.take_fetched(data)
        self._tag = tag
        await self._part.catch_up()
        if is_new and self._cache is not None:
            await asyncio.to_thread(_keep, self._cache, data)
        return is_new

    def _check(self, data: bytes) -> None:
        """Refuse what could not come into force. Raises CorrectionsError."""
        read_table(parse_history(data, self._settings.follow or ""), self._part.taxonomy)

    async def _fetch(self) -> tuple[str | None, bytes | None]:
        """The tag and the content; None for a copy that we have. Raises _PullError."""
        headers = {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        if self._tag is not None:
            headers["If-None-Match"] = self._tag
        url = f"{(self._settings.follow or '').rstrip('/')}{_PATH}"
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                if answer.status == 304:
                    return self._tag, None
                if answer.status != 200:
                    code = _STATUS.get(answer.status, "refused")
                    raise _PullError(code, f"{url} answered {answer.status}")
                return answer.headers.get("ETag"), await _read(answer)
        except TimeoutError:
            raise _PullError("timeout", f"{url}: no answer within {_TIMEOUT_SECS:g} s") from None
        except aiohttp.ClientError as error:
            raise _PullError("unreachable", f"{url}: {error or type(error).__name__}") from None

    def _tell(self, problem: str) -> None:
        self._part.follow_problem = problem
        if problem and problem != self._told:
            log.warning("corrections could not be fetched", extra={"detail": problem})
        self._told = problem

    async def _run(self) -> None:
        while True:
            try:
                await self.pull()
            except Exception:  # the task's edge: it asks again
                log.exception("following corrections failed")
            self._has_pulled.set()
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            await asyncio.sleep(self._settings.interval_secs * jitter)


async def follow_corrections(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    part: object,
    metrics: Metrics,
    *,
    keeps: bool,
) -> None:
    """Follow the server of ``corrections.follow``, if there is one, until ``stack`` ends.

    Raises ConfigError: the file with the token cannot be used.
    """
    follow = settings.corrections.follow
    if follow is None or not is_address(follow) or not isinstance(part, CorrectionsPart):
        return
    follower = CorrectionFollower(settings.corrections, part, metrics, keeps=keeps)
    stack.push_async_callback(follower.stop)
    await follower.start()


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises _PullError (``too_large``)."""
    whole = bytearray()
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        whole += piece
        if len(whole) > MAX_TOTAL_BYTES:
            raise _PullError("too_large", f"more than {MAX_TOTAL_BYTES} bytes")
    return bytes(whole)


def _keep(cache: str, data: bytes) -> None:
    try:
        Path(cache).parent.mkdir(parents=True, exist_ok=True)
        with writing(cache) as file:
            file.write(data)
    except OSError as error:
        detail = f"{cache}: {error.strerror}"
        log.warning("fetched corrections are not kept for a restart", extra={"detail": detail})
