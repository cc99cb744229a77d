"""Follows a model repository or folder: the newest accepted version comes into force by itself.

Pulling runs in a child process (`waybill.hub.child`): the client library costs memory that a
service on every node must not pay, and a hanging network must not hang anything here. The child
checks the bundle and lets ``<into>/current`` point to it; the reloader watches that folder like any
other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from waybill.core.child import ChildOutputError, run_child
from waybill.core.foreign import read_json
from waybill.hub.outcome import CURRENT, FAILED, Pulled, Refusal, read_failure
from waybill.ops.metrics import Metrics
from waybill.service.polling import Poller
from waybill.settings.schema import ModelSettings
from waybill.settings.taxonomy import DEFAULT_LABELS

log = logging.getLogger(__name__)

#: Pulls once and prints what it did; its options are those of ``waybill model pull``.
_PULL_MODULE = "waybill.hub.child"
#: A pull that takes longer is ended; the next one goes on where it was. A bundle has about 25 MB.
_PULL_SECS = 300.0
#: Where no version was ever pulled the start waits for one, but not longer.
_START_SECS = 20.0
#: Versions left in the folder: the one in force, and two to go back to.
_KEPT_VERSIONS = 3


class ModelFollower:
    """Pulls at the start and about every ``model.follow.interval_secs`` after."""

    def __init__(
        self, settings: ModelSettings, metrics: Metrics, labels: str = DEFAULT_LABELS
    ) -> None:
        #: The file of the labels that a version must keep to.
        self._labels = labels
        self._settings = settings.follow
        self._metrics = metrics
        self._poller = Poller(
            self._settings.source or "",
            self._settings.interval_secs,
            self.pull,
            lack="no model was pulled yet; model.path serves",
            start_secs=_START_SECS,
        )
        #: The troubles that the log has seen: each is told once, not every interval.
        self._reported: frozenset[tuple[str, str]] = frozenset()

    async def start(self) -> None:
        """Begin; wait for the first pull only where there was none before. Never raises: another
        bundle serves.
        """
        await self._poller.start(has_some=(Path(self._settings.into) / CURRENT).exists())

    async def stop(self) -> None:
        """Stop following; a pull under way is ended."""
        await self._poller.stop()

    async def pull(self) -> bool:
        """Pull once; whether the newest version is there and accepted. Counted and logged."""
        refused = await self._pull()
        self._report(refused)
        return not refused

    async def _pull(self) -> Mapping[str, Refusal]:
        """What was refused, by version; under ``""`` why nothing could be pulled."""
        try:
            ended = await run_child(_PULL_MODULE, self._arguments(), secs=_PULL_SECS)
        except TimeoutError:
            return {"": Refusal("timeout", f"not done after {_PULL_SECS:g} s")}
        except OSError as error:
            return {"": Refusal(FAILED, f"cannot start a process: {error.strerror}")}
        except ChildOutputError as error:
            return {"": Refusal(FAILED, str(error))}
        if ended.code:
            return {"": read_failure(ended.last_words())}
        try:
            pulled = read_json(ended.output, Pulled)
        except msgspec.DecodeError as error:
            return {"": Refusal(FAILED, str(error))}
        self._metrics.model_pulls.labels("accepted" if pulled.is_new else "unchanged").inc()
        if pulled.is_new:
            log.info(
                "a model version was pulled",
                extra={"version": pulled.version, "source": self._settings.source},
            )
        return pulled.refused

    def _arguments(self) -> list[str]:
        """Of the child."""
        settings = self._settings
        assert settings.source is not None
        arguments = [
            f"--repo={settings.source}",
            f"--into={settings.into}",
            f"--keep={_KEPT_VERSIONS}",
            f"--labels={self._labels}",
        ]
        if settings.endpoint:
            arguments.append(f"--endpoint={settings.endpoint}")
        if settings.version:
            arguments.append(f"--version={settings.version}")
        return arguments

    def _report(self, refused: Mapping[str, Refusal]) -> None:
        """Count each refusal, and log it unless the pull before met the same."""
        for version, (code, detail) in refused.items():
            self._metrics.model_pulls.labels(code).inc()
            if (version, code) not in self._reported:
                what = "a model version was refused" if version else "no model could be pulled"
                log.warning(
                    what, extra={"version": version or None, "reason": code, "detail": detail}
                )
        self._reported = frozenset((version, one.code) for version, one in refused.items())
