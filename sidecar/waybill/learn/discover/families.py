"""Masks that read alike as one: a model is asked about the most frequent of them only.

A service writes one line with thousands of names, so that of 48,000 masks 5,000 families are left:
all of them can be looked at, where the encoder takes milliseconds for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from waybill.learn.discover.seen import Seen
from waybill.patterns.alike import group_ids

__all__ = ["Families", "families_of"]


class Families(NamedTuple):
    """``seen`` by families, those with most records first; within one the most frequent mask.

    ``starts`` has the index of the first mask of each family, ``family`` the family of each mask,
    ``records`` those of each family.
    """

    seen: list[Seen]
    starts: list[int]
    family: list[int]
    records: list[int]

    def first_masks(self) -> list[str]:
        """The mask that stands for each family."""
        return [self.seen[start].mask for start in self.starts]

    def alike(self, members: Iterable[int]) -> Iterator[int]:
        """All masks of the families that ``members`` are of."""
        for number in {self.family[index] for index in members}:
            start = self.starts[number]
            end = len(self.seen)
            if number + 1 < len(self.starts):
                end = self.starts[number + 1]
            yield from range(start, end)

    def said(self) -> list[str | None]:
        """The label of each family by people; None where they said nothing, or two things."""
        labels: list[set[str]] = []
        for one, number in zip(self.seen, self.family, strict=True):
            if number == len(labels):
                labels.append(set())
            labels[number].update(one.labels)
        return list(map(_only, labels))


def families_of(seen: Sequence[Seen], most: int) -> Families:
    """The ``most`` families with most records of ``seen``, which has most records first."""
    by_group: dict[str, list[Seen]] = {}
    for one, group in zip(seen, group_ids(one.mask for one in seen), strict=True):
        by_group.setdefault(group, []).append(one)
    ordered = sorted(by_group.values(), key=_rank)[:most]
    found = Families([], [], [], [])
    for number, members in enumerate(ordered):
        found.starts.append(len(found.seen))
        found.family.extend([number] * len(members))
        found.seen.extend(members)
        found.records.append(-_rank(members)[0])
    return found


def _only(labels: set[str]) -> str | None:
    return labels.pop() if len(labels) == 1 else None


def _rank(members: Sequence[Seen]) -> tuple[int, str]:
    return -sum(one.count for one in members), members[0].mask
