"""The labelling pipeline: a message and its source in, a verdict out, whatever happens.

    source -> route -> rules -> memo -> model -> (llm) -> Verdict

The rules and the memo answer at once, in one pass over the batch. What they leave undecided is
masked, deduplicated and put to the slower tiers of its route, within a deadline. A tier that fails
or is late costs a record its label, never the record: the verdict then is ``Unclassified`` with
the reason.

    >>> verdicts = await pipeline.label(["User User1 logged in."], ["ModernCRM"])
    >>> verdicts[0].label
    'User Action'
"""

from __future__ import annotations

import asyncio
import fnmatch
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from sidecar.config import RouteSettings, Settings
from sidecar.errors import TierUnavailable
from sidecar.labelling.memo import BoundedMap
from sidecar.labelling.normalize import mask, shape
from sidecar.labelling.rules.ruleset import RuleSet
from sidecar.records import UNCLASSIFIED, Verdict, unclassified

#: Records handled between two turns of the event loop (about 4 ms of rules and memo).
_SLICE = 4096
#: Sources remembered at most; beyond it the table starts anew.
_MAX_SOURCES = 10_000
#: Both shippers give up on a request after 60 s and send it again: with the handback's own time-out
#: behind it, this long is as long as a batch may wait for the model.
PATIENCE_SECS = 20.0

UNDECIDED = Verdict(UNCLASSIFIED, "none", reason="undecided")
NO_MESSAGE = unclassified("no_message")


class SlowTier(Protocol):
    """A tier that answers later: the model, the LLM.

    ``submit`` gives one future per text, in order; each resolves to a verdict, to None (this tier
    does not decide it), or fails with `TierUnavailable`.
    """

    name: str
    version: str
    wait_secs: float

    def submit(self, texts: Sequence[str], route: Route) -> Sequence[asyncio.Future[Verdict | None]]: ...


class Observer(Protocol):
    """Who wants to know what the pipeline did; `sidecar.ops.metrics.Metrics` is one."""

    def tier_failed(self, tier: str, reason: str) -> None:
        """A tier could not answer, for a reason from a closed set."""

    def tier_took(self, tier: str, secs: float) -> None:
        """A batch spent ``secs`` on a tier (``rules`` includes the memo)."""

    def memo_answered(self, exact: int, masked: int, missed: int) -> None:
        """Where a batch's verdicts came from: exact memo, memo of shapes, or neither."""


class Unobserved:
    """An `Observer` that does not care."""

    def tier_failed(self, tier: str, reason: str) -> None: ...
    def tier_took(self, tier: str, secs: float) -> None: ...
    def memo_answered(self, exact: int, masked: int, missed: int) -> None: ...


class Route:
    """One route of the configuration with the tiers that are really there."""

    def __init__(self, settings: RouteSettings, tiers: Mapping[str, SlowTier], off: Mapping[str, str]) -> None:
        self.patterns = settings.source
        self.labels = frozenset(settings.labels) if settings.labels is not None else None
        self.has_rules = "rules" in settings.tiers
        self.tiers = [tiers[name] for name in settings.tiers if name in tiers]
        missing = [off[name] for name in settings.tiers if name in off]
        #: The verdict when no tier decided: it names the tier that is off, if there is one.
        self.fallback = unclassified(missing[-1] if missing else "undecided")

    def fits(self, source: str) -> bool:
        """Whether records of ``source`` take this route."""
        return any(fnmatch.fnmatchcase(source, pattern) for pattern in self.patterns)

    def permits(self, label: str) -> bool:
        """Whether this route may answer ``label``."""
        return self.labels is None or label in self.labels


class _View(dict[str, Verdict]):
    """The memo as the sources of one kind see it: same route, same rules in scope.

    Indexing it with a message is the whole fast path: a message seen lately is a plain dict hit,
    any other goes through ``__missing__``: rules, then the memo of shapes.
    """

    __slots__ = ("allowed", "edition", "masked", "older", "route", "shapes")

    def __init__(self, edition: Edition, route: Route, allowed: frozenset[int] | None) -> None:
        super().__init__()
        self.edition, self.route, self.allowed = edition, route, allowed
        self.older: dict[str, Verdict] = {}
        self.shapes: BoundedMap[Verdict] = BoundedMap(edition.memo_bytes // 4)
        self.masked: BoundedMap[Verdict] = BoundedMap(edition.memo_bytes // 4)

    def __missing__(self, message: str) -> Verdict:
        verdict = self.older.get(message)
        if verdict is None:
            self.edition.exact_misses += 1
            verdict = self._decide(message)
            if verdict is UNDECIDED:
                return verdict
        self.edition.remember_exact(self, message, verdict)
        return verdict

    def _decide(self, message: str) -> Verdict:
        if self.route.has_rules:
            rule = self.edition.rules.first_match(message, self.allowed)
            if rule is not None:
                return rule.verdict
        if not self.route.tiers:
            return self.route.fallback
        verdict = self.shapes.get(shape(message))
        if verdict is None:
            return UNDECIDED
        self.edition.shape_hits += 1
        return verdict

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__
    __ne__ = object.__ne__


class _Views(dict[str | None, _View]):
    """Source -> view, filled as sources appear."""

    def __init__(self, edition: Edition) -> None:
        super().__init__()
        self._edition = edition

    def __missing__(self, source: str) -> _View:
        if len(self) >= _MAX_SOURCES:
            self.clear()
        view = self[source] = self._edition.view_for(source)
        return view


class Edition:
    """One rule set and one set of tiers, with the verdicts given under them.

    A batch is labelled under the edition it began with; a reload makes a new one.
    """

    def __init__(self, rules: RuleSet, routes: Sequence[Route], memo_bytes: int) -> None:
        self.rules, self.routes, self.memo_bytes = rules, routes, memo_bytes
        self.views = _Views(self)
        self._kinds: dict[tuple[int, frozenset[int] | None], _View] = {}
        self._exact_bytes = 0
        self.exact_misses = self.shape_hits = 0

    def view_for(self, source: str) -> _View:
        """The view that ``source`` shares with all sources of its kind."""
        i, route = next((i, r) for i, r in enumerate(self.routes) if r.fits(source))
        allowed = self.rules.allowed_for(source, route.labels) if route.has_rules else None
        if (i, allowed) not in self._kinds:
            self._kinds[i, allowed] = _View(self, route, allowed)
        return self._kinds[i, allowed]

    def remember_exact(self, view: _View, message: str, verdict: Verdict) -> None:
        """Keep the verdict of a message; when half the memo is full, all views drop their older half."""
        self._exact_bytes += 160 + len(message)
        if self._exact_bytes > self.memo_bytes // 4:
            for each in self._kinds.values():
                each.older = dict(each)
                each.clear()
            self._exact_bytes = 160 + len(message)
        view[message] = verdict

    def memo_entries(self) -> int:
        """Verdicts kept, over all views and levels."""
        kinds = self._kinds.values()
        return sum(len(view) + len(view.older) + len(view.shapes) + len(view.masked) for view in kinds)


class Pipeline:
    """Labels batches; holds the current edition and swaps it when rules or model change."""

    def __init__(
        self,
        settings: Settings,
        rules: RuleSet,
        tiers: Mapping[str, SlowTier],
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self._observer = observer or Unobserved()
        self._tiers = dict(tiers)
        self.edition = self._make_edition(rules)

    @property
    def rules(self) -> RuleSet:
        """The rule set in force."""
        return self.edition.rules

    def swap_rules(self, rules: RuleSet) -> None:
        """Put ``rules`` in force for every batch that begins from now on."""
        self.edition = self._make_edition(rules)

    def swap_tier(self, tier: SlowTier) -> None:
        """Put ``tier`` in the place of its namesake; verdicts of the old one are forgotten."""
        self._tiers[tier.name] = tier
        self.edition = self._make_edition(self.edition.rules)

    def _make_edition(self, rules: RuleSet) -> Edition:
        off = {name: f"{name}_disabled" for name in ("model", "llm") if name not in self._tiers}
        routes = [Route(route, self._tiers, off) for route in self._settings.routes]
        return Edition(rules, routes, self._settings.memo.bytes)

    async def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """One verdict per message, in order; never raises for what is in a record."""
        edition = self.edition
        verdicts: list[Verdict] = []
        for at in range(0, len(messages), _SLICE):
            if at:
                await asyncio.sleep(0)
            verdicts += self._decide_now(edition, messages[at : at + _SLICE], sources[at : at + _SLICE])
        undecided = [i for i, verdict in enumerate(verdicts) if verdict is UNDECIDED]
        if undecided:
            await self._decide_later(edition, messages, sources, verdicts, undecided)
        return verdicts

    def _decide_now(
        self, edition: Edition, messages: Sequence[str | None], sources: Sequence[str]
    ) -> list[Verdict]:
        views = edition.views
        begin, misses, shapes = time.perf_counter(), edition.exact_misses, edition.shape_hits
        try:
            return [
                views[source][message] if message is not None else NO_MESSAGE
                for message, source in zip(messages, sources, strict=True)
            ]
        except Exception:  # a rule engine that fails must not cost a record: go on one by one
            return [self._decide_one(edition, m, s) for m, s in zip(messages, sources, strict=True)]
        finally:
            missed, masked = edition.exact_misses - misses, edition.shape_hits - shapes
            self._observer.memo_answered(len(messages) - missed, masked, missed - masked)
            self._observer.tier_took("rules", time.perf_counter() - begin)

    def _decide_one(self, edition: Edition, message: str | None, source: str) -> Verdict:
        try:
            return NO_MESSAGE if message is None else edition.views[source][message]
        except Exception:  # as above; counted, and the record goes on without a label
            self._observer.tier_failed("rules", "failed")
            return unclassified("rules_failed")

    async def _decide_later(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: list[Verdict],
        undecided: Sequence[int],
    ) -> None:
        """Put each distinct masked message to the slow tiers of its route and fill in ``verdicts``."""
        groups: dict[tuple[_View, str], list[int]] = {}
        for n, i in enumerate(undecided):
            if n % 512 == 511:
                await asyncio.sleep(0)
            groups.setdefault((edition.views[sources[i]], mask(messages[i] or "")), []).append(i)
        answers = {key: verdict for key in groups if (verdict := key[0].masked.get(key[1])) is not None}
        open_keys = [key for key in groups if key not in answers]
        failed: dict[tuple[_View, str], Verdict] = {}
        for stage in range(max((len(view.route.tiers) for view, _ in open_keys), default=0)):
            by_tier: dict[tuple[Route, SlowTier], list[tuple[_View, str]]] = {}
            for key in open_keys:
                tiers = key[0].route.tiers
                if stage < len(tiers):
                    by_tier.setdefault((key[0].route, tiers[stage]), []).append(key)
            for (route, tier), keys in by_tier.items():
                await self._ask(route, tier, stage, keys, answers, failed)
            open_keys = [key for key in open_keys if key not in answers]
        for key, members in groups.items():
            view, text = key
            verdict = answers.get(key) or failed.get(key) or view.route.fallback
            for i in members:
                verdicts[i] = verdict
                if key in answers:
                    view.shapes.put(shape(messages[i] or ""), verdict)

    async def _ask(
        self,
        route: Route,
        tier: SlowTier,
        stage: int,
        keys: Sequence[tuple[_View, str]],
        answers: dict[tuple[_View, str], Verdict],
        failed: dict[tuple[_View, str], Verdict],
    ) -> None:
        """Ask one tier; verdicts go into ``answers``, what it could not say into ``failed``."""
        is_last = stage == len(route.tiers) - 1
        try:
            futures = tier.submit([text for _, text in keys], route)
        except TierUnavailable as error:
            self._observer.tier_failed(tier.name, error.code)
            failed.update(dict.fromkeys(keys, unclassified(f"{tier.name}_{error.code}")))
            return
        for (view, text), future in zip(keys, futures, strict=True):
            future.add_done_callback(lambda done, view=view, text=text: _remember(view, text, done))
        begin = time.perf_counter()
        await asyncio.wait(futures, timeout=tier.wait_secs)
        self._observer.tier_took(tier.name, time.perf_counter() - begin)
        for key, future in zip(keys, futures, strict=True):
            if not future.done():
                failed[key] = unclassified(f"{tier.name}_over_budget", "pending")
            elif future.cancelled() or (error := future.exception()) is not None:
                code = error.code if not future.cancelled() and isinstance(error, TierUnavailable) else "failed"
                self._observer.tier_failed(tier.name, code)
                failed[key] = unclassified(f"{tier.name}_{code}")
            elif (verdict := future.result()) is not None:
                if verdict.label == UNCLASSIFIED and not is_last:
                    failed[key] = verdict
                else:
                    answers[key] = verdict


def _remember(view: _View, text: str, done: asyncio.Future[Verdict | None]) -> None:
    """Keep a verdict that may have come after its batch had to go."""
    if done.cancelled() or done.exception() is not None:
        return
    verdict = done.result()
    is_final = verdict is not None and (verdict.label != UNCLASSIFIED or len(view.route.tiers) == 1)
    if verdict is not None and is_final:
        view.masked.put(text, verdict)
