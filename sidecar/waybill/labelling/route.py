"""Routes: which tiers decide records of which sources. Frozen policy; verdicts are in `memo`."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

import msgspec

from waybill.core.labels import Taxonomy
from waybill.core.names import SLOW_TIERS
from waybill.core.reasons import Reason, silent
from waybill.core.records import Verdict
from waybill.labelling.tier import Scope, Tier
from waybill.settings.schema import RouteSettings


class Route(msgspec.Struct, frozen=True, eq=False):
    """One route of the settings with the tiers that are really there."""

    scope: Scope
    #: Of the sources that the scope names, those that may take this route.
    only: tuple[str, ...]
    has_rules: bool
    tiers: tuple[Tier, ...]
    taxonomy: Taxonomy
    #: The verdict when no tier decided: it names the tier that is off, if there is one.
    fallback: Verdict

    def fits(self, source: str) -> bool:
        """Whether records of ``source`` take this route."""
        return _fits(source, self.scope.sources) and _fits(source, self.only)

    def tier_names(self) -> list[str]:
        """The tiers in the order in which they are asked, ``rules`` included."""
        first = ["rules"] if self.has_rules else []
        return [*first, *(tier.name for tier in self.tiers)]


def make_routes(
    settings: Sequence[RouteSettings],
    tiers: Mapping[str, Tier],
    taxonomy: Taxonomy,
    llm_sources: Sequence[str] | None = None,
) -> list[Route]:
    """The routes in order, by name of the tiers that run.

    With ``llm_sources``, the sources that the LLM may see (None: all), records that must not leave
    take a copy of each route, without the LLM.
    """
    off: dict[str, Reason] = {}
    for name in SLOW_TIERS:
        if name not in tiers:
            off[name] = silent(name, "disabled")
    routes: list[Route] = []
    for route in settings:
        if llm_sources is None or "llm" not in route.tiers or "llm" in off:
            routes.append(_make_route(route, tiers, taxonomy, off))
            continue
        rest = {name: tier for name, tier in tiers.items() if name != "llm"}
        routes.append(_make_route(route, tiers, taxonomy, off, only=tuple(llm_sources)))
        routes.append(_make_route(route, rest, taxonomy, off | {"llm": "llm_source_not_allowed"}))
    return routes


def _make_route(
    settings: RouteSettings,
    tiers: Mapping[str, Tier],
    taxonomy: Taxonomy,
    off: Mapping[str, Reason],
    only: tuple[str, ...] = ("*",),
) -> Route:
    labels = None
    if settings.labels is not None:
        labels = frozenset(settings.labels)
    reasons = [off[name] for name in settings.tiers if name in off]
    reason: Reason = reasons[-1] if reasons else "undecided"
    return Route(
        scope=Scope(labels, tuple(settings.source)),
        only=only,
        has_rules="rules" in settings.tiers,
        tiers=tuple(tiers[name] for name in settings.tiers if name in tiers),
        taxonomy=taxonomy,
        fallback=taxonomy.unclassified(reason),
    )


def _fits(source: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(source, pattern) for pattern in patterns)
