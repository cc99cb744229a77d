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
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from waybill.core.errors import TierUnavailable
from waybill.core.names import SLOW_TIERS, SlowTierName, TierName
from waybill.core.reasons import Reason, TierCode, silent
from waybill.core.records import UNCLASSIFIED, Verdict, unclassified
from waybill.labelling.masking import mask, shape
from waybill.labelling.memo import BoundedMap
from waybill.labelling.rules.ruleset import RuleSet
from waybill.settings.schema import RouteSettings, Settings

#: Records handled between two turns of the event loop (about 4 ms of rules and memo).
_SLICE = 4096
#: Messages masked between two turns of the event loop (about 3 ms).
_MASK_SLICE = 512
#: Sources remembered at most; beyond it the table starts anew.
_MAX_SOURCES = 10_000
#: Both shippers give up on a request after 60 s and send it again: with the handback behind it
#: (`waybill.flow.flow.PUSH_WAIT_SECS` and ``return.timeout_secs``), this long may a batch wait for the model.
PATIENCE_SECS = 15.0

#: Below this share of exact hits the exact memo keeps only a sample. One in 16 kept messages that come
#: again all the time would show as about this share.
_RARE_HITS = 0.05

UNDECIDED = Verdict(UNCLASSIFIED, "none", reason="undecided")
NO_MESSAGE = unclassified("no_message")


class SlowTier(Protocol):
    """A tier that answers later: the model, the LLM.

    ``submit`` gives one future per text, in order; each resolves to a verdict, to None (this tier
    does not decide it), or fails with `TierUnavailable`.
    """

    name: SlowTierName
    version: str
    wait_secs: float

    def submit(
        self, texts: Sequence[str], route: Route
    ) -> Sequence[asyncio.Future[Verdict | None]]: ...


class Observer(Protocol):
    """Who wants to know what the pipeline did; `waybill.ops.metrics.Metrics` is one."""

    def tier_failed(self, tier: TierName, reason: TierCode) -> None:
        """A tier could not answer, for a reason from a closed set."""

    def tier_took(self, tier: TierName, secs: float) -> None:
        """A batch spent ``secs`` on a tier (``rule`` includes the memo)."""

    def memo_answered(self, exact: int, masked: int, missed: int) -> None:
        """Where a batch's verdicts came from: exact memo, memo of shapes, or neither."""


class Unobserved:
    """An `Observer` that does not care."""

    def tier_failed(self, tier: TierName, reason: TierCode) -> None: ...
    def tier_took(self, tier: TierName, secs: float) -> None: ...
    def memo_answered(self, exact: int, masked: int, missed: int) -> None: ...


class Route:
    """One route of the configuration with the tiers that are really there."""

    def __init__(
        self,
        settings: RouteSettings,
        tiers: Mapping[str, SlowTier],
        off: Mapping[str, Reason],
        memo_bytes: int,
        only: Sequence[str] = ("*",),
    ) -> None:
        self.patterns = settings.source
        #: Of the sources that fit, those that may take this route.
        self._only = only
        self.labels = frozenset(settings.labels) if settings.labels is not None else None
        self.has_rules = "rules" in settings.tiers
        self.tiers = [tiers[name] for name in settings.tiers if name in tiers]
        missing = [off[name] for name in settings.tiers if name in off]
        #: The verdict when no tier decided: it names the tier that is off, if there is one.
        self.fallback = unclassified(missing[-1] if missing else "undecided")
        #: Verdicts of the slow tiers, by shape and by mask. No rule has a part in them, so they outlive
        #: a reload of the rules.
        self.shapes: BoundedMap[Verdict] = BoundedMap(memo_bytes // 2)
        self.masked: BoundedMap[Verdict] = BoundedMap(memo_bytes // 2)

    def fits(self, source: str) -> bool:
        """Whether records of ``source`` take this route."""
        return all(
            any(fnmatch.fnmatchcase(source, pattern) for pattern in patterns)
            for patterns in (self.patterns, self._only)
        )

    def permits(self, label: str) -> bool:
        """Whether this route may answer ``label``."""
        return self.labels is None or label in self.labels


class _View:
    """The memo as the sources of one kind see it: same route, same rules in scope."""

    __slots__ = ("allowed", "by_shape", "exact", "known", "route", "rules")

    def __init__(
        self, rules: RuleSet, route: Route, allowed: frozenset[int] | None, memo_bytes: int
    ) -> None:
        self.rules, self.route, self.allowed = rules, route, allowed
        #: How many of the last `decide`'s verdicts came from shapes.
        self.by_shape = 0
        self.exact: BoundedMap[Verdict] = BoundedMap(memo_bytes)
        #: The exact memo's young generation, for the hot loop.
        self.known = self.exact.recent.get

    def decide(self, messages: Sequence[str]) -> list[Verdict]:
        """Verdicts by rules, else by shape, else UNDECIDED, for messages that the exact memo does not know."""
        route = self.route
        self.by_shape = 0
        rules = (
            self.rules.first_matches(messages, self.allowed)
            if route.has_rules
            else [None] * len(messages)
        )
        if not route.tiers:
            return [rule.verdict if rule is not None else route.fallback for rule in rules]
        known, lookup = route.shapes.recent.get, route.shapes.get
        verdicts = []
        for message, rule in zip(messages, rules, strict=True):
            if rule is not None:
                verdicts.append(rule.verdict)
            else:
                key = shape(message)
                verdicts.append(known(key) or lookup(key) or UNDECIDED)
        self.by_shape = rules.count(None) - verdicts.count(UNDECIDED)
        return verdicts


class _Views(dict[str, _View]):
    """Source -> view, filled as sources appear.

    It does not know its edition: with a cycle, an edition that a reload replaced would keep its memo
    until the collector's next full pass, which on a settled service is an hour away.
    """

    def __init__(self, rules: RuleSet, routes: Sequence[Route], memo_bytes: int) -> None:
        super().__init__()
        self._rules, self._routes, self._memo_bytes = rules, routes, memo_bytes
        self.kinds: dict[tuple[int, frozenset[int] | None], _View] = {}

    def __missing__(self, source: str) -> _View:
        if len(self) >= _MAX_SOURCES:
            self.clear()
        view = self[source] = self._view_for(source)
        return view

    def _view_for(self, source: str) -> _View:
        """The view that ``source`` shares with all sources of its kind."""
        i, route = next((i, r) for i, r in enumerate(self._routes) if r.fits(source))
        allowed = self._rules.allowed_for(source, route.labels) if route.has_rules else None
        if (i, allowed) not in self.kinds:
            # Kinds are few (a route, a set of rules in scope); each gets an equal share of the memo.
            share = self._memo_bytes // max(len(self._routes), len(self.kinds) + 1)
            self.kinds[i, allowed] = _View(self._rules, route, allowed, share)
        return self.kinds[i, allowed]


class Edition:
    """One rule set and one set of tiers, with the verdicts given under them.

    A batch is labelled under the edition it began with; a reload makes a new one.
    """

    def __init__(self, rules: RuleSet, routes: Sequence[Route], memo_bytes: int) -> None:
        self.rules, self.routes = rules, routes
        self.views = _Views(rules, routes, memo_bytes)
        #: 1: every exact message is kept; 16: one in 16 is, because hardly any comes twice.
        self.keep_every = 1
        self._hit_share = 1.0

    def note_hits(self, hits: int, count: int) -> None:
        """Learn from a slice how often exact messages come again, and keep them accordingly.

        Messages with a clock or a counter in them never do; keeping each would cost more than it saves.
        The sample that is still kept shows when that changes.
        """
        weight = min(1.0, count / _SLICE)
        self._hit_share += weight * (hits / count - self._hit_share) if count else 0.0
        self.keep_every = 16 if self._hit_share < _RARE_HITS else 1

    def memo_entries(self) -> int:
        """Verdicts kept, over all views and levels."""
        routes = sum(len(route.shapes) + len(route.masked) for route in self.routes)
        return routes + sum(len(view.exact) for view in self.views.kinds.values())


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
        self.edition = self._make_edition(rules, self._make_routes())

    @property
    def rules(self) -> RuleSet:
        """The rule set in force."""
        return self.edition.rules

    def swap_rules(self, rules: RuleSet) -> None:
        """Put ``rules`` in force for every batch that begins from now on."""
        self.edition = self._make_edition(rules, self.edition.routes)

    def swap_tier(self, tier: SlowTier) -> None:
        """Put ``tier`` in the place of its namesake; verdicts of the old one are forgotten."""
        self._tiers[tier.name] = tier
        self.edition = self._make_edition(self.edition.rules, self._make_routes())

    def _make_routes(self) -> list[Route]:
        off: dict[str, Reason] = {}
        for name in SLOW_TIERS:
            if name not in self._tiers:
                off[name] = silent(name, "disabled")
        share = self._settings.memo.bytes // 2 // len(self._settings.routes)
        allowed = self._settings.llm.sources
        routes = []
        for route in self._settings.routes:
            if allowed is None or "llm" not in route.tiers or "llm" in off:
                routes.append(Route(route, self._tiers, off, share))
                continue
            # Records that must not leave take a twin of the route, without the LLM.
            rest = {name: tier for name, tier in self._tiers.items() if name != "llm"}
            routes.append(Route(route, self._tiers, off, share // 2, only=allowed))
            routes.append(Route(route, rest, off | {"llm": "llm_source_not_allowed"}, share // 2))
        return routes

    def _make_edition(self, rules: RuleSet, routes: Sequence[Route]) -> Edition:
        return Edition(rules, routes, self._settings.memo.bytes // 2)

    async def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """One verdict per message, in order; never raises for what is in a record."""
        edition = self.edition
        verdicts: list[Verdict] = []
        for at in range(0, len(messages), _SLICE):
            if at:
                await asyncio.sleep(0)
            verdicts += self._decide_now(
                edition, messages[at : at + _SLICE], sources[at : at + _SLICE]
            )
        if UNDECIDED in verdicts:
            await self._decide_later(edition, messages, sources, verdicts)
        return verdicts

    def _decide_now(
        self, edition: Edition, messages: Sequence[str | None], sources: Sequence[str]
    ) -> list[Verdict]:
        """Exact memo, rules, memo of shapes: everything that needs no waiting."""
        begin = time.perf_counter()
        views = list(map(edition.views.__getitem__, sources))
        verdicts = [
            view.known(message) if message is not None else NO_MESSAGE
            for view, message in zip(views, messages, strict=True)
        ]
        missing = [i for i, verdict in enumerate(verdicts) if verdict is None]
        masked = 0
        kinds = {views[i] for i in missing}
        for view in kinds:
            indexes = missing if len(kinds) == 1 else [i for i in missing if views[i] is view]
            # None among the messages has its verdict already. (No cast: it is a call, for every record.)
            decided = self._decide_missing(edition, view, [messages[i] for i in indexes])  # type: ignore[misc]
            for i, verdict in zip(indexes, decided, strict=True):
                verdicts[i] = verdict
            masked += view.by_shape
        hits = len(messages) - len(missing)
        edition.note_hits(hits, len(messages))
        self._observer.memo_answered(hits, masked, len(missing) - masked)
        self._observer.tier_took("rule", time.perf_counter() - begin)
        return cast("list[Verdict]", verdicts)

    def _decide_missing(
        self, edition: Edition, view: _View, messages: Sequence[str]
    ) -> list[Verdict]:
        """Decide, and keep what was decided; a rule engine that fails costs its records the label only."""
        try:
            verdicts = view.decide(messages)
        except Exception:  # noqa: BLE001 - counted, and the records go on without a label
            self._observer.tier_failed("rule", "failed")
            return [unclassified("rules_failed")] * len(messages)
        for i in range(0, len(messages), edition.keep_every):
            if verdicts[i] is not UNDECIDED:
                view.exact.put(messages[i], verdicts[i])
        return verdicts

    async def _decide_later(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: list[Verdict],
    ) -> None:
        """Put each distinct masked message to the slow tiers of its route and fill in ``verdicts``."""
        questions: dict[Route, dict[str, list[int]]] = {}
        undecided = [i for i, verdict in enumerate(verdicts) if verdict is UNDECIDED]
        for n, i in enumerate(undecided, 1):
            route = edition.views[sources[i]].route
            questions.setdefault(route, {}).setdefault(mask(messages[i] or ""), []).append(i)
            if n % _MASK_SLICE == 0:
                await asyncio.sleep(0)
        answers = await asyncio.gather(
            *(self._resolve(route, list(texts)) for route, texts in questions.items())
        )
        for (route, texts), answer in zip(questions.items(), answers, strict=True):
            for text, indexes in texts.items():
                is_lasting = route.masked.get(text) is not None
                for i in indexes:
                    verdicts[i] = answer[text]
                    if is_lasting:
                        route.shapes.put(shape(messages[i] or ""), answer[text])

    async def _resolve(self, route: Route, texts: Sequence[str]) -> dict[str, Verdict]:
        """A verdict for each masked message: the memo's, or that of the first tier of the route which decides."""
        answers = {text: route.masked.get(text) or route.fallback for text in texts}
        for tier in route.tiers:
            # What an earlier tier is still busy with is not asked of a later one.
            undecided = [
                text
                for text, verdict in answers.items()
                if verdict.label == UNCLASSIFIED
                and verdict.tier != "pending"
                and text not in route.masked
            ]
            if not undecided:
                break
            for text, verdict in zip(
                undecided, await self._ask(tier, route, undecided), strict=True
            ):
                answers[text] = verdict or answers[text]
        return answers

    async def _ask(
        self, tier: SlowTier, route: Route, texts: Sequence[str]
    ) -> list[Verdict | None]:
        """What one tier says of each text within its time; None where it has nothing to say."""
        try:
            futures = tier.submit(texts, route)
        except TierUnavailable as error:
            self._observer.tier_failed(tier.name, error.code)
            return [unclassified(silent(tier.name, error.code))] * len(texts)
        is_last = tier is route.tiers[-1]
        for text, future in zip(texts, futures, strict=True):
            future.add_done_callback(functools.partial(_remember, route, text, is_last))
        begin = time.perf_counter()
        await asyncio.wait(futures, timeout=tier.wait_secs)
        self._observer.tier_took(tier.name, time.perf_counter() - begin)
        return [self._outcome(tier, future) for future in futures]

    def _outcome(self, tier: SlowTier, future: asyncio.Future[Verdict | None]) -> Verdict | None:
        if not future.done():
            return unclassified(silent(tier.name, "over_budget"), "pending")
        code = _failure(future)
        if code is None:
            return future.result()
        self._observer.tier_failed(tier.name, code)
        return unclassified(silent(tier.name, code))


def _failure(future: asyncio.Future[Verdict | None]) -> TierCode | None:
    """Why a finished future has no result, as a bounded code; None when it has one."""
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is None:
        return None
    return error.code if isinstance(error, TierUnavailable) else "failed"


def _remember(route: Route, text: str, is_last: bool, done: asyncio.Future[Verdict | None]) -> None:
    """Keep a verdict, even one that came after its batch had to go; no later tier may overrule it then."""
    verdict = done.result() if _failure(done) is None else None
    if verdict is not None and (is_last or verdict.label != UNCLASSIFIED):
        route.masked.put(text, verdict)
