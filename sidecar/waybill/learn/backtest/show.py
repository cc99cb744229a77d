"""A backtest as text for a terminal: log text is shown without what a terminal would act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from waybill.learn.backtest.result import Backtest, Change, Flip, Said, Score, SideReport

__all__ = ["counted", "flips_of", "share_of", "show"]

_TEXT_CHARS = 100
_NAME_CHARS = 32
#: Rules that are named for one label.
_NAMED = 2


def show(found: Backtest, most: int = 20) -> str:
    """The result as a table; of the masks that flip the ``most`` with the most records."""
    rows = [*_head(found), "", *_sides(found)]
    flips = flips_of(found)
    if flips:
        rows += ["", f"{'records':>20}  from -> to"]
        for flip in flips:
            rows.append(f"{counted(flip.low, flip.high):>20}  {flip.old} -> {flip.new}")
    if found.changes:
        rows += ["", *_changes(found, most)]
    if found.contradictions:
        rows += ["", *_contradictions(found, most)]
    for note in found.notes:
        rows.append(f"note: {note}")
    return "\n".join(rows)


def counted(low: int, high: int) -> str:
    """A number, or the range that it lies in.

    >>> counted(3, 3), counted(0, 12000)
    ('3', '0 to 12,000')
    """
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def share_of(low: int, high: int, whole: int) -> str:
    """The same as a share of ``whole``."""
    if not whole:
        return "-"
    least, most = f"{100 * low / whole:.3g}", f"{100 * high / whole:.3g}"
    return f"{most} %" if least == most else f"{least} to {most} %"


def flips_of(found: Backtest) -> list[Flip]:
    """Of the matrix what is no record that keeps its label."""
    return list(filter(lambda flip: flip.old != flip.new, found.matrix))


def _head(found: Backtest) -> list[str]:
    what = f"{found.records:,} records"
    if found.unit == "patterns":
        what += f" in {found.patterns:,} patterns"
    share = share_of(found.low, found.high, found.records)
    rows = [f"{what} of {_plain(found.on)}", ""]
    rows.append(f"flip: {counted(found.low, found.high)} ({share})")
    if found.unit == "patterns" and found.low != found.high:
        rows.append("      the lower number for certain, the rest depends on values; --on a file")
        rows.append("      of records says it exactly")
    if found.held:
        rows.append(f"held: {found.held:,} would flip as well, had no correction decided them")
    return rows


def _sides(found: Backtest) -> list[str]:
    # The end of a path tells more than its beginning.
    names = [_plain(side.name)[-_NAME_CHARS:] for side in (found.old, found.new)]
    width = max(map(len, (*names, found.new.model or "")))
    rows = [f"{'':24}{names[0]:>{width}}  {names[1]:>{width}}"]
    for title, old, new in _figures(found.old, found.new):
        rows.append(f"{title:24}{old:>{width}}  {new:>{width}}")
    return rows


def _figures(old: SideReport, new: SideReport) -> Iterable[tuple[str, str, str]]:
    yield "rules", str(old.rules), str(new.rules)
    yield "version of the rules", old.rules_version, new.rules_version
    yield "model", old.model or "none", new.model or "none"
    for title, mine, theirs in (
        ("right by corrections", old.corrections, new.corrections),
        ("right by labels", old.labelled, new.labelled),
    ):
        if mine.total:
            yield title, scored(mine), scored(theirs)
    yield "processor time", f"{old.cpu_secs:.2f} s", f"{new.cpu_secs:.2f} s"
    yield "compiled rules", _mebibytes(old.rules_bytes), _mebibytes(new.rules_bytes)
    yield "files of the model", _mebibytes(old.model_bytes), _mebibytes(new.model_bytes)


def scored(score: Score) -> str:
    """How good a side is, in one cell."""
    if score.accuracy is None:
        return "-"
    return f"{score.right} of {score.total} ({100 * score.accuracy:.4g} %)"


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _changes(found: Backtest, most: int) -> list[str]:
    rows = [f"{'records':>20}  {_masks(found.changed_patterns)}"]
    for change in found.changes[:most]:
        rows.append(f"{counted(change.low, change.high):>20}  {_plain(change.mask)[:_TEXT_CHARS]}")
        rows.append(f"{'':22}{_way(change)}")
    if found.changed_patterns > most:
        rows.append(f"{'':22}... and {found.changed_patterns - most:,} more: --limit, --json")
    return rows


def _masks(count: int) -> str:
    return f"{count:,} masks flip" if count != 1 else "1 mask flips"


def _way(change: Change) -> str:
    return f"{say(change.old)} -> {say(change.new)}"


def say(said: Sequence[Said]) -> str:
    """What a side says, and who says it."""
    by_label: dict[str, list[str]] = {}
    for one in said:
        by_label.setdefault(one.label, []).append(one.by)
    return " or ".join(f"{label} ({_some(names)})" for label, names in by_label.items())


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


def _contradictions(found: Backtest, most: int) -> list[str]:
    rows = [f"contradicted by the new side: {len(found.contradictions)} of the corrections"]
    for one in found.contradictions[:most]:
        marks = "" if one.is_certain else ", for some values"
        marks += ", as by the old side" if not one.is_new else ""
        rows.append(f"  {_plain(one.mask)[:_TEXT_CHARS]}")
        rows.append(f"    corrected to {one.label}, given {say(one.given)}{marks}")
    return rows


def _plain(text: str) -> str:
    """Log text in one line that moves no cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
