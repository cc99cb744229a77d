"""Corrections as a backtest reads them: what decides a record before anything else does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from waybill.core.correction import ANY_SOURCE, Correction, settle
from waybill.labelling.corrections.files import read_history

__all__ = ["Corrections", "read_corrections"]


class Corrections:
    """The corrections that stand, by mask and source."""

    def __init__(self, standing: Iterable[Correction] = ()) -> None:
        self._by_mask: dict[str, dict[str, Correction]] = {}
        for one in standing:
            self._by_mask.setdefault(one.mask, {})[one.source] = one

    def __iter__(self) -> Iterator[Correction]:
        for by_source in self._by_mask.values():
            yield from by_source.values()

    def __len__(self) -> int:
        return sum(map(len, self._by_mask.values()))

    def __contains__(self, mask: object) -> bool:
        return mask in self._by_mask

    def of(self, mask: str, source: str) -> Correction | None:
        """What decides records of that mask and source; None where nobody said anything."""
        by_source = self._by_mask.get(mask)
        if by_source is None:
            return None
        return by_source.get(source) or by_source.get(ANY_SOURCE)

    def may_decide_others(self, mask: str) -> bool:
        """Whether there is a correction for some source only."""
        return any(source != ANY_SOURCE for source in self._by_mask.get(mask, ()))


def read_corrections(paths: Iterable[Path], labelling: str = "") -> Corrections:
    """The corrections of a labelling ("": the first) in files of NDJSON, or in folders of them.

    Raises:
        CorrectionsError: with what is wrong in them.
        OSError: a file cannot be read, or is not there.
    """
    found = list(paths)
    for path in found:
        path.stat()  # a file that is not there counts as empty when serving, but not here
    standing = (one.correction for one in settle(read_history(found).corrections))
    return Corrections(one for one in standing if one.labelling == labelling)
