"""The rules of a service: they follow their files, and a workbench if there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from waybill.labelling.rules.artefact import Advice
from waybill.labelling.rules.files import content_hash
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.unread import unread_files
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.service.followed import Followed
from waybill.service.guard import CorrectionGuard
from waybill.service.opening import Labelling
from waybill.service.reading_rules import read_rules, rule_folders
from waybill.service.reload import Reloadable, part_name
from waybill.settings.schema import Settings

log = logging.getLogger(__name__)
#: Warnings about one set of rules that `/readyz` and the log tell.
_TOLD_WARNINGS = 100
_LOGGED_WARNINGS = 10


class RulesPart(Reloadable[RuleSet]):
    """The rules of ``rules.path`` and ``rules.extra_paths``."""

    def __init__(
        self,
        labelling: Labelling,
        metrics: Metrics,
        lock: asyncio.Lock,
        guard: CorrectionGuard,
    ) -> None:
        settings = labelling.settings
        pipeline = labelling.pipeline
        self._pipeline = pipeline
        self._metrics = metrics
        self._labelling = labelling.name
        self._settings = settings
        self._guard = guard
        self.followed = Followed(
            settings.rules.follow.source, "rules could not be fetched or are refused"
        )
        state = LoadState(part_name(labelling.name, "rules"), metrics)
        super().__init__(state, lock, pipeline.rules)
        seen = _fingerprint(pipeline.rules.content_hash, pipeline.rules.advice)
        self.follow(_watched(settings), self._look, settings.rules.poll_secs, seen)

    async def _read(self, followed: Path | None = None) -> RuleSet:
        """The rules as they would be in force; ``followed`` is a folder of followed files in place
        of the one that is. Raises RuleSetError.
        """
        found = await read_rules(self._settings, self._pipeline.taxonomy, followed)
        return await self._guard.check_rules(found)

    async def check(self, followed: Path) -> None:
        """Refuse followed files that could not come into force. Raises RuleSetError."""
        async with self._lock:
            await self._read(followed)

    def _mark(self, found: RuleSet) -> object:
        """What tells one load from another: the rules, and what is doubtful about them."""
        return found.version, found.advice

    def _put_in_force(self, found: RuleSet) -> None:
        self._pipeline.swap_rules(found)

    @property
    def corrections_version(self) -> str:
        """Of the corrections that guard the rules."""
        return self._pipeline.corrections.version

    def _look(self) -> str:
        """The fingerprint of what is in the folders now. Raises OSError while it is exchanged."""
        folders = rule_folders(self._settings)
        mark = content_hash(folders, self._settings.rules.disable)
        return _fingerprint(mark, unread_files(folders))

    def _log_in_force(self) -> str:
        rules = self._pipeline.rules
        fields: dict[str, object] = {"version": rules.version, "rules": len(rules.rules)}
        if self._labelling:
            self._metrics.further.rules_loaded.labels(self._labelling).set(len(rules.rules))
            fields["labelling"] = self._labelling
        else:
            self._metrics.rules_loaded.set(len(rules.rules))
        log.info("rules are in force", extra=fields)
        _log_advice(rules)
        return rules.version

    def describe(self) -> dict[str, object]:
        """The state as plain data, with what is doubtful about the rules.

        ``slow``: the rules that were slow within the last hour.
        """
        rules = self._pipeline.rules
        warnings = [str(advice) for advice in rules.advice[:_TOLD_WARNINGS]]
        slow = rules.slow_rules()
        return {
            **super().describe(),
            "warnings": warnings,
            "warning_count": len(rules.advice),
            "slow": slow,
            **self.followed.describe(),
        }

    def edition(self) -> dict[str, object]:
        """The state, with a mark of each file that is in force (see `text_mark`)."""
        files = self._pipeline.rules.file_marks
        return {**super().edition(), "files": files, **self.followed.describe()}


def _watched(settings: Settings) -> list[Path]:
    """The folders whose entries change when the rules do."""
    folders = rule_folders(settings)
    if settings.rules.follow.source is not None:
        folders.append(Path(settings.rules.follow.into))
    return folders


def _fingerprint(mark: str, advice: Iterable[Advice]) -> str:
    """Changes with the rules, and with the files that look like rules and are not read."""
    unread = [f"{one.file}: {one.detail}" for one in advice if one.code == "not_read"]
    return "\n".join([mark, *unread])


def _log_advice(rules: RuleSet) -> None:
    """Log each doubt by itself: the log's rate limit knows them apart."""
    for advice in rules.advice[:_LOGGED_WARNINGS]:
        fields = {
            "file": advice.file,
            "line": advice.line,
            "rule": advice.rule_id,
            "reason": advice.code,
            "detail": advice.detail,
            "warnings": len(rules.advice),
        }
        log.warning("something about the rules is doubtful", extra=fields)
