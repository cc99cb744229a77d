"""Follows the rule files of a workbench: what compiles here, beside the own rules, comes in force.

Asked about every ``rules.follow.interval_secs``, and what we have is not sent again. Every version
is checked by the real compiler, with all other rules and the corrections that guard them, before it
is taken; one that is refused leaves what was in force. The last good one stays on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from waybill.core.errors import CompilerBusyError, RuleSetError
from waybill.core.reasons import RulePullCode
from waybill.labelling.rules.files import content_hash
from waybill.labelling.rules.texts import PATH, TextsError, decode_texts, texts_version
from waybill.ops.metrics import Metrics
from waybill.service.fetching import START_SECS, Fetcher, FetchError
from waybill.service.followed_rules import FollowedFolder
from waybill.service.polling import Poller
from waybill.service.reading_rules import rule_folders
from waybill.service.rules import RulesPart
from waybill.settings.schema import Settings

__all__ = ["RuleFollower", "follow_rules"]

#: A thousand rules with their samples have 0.4 MB.
_MOST_BYTES = 8 << 20


class RuleFollower:
    """Fetches for ``part``. Raises ConfigError: the file with the token cannot be used."""

    def __init__(self, settings: Settings, part: RulesPart, metrics: Metrics) -> None:
        follow = settings.rules.follow
        assert follow.source is not None
        self._settings = settings
        self._part = part
        self._metrics = metrics
        self._folder = FollowedFolder(Path(follow.into))
        url = f"{follow.source.rstrip('/')}{PATH}"
        self._fetcher = Fetcher(url, follow.token_file, "rules.follow.token_file", _MOST_BYTES)
        self._poller = Poller(
            url,
            follow.interval_secs,
            self.pull,
            lack="no rules were fetched yet",
            start_secs=START_SECS,
        )
        #: What was refused last, with the other rules that stood then: it is not checked again
        #: while nothing changes, since a check costs processor time.
        self._refused: tuple[tuple[str, str], RulePullCode, str] | None = None

    async def start(self) -> None:
        """Begin; wait a little for the first answer where there is nothing from before."""
        await self._poller.start(has_some=bool(self._folder.version()))

    async def stop(self) -> None:
        """Stop following."""
        await self._poller.stop()

    async def pull(self) -> None:
        """Ask once; what goes wrong is counted, told and logged once."""
        outcome: str
        try:
            outcome = await self._pull()
            if outcome in ("accepted", "unchanged"):
                self._part.followed.tell("")
        except FetchError as error:
            outcome = self._fail(error.code, str(error))
        except TextsError as error:
            outcome = self._fail("malformed", f"{self._fetcher.url}: {error}")
        except RuleSetError as error:
            outcome = self._fail(error.errors[0].code, "; ".join(error.problems[:10]))
        except OSError as error:
            into = self._settings.rules.follow.into
            outcome = self._fail("disk", f"rules.follow.into: {into}: {error.strerror or error}")
        self._metrics.rule_pulls.labels(outcome).inc()

    async def _pull(self) -> str:
        """How it ended. Raises FetchError, TextsError, RuleSetError, OSError."""
        data, tag = await self._fetcher.fetch()
        if data is None:
            return await self._keep()
        if not data and self._folder.version():
            return self._fail("emptied", "the server has none any more; the last ones stay")
        if not data:
            return "unchanged"
        files = await asyncio.to_thread(decode_texts, data)
        version = await asyncio.to_thread(texts_version, files)
        if version == self._folder.version():
            outcome = await self._keep()
        else:
            outcome = await self._take(files, version)
        if outcome in ("accepted", "unchanged"):
            self._fetcher.tag = tag
        return outcome

    async def _keep(self) -> str:
        """What is offered is in force; perhaps something between was refused, which is over."""
        if self._refused is not None:
            self._refused = None
            self._part.state.settled()
            await self._part.reload()
        return "unchanged"

    async def _take(self, files: dict[str, str], version: str) -> str:
        """Check and keep them. Raises RuleSetError, OSError."""
        key = (version, await asyncio.to_thread(self._others))
        if self._refused is not None and self._refused[0] == key:
            return self._fail(*self._refused[1:])
        staged = await asyncio.to_thread(self._folder.stage, files)
        try:
            await self._part.check(staged)
        except RuleSetError as error:
            await asyncio.to_thread(self._folder.drop, staged)
            if isinstance(error, CompilerBusyError):
                raise  # nobody has refused them: they are tried again
            code = error.errors[0].code
            self._part.state.refused(error.problems, code, stands=True)
            self._refused = key, code, "; ".join(error.problems[:10])
            raise
        await asyncio.to_thread(self._folder.keep, staged)
        self._refused = None
        self._part.state.settled()
        await self._part.reload()
        return "accepted"

    def _others(self) -> str:
        """A mark of what else decides whether files are taken: the other rules, and corrections."""
        rules = content_hash(rule_folders(self._settings), self._settings.rules.disable)
        return f"{rules} {self._part.corrections_version}"

    def _fail(self, code: RulePullCode, detail: str) -> RulePullCode:
        self._part.followed.tell(f"{detail} [{code}]" if f"[{code}]" not in detail else detail)
        return code


async def follow_rules(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    part: RulesPart | None,
    metrics: Metrics,
    *,
    keeps: bool,
) -> None:
    """Follow the workbench of ``rules.follow``, if there is one, until ``stack`` ends.

    One process of several ``keeps`` what comes; the others see its folder change. Raises
    ConfigError: the file with the token cannot be used.
    """
    follow = settings.rules.follow.source
    if follow is None or not keeps or part is None:
        return
    follower = RuleFollower(settings, part, metrics)
    stack.push_async_callback(follower.stop)
    await follower.start()
