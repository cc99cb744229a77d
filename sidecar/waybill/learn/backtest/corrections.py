"""Corrections as a backtest reads them: what decides a record before anything else does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from waybill.core.correction import ANY_SOURCE, Correction, decode_correction, settle
from waybill.core.errors import WaybillError

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


def read_corrections(paths: Iterable[Path]) -> Corrections:
    """The corrections of the first labelling in files of NDJSON, or in folders of them.

    Raises:
        WaybillError: a line is no correction; it is named.
        OSError: a file cannot be read.
    """
    history: list[Correction] = []
    for path in paths:
        files = sorted(path.glob("*.ndjson")) if path.is_dir() else [path]
        for file in files:
            history += _read(file)
    try:
        standing = settle(history)
    except ValueError as error:
        raise WaybillError(f"a correction's `at` is no time: {error}") from None
    return Corrections(one.correction for one in standing if not one.correction.labelling)


def _read(file: Path) -> Iterator[Correction]:
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield decode_correction(line)
        except msgspec.MsgspecError as error:
            raise WaybillError(f"{file}:{number}: no correction: {error}") from None
