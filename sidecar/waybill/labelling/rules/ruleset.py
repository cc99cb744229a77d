"""The rule set in force: one Hyperscan database for all patterns, one scan per message.

Made by `waybill.labelling.rules.loading` from what the compiler process sent.
"""

from __future__ import annotations

import fnmatch
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import hyperscan
import msgspec
import regex

from waybill.core.prepare import prepare_all
from waybill.core.records import Verdict
from waybill.labelling.rules.artefact import Artefact, CompiledRule
from waybill.labelling.rules.pattern import CONFIRMATION_FLAGS

log = logging.getLogger(__name__)
#: What confirming one match may take, in seconds.
CONFIRM_SECS = 0.002
#: A rule whose confirmation runs out of time this often in a row is put out of force.
_MAX_TIMEOUTS = 5


class Rule(msgspec.Struct):
    """One rule in force. ``verdict`` is shared by every record that the rule decides."""

    index: int
    id: str
    label: str
    pattern: str
    mode: str
    file: str
    line: int
    sources: tuple[str, ...] | None
    verdict: Verdict
    samples: int
    #: None when a match of the database is certain.
    confirm: regex.Pattern[str] | None = None
    timeouts: int = 0

    def describe(self) -> dict[str, object]:
        """The rule as plain data."""
        return {
            "id": self.id,
            "label": self.label,
            "pattern": self.pattern,
            "mode": self.mode,
            "file": self.file,
            "line": self.line,
            "source": self.sources,
        }

    def fits(self, source: str) -> bool:
        """Whether the rule is meant for records of ``source``."""
        if self.sources is None:
            return True
        return any(fnmatch.fnmatchcase(source, pattern) for pattern in self.sources)


class RuleSet:
    """All rules of one load, in file order. Its scratch space makes it a thing of one thread."""

    def __init__(self, artefact: Artefact, max_message_bytes: int = 65_536) -> None:
        """Read the database back: milliseconds per thousand rules, so not on the event loop."""
        self.version = artefact.version[:12]
        self.content_hash = artefact.version
        self.rules = tuple(_rule(index, rule) for index, rule in enumerate(artefact.rules))
        #: Rules whose pattern no database holds: each message is put to them one by one.
        self._always = [index for index, rule in enumerate(artefact.rules) if rule.is_always]
        #: Of a message, patterns see no more than this.
        self.max_message_bytes = max_message_bytes
        self.shadow_hits: Counter[str] = Counter()
        self.timeouts = 0
        self._scan: Callable[..., object] | None = None
        self._scratch: object = None
        if artefact.database:
            database = hyperscan.loadb(artefact.database, mode=hyperscan.HS_MODE_BLOCK)
            self._scratch = hyperscan.Scratch(database)
            self._scan = database.scan

    def first_matches(
        self, texts: Sequence[str], allowed: frozenset[int] | None = None
    ) -> list[Rule | None]:
        """For each text the first rule in file order that matches it and is in force, or None.

        ``texts`` are prepared messages (`waybill.core.prepare`). ``allowed`` holds the indexes of
        the rules in question (`allowed_for`), None means all.
        """
        scan = self._scan
        scratch = self._scratch
        always = self._always
        limit = self.max_message_bytes
        rules: list[Rule | None] = []
        found: list[int] = []
        for message in texts:
            if scan is not None:
                try:
                    data = message.encode()
                except UnicodeEncodeError:
                    data = self._text(message)
                if len(data) > limit:
                    data = self._text(message)
                scan(data, _note_match, 0, found, scratch)
            if found or always:
                rules.append(self._choose(found, message, allowed))
                found.clear()
            else:
                rules.append(None)
        return rules

    def _choose(
        self, found: list[int], message: str, allowed: frozenset[int] | None
    ) -> Rule | None:
        """The first of the rules found for ``message`` that is in question and in force."""
        for index in self._in_order(found):
            rule = self.rules[index]
            if allowed is not None and index not in allowed:
                continue
            if not self._confirmed(rule, message):
                continue
            if rule.mode == "shadow":
                self.shadow_hits[rule.id] += 1
                continue
            return rule
        return None

    def _in_order(self, found: list[int]) -> list[int]:
        """What a scan found, and the rules that no scan finds, in file order."""
        if len(found) == 1 and not self._always:
            return found
        return sorted({*found, *self._always})

    def first_match(self, message: str, allowed: frozenset[int] | None = None) -> Rule | None:
        """`first_matches` for one message, as it came."""
        return self.first_matches(self._prepare(message), allowed)[0]

    def matching(self, message: str) -> list[Rule]:
        """Every rule whose pattern matches ``message`` as it came, whatever its mode or sources.

        In file order; nothing is counted.
        """
        (message,) = self._prepare(message)
        found: list[int] = []
        if self._scan is not None:
            self._scan(self._text(message), _note_match, 0, found, self._scratch)
        rules = [self.rules[index] for index in self._in_order(found)]
        return [rule for rule in rules if self._matches(rule, message)]

    def _prepare(self, message: str) -> Sequence[str]:
        return prepare_all([message], self.max_message_bytes)

    def _text(self, message: str) -> bytes:
        """What patterns see: UTF-8 up to the limit, a question mark for a lone surrogate."""
        data = message.encode("utf-8", "replace")
        if len(data) <= self.max_message_bytes:
            return data
        return data[: self.max_message_bytes].decode("utf-8", "ignore").encode()

    def explain(self, message: str, source: str) -> list[Rule]:
        """Every rule that matches ``message`` and is meant for ``source``."""
        return [rule for rule in self.matching(message) if rule.fits(source)]

    def take_counts(self) -> tuple[Counter[str], int]:
        """Shadow matches by rule id, and confirmations out of time, since the last call."""
        taken = (self.shadow_hits, self.timeouts)
        self.shadow_hits = Counter()
        self.timeouts = 0
        return taken

    def allowed_for(self, source: str, labels: Collection[str] | None) -> frozenset[int] | None:
        """The indexes of the rules that ``source`` and a route's ``labels`` leave in question.

        None for ``labels`` means all labels; None as the answer means all rules.
        """
        indexes = frozenset(
            rule.index
            for rule in self.rules
            if rule.fits(source) and (labels is None or rule.label in labels)
        )
        return None if len(indexes) == len(self.rules) else indexes

    def _confirmed(self, rule: Rule, message: str) -> bool:
        """Whether ``message`` matches, by the original pattern if need be; counts time-outs."""
        if rule.confirm is None:
            return True
        if rule.timeouts >= _MAX_TIMEOUTS:
            return False
        try:
            found = self._search(rule.confirm, message)
        except TimeoutError:
            self._note_timeout(rule)
            return False
        rule.timeouts = 0
        return found

    def _matches(self, rule: Rule, message: str) -> bool:
        """As `_confirmed`, without a trace."""
        if rule.confirm is None:
            return True
        if rule.timeouts >= _MAX_TIMEOUTS:
            return False
        try:
            return self._search(rule.confirm, message)
        except TimeoutError:
            return False

    def _search(self, pattern: regex.Pattern[str], message: str) -> bool:
        """Raises TimeoutError."""
        return pattern.search(message[: self.max_message_bytes], timeout=CONFIRM_SECS) is not None

    def _note_timeout(self, rule: Rule) -> None:
        rule.timeouts += 1
        self.timeouts += 1
        if rule.timeouts >= _MAX_TIMEOUTS:
            log.error("a rule is out of force: its pattern takes too long", extra={"rule": rule.id})


def _note_match(index: int, _from: int, _to: int, _flags: int, found: list[int]) -> None:
    """What Hyperscan calls for each match.

    No method: a rule set that refers to itself would outlive its reload.
    """
    found.append(index)


def _rule(index: int, compiled: CompiledRule) -> Rule:
    confirm = None
    if compiled.confirmation is not None:
        confirm = regex.compile(compiled.confirmation, CONFIRMATION_FLAGS)
    return Rule(
        index=index,
        id=compiled.id,
        label=compiled.label,
        pattern=compiled.pattern,
        mode=compiled.mode,
        file=compiled.file,
        line=compiled.line,
        sources=compiled.sources,
        verdict=Verdict(compiled.label, "rule", 1.0, compiled.id, fields=compiled.fields),
        samples=compiled.samples,
        confirm=confirm,
    )
