"""Which rules remain when files disable rules or override them.

    disable: [cron-started, "openstack-*"]      # in any file: rules of other files
    rules:
      - id: sshd-failed-password                # instead of the one of that id, in its place
        override: true
        ...

Two rules of one id are otherwise a fault: nobody could say which of them a record means.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from waybill.core.errors import RuleError
from waybill.core.near import meant
from waybill.labelling.rules.artefact import Advice, Replaced
from waybill.labelling.rules.schema import Disabling, RuleSource

__all__ = ["SETTING", "Selection", "select"]

#: What stands for the file of what the settings disable.
SETTING = "rules.disable"
#: So many rules that stand twice are told one by one; more of them are a copy of a folder or file.
_MOST_BY_ONE = 5


class Selection(NamedTuple):
    """The rules that are left, in order, those that are not, and what is doubtful about it.

    ``has_copies``: rules stand twice because they were copied, so that nothing else about them is
    worth telling.
    """

    sources: tuple[RuleSource, ...]
    replaced: tuple[Replaced, ...]
    advice: tuple[Advice, ...]
    has_copies: bool


class _Twice(NamedTuple):
    """Two rules of one id; ``later`` is the one of the folder that was named last."""

    later: RuleSource
    earlier: RuleSource

    @classmethod
    def of(cls, first: RuleSource, second: RuleSource) -> _Twice:
        """The two, as they were read."""
        return cls(first, second) if first.layer > second.layer else cls(second, first)

    def places(self) -> tuple[str, str]:
        """The folders of both, or their files where that is one folder."""
        files = self.later.file, self.earlier.file
        later, earlier = map(os.path.dirname, files)
        return (later, earlier) if later != earlier else files


def select(
    sources: Sequence[RuleSource],
    disabled: Sequence[Disabling],
    faults: list[RuleError],
) -> Selection:
    """Apply ``disabled``, then ``override``; ``sources`` are in the order in which they decide.

    A rule that overrides another stands in the place of that one. What stands twice otherwise is
    appended to ``faults``; faults of a rule that is disabled are taken out of them.
    """
    replaced: list[Replaced] = []
    left: list[RuleSource] = []
    for source in sources:
        by = _disabling(source.id, source.file, disabled)
        if by is None:
            left.append(source)
        else:
            replaced.append(Replaced(source.id, source.file, source.line, by.file, by.line))
    faults[:] = [fault for fault in faults if not _is_of_disabled(fault, disabled)]
    advice = [_disables_nothing(one, sources) for one in disabled if not _disables(one, replaced)]
    twice: list[_Twice] = []
    ordered = _override(left, replaced, advice, twice)
    found = list(_duplicates(twice))
    faults += found
    has_copies = len(found) < len(twice)
    return Selection(tuple(ordered), tuple(replaced), tuple(advice), has_copies)


def _disabling(rule_id: str, file: str, disabled: Sequence[Disabling]) -> Disabling | None:
    """What switches the rule ``rule_id`` of ``file`` off: never its own file."""
    for one in disabled:
        if one.file != file and fnmatch.fnmatchcase(rule_id, one.pattern):
            return one
    return None


def _is_of_disabled(fault: RuleError, disabled: Sequence[Disabling]) -> bool:
    if fault.rule_id is None or fault.file is None:
        return False
    return _disabling(fault.rule_id, fault.file, disabled) is not None


def _disables(one: Disabling, replaced: Sequence[Replaced]) -> bool:
    return any(
        fnmatch.fnmatchcase(rule.id, one.pattern) and rule.file != one.file for rule in replaced
    )


def _disables_nothing(one: Disabling, sources: Sequence[RuleSource]) -> Advice:
    others = {source.id for source in sources if source.file != one.file}
    detail = f"disable: no other file has a rule {one.pattern!r}{meant(one.pattern, others)}"
    return Advice("disables_nothing", detail, one.file, one.line)


def _override(
    sources: Sequence[RuleSource],
    replaced: list[Replaced],
    advice: list[Advice],
    twice: list[_Twice],
) -> list[RuleSource]:
    """The sources, those that override in the place of what they override."""
    overriding: dict[str, RuleSource] = {}
    plain: dict[str, RuleSource] = {}
    for source in sources:
        known = overriding if source.override else plain
        first = known.setdefault(source.id, source)
        if first is not source:
            twice.append(_Twice.of(first, source))
    ordered: list[RuleSource] = []
    for source in sources:
        if source.override:
            if source.id not in plain:
                ordered.append(source)
                advice.append(_overrides_nothing(source, plain))
            continue
        by = overriding.get(source.id)
        if by is None:
            ordered.append(source)
        else:
            ordered.append(by)
            replaced.append(Replaced(source.id, source.file, source.line, by.file, by.line))
    return ordered


def _overrides_nothing(source: RuleSource, plain: dict[str, RuleSource]) -> Advice:
    detail = f"override: there is no other rule of this id{meant(source.id, plain)}"
    return Advice("overrides_nothing", detail, source.file, source.line, source.id)


def _duplicates(twice: Sequence[_Twice]) -> Iterator[RuleError]:
    """The faults of ids that stand twice: one fault for all ids that two places share."""
    for (later, earlier), group in itertools.groupby(
        sorted(twice, key=_Twice.places), key=_Twice.places
    ):
        found = list(group)
        if len(found) > _MOST_BY_ONE:
            yield _copied(later, earlier, [one.later.id for one in found])
        else:
            yield from map(_duplicate, found)


def _copied(later: str, earlier: str, ids: Sequence[str]) -> RuleError:
    """The fault of many ids of one place, folder or file, that stand in another, too."""
    named = ", ".join(ids[:_MOST_BY_ONE])
    detail = (
        f"{len(ids)} rules here have ids that stand in {earlier!r} already: {named} and "
        f"{len(ids) - _MOST_BY_ONE} more; if this is a copy, read only one of the two, or take "
        "out here what you have not changed and write `override: true` in each rule that you have"
    )
    return RuleError("duplicate_id", detail, file=later)


def _duplicate(pair: _Twice) -> RuleError:
    """The fault of an id that stands twice."""
    later, earlier = pair
    detail = f"the id stands at {earlier.file}:{earlier.line} already"
    if later.override:
        detail += ", and overrides the same rule: keep one of the two"
    elif later.file == earlier.file:
        detail += "; give one of the two another id"
    else:
        detail += (
            "; to have this rule in its place, write `override: true` in this one; to switch the "
            f"other one off, write `disable: [{earlier.id}]` in this file; or take another id"
        )
    return RuleError("duplicate_id", detail, file=later.file, line=later.line, rule_id=later.id)
