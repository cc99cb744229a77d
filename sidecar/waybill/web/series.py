"""Charts as data: what the canvas shows, its words, and the table behind it, from the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from waybill.web import numbers
from waybill.web.store.recording import HOUR
from waybill.web.store.trends import Hour

#: The axis of a share reaches to this many percent at least.
_LEAST_PERCENT = 5


class Chart(NamedTuple):
    """One chart; ``data`` goes to the browser, ``columns`` and ``table`` say the same in text."""

    words: str
    basis: str
    data: dict[str, object]
    columns: Sequence[str]
    table: Sequence[Sequence[str]]


def undecided_chart(hours: Sequence[Hour], basis: str) -> Chart:
    """The undecided share by hour, with what the seven days before had at the same hour."""
    total = sum(hour.records for hour in hours)
    share = numbers.share(sum(hour.undecided for hour in hours), total)
    words = f"{share} of records undecided"
    told = [hour for hour in hours if hour.percent is not None]
    if told:
        top = max(told, key=lambda hour: hour.percent or 0.0)
        highest = numbers.share(top.undecided, top.records)
        words += f", highest {highest} in the hour from {numbers.utc(top.at)}"
    data: dict[str, object] = {
        "form": "line",
        "unit": " %",
        "least": _LEAST_PERCENT,
        "series": [{"name": "undecided"}, {"part": True}, {"part": True}],
        "band": [2, 3],
        "notes": [f"{hour.undecided:,} of {hour.records:,} records" for hour in hours],
        "data": [
            [hour.at for hour in hours],
            [hour.percent for hour in hours],
            [hour.high for hour in hours],
            [hour.low for hour in hours],
        ],
    }
    table = []
    for hour in hours:
        usual = "-"
        if hour.low is not None and hour.high is not None:
            usual = f"{hour.low:.1f} to {hour.high:.1f} %"
        cells = (f"{hour.records:,}", f"{hour.undecided:,}")
        table.append(
            (numbers.utc(hour.at), *cells, numbers.share(hour.undecided, hour.records), usual)
        )
    columns = ("Hour from", "Records", "Undecided", "Share", "Same hour, 7 days before")
    return Chart(words, basis, data, columns, table)


def rate_chart(
    counts: Sequence[int], now: float, marks: Sequence[tuple[float, str]], basis: str
) -> Chart:
    """Records by hour as bars; ``marks`` are moments with their words."""
    last = int(now // HOUR)
    at = [(last - len(counts) + 1 + i) * HOUR for i in range(len(counts))]
    top = max(counts, default=0)
    total = sum(counts)
    records = "1 record" if total == 1 else f"{total:,} records"
    words = f"{records} in {len(counts):,} hours, at most {top:,} an hour"
    data: dict[str, object] = {
        "form": "bars",
        "unit": "",
        "series": [{"name": "records"}],
        "marks": [{"at": moment, "words": word} for moment, word in marks],
        "data": [at, list(counts)],
    }
    notes: dict[int, list[str]] = {}
    for moment, word in marks:
        notes.setdefault(int(moment // HOUR) * HOUR, []).append(word)
    table = []
    for hour, count in zip(at, counts, strict=True):
        table.append((numbers.utc(hour), f"{count:,}", "; ".join(notes.get(hour, []))))
    return Chart(words, basis, data, ("Hour from", "Records", "What happened"), table)


def effect_chart(
    before: Sequence[int], after: Sequence[int], now: float, label: str, basis: str
) -> Chart:
    """Records by hour that get ``label``, before and after a change."""
    last = int(now // HOUR)
    at = [(last - len(before) + 1 + i) * HOUR for i in range(len(before))]
    words = f"{label}: {sum(before):,} records before, {sum(after):,} after"
    data: dict[str, object] = {
        "form": "line",
        "unit": "",
        "series": [{"name": "after"}, {"name": "before"}],
        "data": [at, list(after), list(before)],
    }
    table = []
    for hour, old, new in zip(at, before, after, strict=True):
        table.append((numbers.utc(hour), f"{old:,}", f"{new:,}"))
    return Chart(words, basis, data, ("Hour from", "Before", "After"), table)
