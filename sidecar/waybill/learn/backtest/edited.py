"""Which rules one side of a backtest has and the other has not: a diff of few records can still be
one that takes a whole file of rules away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from waybill.labelling.rules.ruleset import Rule, RuleSet

__all__ = ["edited_rules"]

#: Rules that are named of each kind.
_NAMED = 5


def edited_rules(old: RuleSet, new: RuleSet) -> str:
    """The rules that are gone, new and changed, as one sentence; "" for none."""
    before = {rule.id: rule for rule in old.rules}
    after = {rule.id: rule for rule in new.rules}
    kinds = {
        "gone": [name for name in before if name not in after],
        "new": [name for name in after if name not in before],
        "changed": [
            name
            for name, rule in after.items()
            if name in before and _content(rule) != _content(before[name])
        ],
    }
    return "; ".join(_told(kind, names) for kind, names in kinds.items() if names)


def _content(rule: Rule) -> tuple[object, ...]:
    """What a rule does, wherever it stands."""
    return rule.label, rule.pattern, rule.mode, rule.sources, rule.verdict.extra_fields()


def _told(kind: str, names: Sequence[str]) -> str:
    rules = "1 rule" if len(names) == 1 else f"{len(names)} rules"
    return f"{rules} {kind}: {', '.join(_some(names))}"


def _some(names: Sequence[str]) -> Iterator[str]:
    yield from names[:_NAMED]
    if len(names) > _NAMED:
        yield f"{len(names) - _NAMED:,} more"
