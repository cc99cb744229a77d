"""The rule set in force: one Hyperscan database for all patterns, one scan per message.

Made by `waybill.labelling.rules.loading` from what the compiler process sent.
"""

from __future__ import annotations

import contextlib
import copy
import fnmatch
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from waybill.core.clock import Clock
from waybill.core.prepare import prepare_all
from waybill.core.records import Verdict
from waybill.labelling.rules.artefact import Artefact, CompiledRule
from waybill.labelling.rules.confirming import CONFIRM_SECS, Confirmation, Confirmer, SlowRule
from waybill.labelling.rules.known import Scanner
from waybill.labelling.rules.pacing import Pace
from waybill.labelling.rules.pattern import compile_confirmation
from waybill.labelling.rules.scopes import RuleScopes

#: Off the records' way a confirmation that ran out of time is tried so often: on a busy machine
#: the time may have gone to others.
_TRIES = 5


class Counts(NamedTuple):
    """What happened since the last time somebody asked."""

    #: Matches of shadow rules, by rule id.
    shadow_hits: Counter[str]
    #: Confirmations that ran out of time.
    timeouts: int
    #: Matches that were not put to their rule: out of time, or out of force.
    unconfirmed: int


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
    confirm: Confirmation | None = None

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

    def __init__(
        self,
        artefact: Artefact,
        max_message_bytes: int = 65_536,
        clock: Clock = time.perf_counter,
        beside: RuleSet | None = None,
    ) -> None:
        """Read the database back: milliseconds per thousand rules, so not on the event loop.

        ``beside``: the rule set whose database stood already (`Artefact`).
        """
        self.version = artefact.version[:12]
        self.content_hash = artefact.version
        #: What is doubtful about the rules and their files.
        self.advice = artefact.advice
        #: Base name of each file and a mark of its text, where it was read from files.
        self.file_marks: dict[str, str] = {}
        #: Size of the compiled patterns.
        self.database_bytes = len(artefact.database) + len(artefact.known_database)
        #: ``match`` samples that another rule decides, in another way.
        self.taken_samples = artefact.taken_samples
        #: Rules that are written and not in force: disabled, or overridden.
        self.replaced = artefact.replaced
        self._confirmer = Confirmer(clock)
        #: How much of a batch is put to the rules in one turn of the event loop.
        self.pace = Pace(self._confirmer)
        self.rules = tuple(self._rule(index, rule) for index, rule in enumerate(artefact.rules))
        #: Rules whose pattern no database holds: each message is put to them one by one.
        self._always = [index for index, rule in enumerate(artefact.rules) if rule.is_always]
        #: By index, those that a match of the database decides for, and nothing else.
        self._certain = {
            rule.index: rule
            for rule in self.rules
            if rule.confirm is None and rule.mode != "shadow"
        }
        #: Of a message, patterns see no more than this.
        self.max_message_bytes = max_message_bytes
        labels = [rule.label for rule in self.rules]
        self._scopes = RuleScopes([rule.sources for rule in self.rules], labels)
        self.shadow_hits: Counter[str] = Counter()
        self._counted = (0, 0)
        self.scanner: Scanner = Scanner(artefact, beside.scanner if beside is not None else None)
        self._scan = self.scanner.scan
        self._scratch = self.scanner.scratch()

    def for_thread(self) -> RuleSet:
        """The same rules with a scratch space of their own, for `matching` on another thread."""
        copied = copy.copy(self)
        copied._scratch = self.scanner.scratch()  # noqa: SLF001 - our own class
        return copied

    def first_matches(
        self,
        texts: Sequence[str],
        allowed: frozenset[int] | None = None,
        encoded: Sequence[bytes] | None = None,
    ) -> list[Rule | None]:
        """For each text the first rule in file order that matches it and is in force, or None.

        ``texts`` are prepared messages (`waybill.core.prepare`), ``encoded`` the same in UTF-8 if
        none is longer than ``max_message_bytes``. ``allowed`` holds the indexes of the rules in
        question (`allowed_for`), None means all.
        """
        if encoded is None:
            encoded = self._texts(texts)
        scan = self._scan
        scratch = self._scratch
        always = self._always
        certain = self._certain
        if always or allowed is not None:
            certain = {}
        rules: list[Rule | None] = []
        found: list[int] = []
        for message, data in zip(texts, encoded, strict=True):
            if scan is not None:
                scan(data, _note_match, 0, found, scratch)
            if found or always:
                rule = None
                if len(found) == 1:
                    rule = certain.get(found[0])
                rules.append(rule or self._choose(found, message, allowed))
                found.clear()
            else:
                rules.append(None)
        return rules

    def _choose(
        self, found: list[int], message: str, allowed: frozenset[int] | None
    ) -> Rule | None:
        """The first of the rules found for ``message`` that is in question and in force."""
        self._confirmer.begin_message()
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

    def _texts(self, messages: Sequence[str]) -> list[bytes]:
        """`_text` of each of ``messages``, without a call in Python for each."""
        try:
            found = list(map(str.encode, messages))
        except UnicodeEncodeError:
            return list(map(self._text, messages))
        is_short = max(map(len, found), default=0) <= self.max_message_bytes
        return found if is_short else list(map(self._text, messages))

    def _text(self, message: str) -> bytes:
        """What patterns see: UTF-8 up to the limit, a question mark for a lone surrogate."""
        data = message.encode("utf-8", "replace")
        if len(data) <= self.max_message_bytes:
            return data
        return data[: self.max_message_bytes].decode("utf-8", "ignore").encode()

    def explain(self, message: str, source: str) -> list[Rule]:
        """Every rule that matches ``message`` and is meant for ``source``."""
        return [rule for rule in self.matching(message) if rule.fits(source)]

    def take_counts(self) -> Counts:
        """What happened since the last call."""
        timeouts, unconfirmed = self._counted
        self._counted = (self._confirmer.timeouts, self._confirmer.unconfirmed)
        taken = Counts(
            self.shadow_hits, self._counted[0] - timeouts, self._counted[1] - unconfirmed
        )
        self.shadow_hits = Counter()
        return taken

    @property
    def unconfirmed(self) -> int:
        """Matches so far that were not put to their rule, so that another had to decide."""
        return self._confirmer.unconfirmed

    def slow_rules(self) -> list[SlowRule]:
        """The rules that were slow within the last hour, out of force or not."""
        return self._confirmer.describe()

    def allowed_for(self, source: str, labels: Collection[str] | None) -> frozenset[int] | None:
        """The indexes of the rules that ``source`` and a route's ``labels`` leave in question.

        None for ``labels`` means all labels; None as the answer means all rules.
        """
        return self._scopes.allowed_for(source, labels)

    def _confirmed(self, rule: Rule, message: str) -> bool:
        """Whether ``message`` matches, by the original pattern if need be."""
        if rule.confirm is None:
            return True
        return self._confirmer.confirms(rule.confirm, message[: self.max_message_bytes])

    def _matches(self, rule: Rule, message: str) -> bool:
        """As `_confirmed`, without a trace; a busy machine is no reason to say no."""
        if rule.confirm is None:
            return True
        text = message[: self.max_message_bytes]
        for _ in range(_TRIES):
            with contextlib.suppress(TimeoutError):
                return rule.confirm.pattern.search(text, timeout=CONFIRM_SECS) is not None
        return False

    def _rule(self, index: int, compiled: CompiledRule) -> Rule:
        confirm = None
        if compiled.confirmation is not None:
            pattern = compile_confirmation(compiled.confirmation)
            confirm = self._confirmer.add(compiled.id, compiled.file, compiled.line, pattern)
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


def _note_match(index: int, _from: int, _to: int, _flags: int, found: list[int]) -> None:
    """What Hyperscan calls for each match.

    No method: a rule set that refers to itself would outlive its reload.
    """
    found.append(index)
