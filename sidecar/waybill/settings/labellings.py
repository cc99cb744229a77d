"""Several labellings: the settings of each by itself, as if it were the only one.

Whatever works for one labelling (pipeline, tools, checks) takes a `Settings`, so a further one is
made of the settings as a whole with its own labels, rules, model, routes and fields in their place.

    >>> first, severity = each_labelling(settings)      # doctest: +SKIP
    >>> severity.fields.label                           # doctest: +SKIP
    'severity'
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waybill.core.errors import ConfigError
from waybill.settings.problems import suggest
from waybill.settings.resources import resolve_path
from waybill.settings.schema import (
    CorrectionSettings,
    FieldSettings,
    FollowSettings,
    LabellingSettings,
    LabelSettings,
    LlmSettings,
    MemoSettings,
    RulesFollowSettings,
    RulesSettings,
    Settings,
    ShadowSettings,
)


def each_labelling(settings: Settings) -> list[Settings]:
    """The settings of every labelling, the first one's first; the memo's size is divided."""
    further = settings.labellings
    if not further:
        return [settings]
    memo = MemoSettings(max(1, settings.memo.bytes // (1 + len(further))))
    first = msgspec.structs.replace(settings, memo=memo)
    return [first, *(_of_further(first, labelling) for labelling in further)]


def labelling_names(settings: Settings) -> list[str]:
    """The names in the order of `each_labelling`; the first labelling's is ``""``."""
    return ["", *(labelling.name for labelling in settings.labellings)]


def one_labelling(settings: Settings, name: str) -> Settings:
    """The settings of the labelling ``name``. Raises ConfigError where it is unknown."""
    names = labelling_names(settings)
    if name not in names:
        known = ", ".join(names[1:]) or "none"
        raise ConfigError(
            [f"--labelling: no such labelling {name!r}{suggest(name, names[1:])}; there is {known}"]
        )
    return each_labelling(settings)[names.index(name)]


def fields_of(labelling: LabellingSettings, first: FieldSettings) -> FieldSettings:
    """The fields that ``labelling`` adds to records, which are read as for the first one."""
    label = labelling.field or labelling.name
    names: dict[str, str | None] = {}
    for detail in ("tier", "confidence", "rule", "reason"):
        names[detail] = f"{label}_{detail}" if detail in labelling.details else None
    return msgspec.structs.replace(
        first, label=label, record_id=None, pattern=None, relabel=labelling.relabel, **names
    )


def added_fields(settings: Settings) -> list[FieldSettings]:
    """What each labelling adds to records, in order, the first one's first."""
    first = settings.fields
    return [first, *(fields_of(labelling, first) for labelling in settings.labellings)]


def names_added(fields: Sequence[FieldSettings]) -> list[str]:
    """The names of all fields that records get."""
    names: list[str | None] = []
    for one in fields:
        names += (one.label, one.tier, one.confidence, one.rule, one.reason)
        names += (one.record_id, one.pattern)
    return [name for name in names if name]


def part_of_pack(labelling: LabellingSettings, part: str) -> str | None:
    """The path of ``part`` of the pack; None without a pack, or where it has no such part."""
    if labelling.pack is None:
        return None
    path = f"{labelling.pack.rstrip('/')}/{part}"
    return path if resolve_path(path)[0].exists() else None


def labels_path(labelling: LabellingSettings) -> str | None:
    """The file of its labels; None where neither it nor its pack has one."""
    return labelling.labels or part_of_pack(labelling, "labels.yaml")


def _of_further(first: Settings, labelling: LabellingSettings) -> Settings:
    rules = labelling.rules or part_of_pack(labelling, "rules")
    return msgspec.structs.replace(
        first,
        fields=fields_of(labelling, first.fields),
        labels=LabelSettings(path=labels_path(labelling) or first.labels.path),
        rules=_rules(first.rules, rules, labelling.extra_rules),
        model=msgspec.structs.replace(
            first.model,
            path=labelling.model or part_of_pack(labelling, "model"),
            threshold=labelling.threshold,
            follow=FollowSettings(),
            shadow=ShadowSettings(),
        ),
        routes=labelling.routes,
        corrections=CorrectionSettings(
            path=labelling.corrections or first.corrections.path,
            poll_secs=first.corrections.poll_secs,
            guard=first.corrections.guard,
        ),
        llm=LlmSettings(),
        labellings=(),
    )


def _rules(first: RulesSettings, path: str | None, extra: tuple[str, ...]) -> RulesSettings:
    return msgspec.structs.replace(
        first, path=path, extra_paths=extra, disable=(), follow=RulesFollowSettings()
    )
