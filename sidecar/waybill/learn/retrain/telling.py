"""A retraining as a table for people; `Outcome` itself is the report for programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from waybill.learn.retrain.gate import Check, CheckName
from waybill.learn.retrain.retrain import Outcome

__all__ = ["show", "verdict", "write_report"]

_ASKED: dict[CheckName, str] = {
    "labels": "labels that can be given",
    "held_out_accuracy": "accuracy on software that was not trained on",
    "held_out_macro_f1": "macro-F1 on the same",
    "held_out_label_f1": "F1 of the label that loses most",
    "known_unclassified": "known lines that stay unclassified",
    "fragments_unclassified": "fragments of no log that stay unclassified",
    "labelled_accuracy": "accuracy on the lines kept apart",
    "corrections": "corrections followed",
    "flips": "records of stored patterns that flip",
    "flips_of_a_label": "records of one label that flip",
}
#: What somebody can do whose candidate was refused by a check.
_ADVICE: dict[CheckName, str] = {
    "labels": "add lines of those labels (--data), or the corpus (without --no-corpus)",
    "held_out_accuracy": "lower --correction-weight, or add labelled lines (--data)",
    "held_out_macro_f1": "as held_out_accuracy",
    "held_out_label_f1": "look whether its corrections are right; add lines of it (--data)",
    "known_unclassified": "add labelled lines like those that are now in doubt (--data)",
    "fragments_unclassified": "look for corrections of what is no event",
    "labelled_accuracy": "look whether corrections and the lines kept apart say the same",
    "corrections": "raise --correction-weight, or write rules for those that are named below",
    "flips": "correct the patterns below that flip wrongly, or allow more (--max-flips)",
    "flips_of_a_label": "as flips, with --max-label-flips",
}
_MOST_SHOWN = 10


def verdict(found: Outcome) -> str:
    """What became of the candidate, in a sentence."""
    if found.is_refused:
        names = ", ".join(one.name for one in found.checks if one.is_met is False)
        return f"{found.candidate} was refused and not pushed: {names}"
    if not found.is_new:
        return f"{found.candidate} is in force already: nothing new was learned"
    if found.pushed is None:
        return f"{found.candidate} passes; nothing was pushed (--push REPO)"
    return f"{found.candidate} passes and is {found.pushed} of {found.repo}"


def show(found: Outcome) -> str:
    """The checks, the corrections that are not followed, and what would flip."""
    return "\n".join(_lines(found))


def write_report(folder: Path, found: Outcome) -> None:
    """``retrain.json`` and ``retrain.txt`` in ``folder``. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    told = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "retrain.json").write_bytes(told + b"\n")
    text = f"{show(found)}\n{verdict(found)}\n"
    (folder / "retrain.txt").write_text(text, "utf-8", errors="backslashreplace")


def _lines(found: Outcome) -> Iterator[str]:
    yield f"in force   {found.base}"
    yield f"candidate  {found.candidate}"
    yield ""
    yield f"{'':46}{'in force':>9}{'new':>9}{'bound':>9}"
    for one in found.checks:
        yield _check(one)
    yield from _advice(found)
    yield from _next_steps(found)
    if found.followed.contradicted:
        missed = found.followed.masks - found.followed.new
        yield ""
        yield f"{missed} corrections that the candidate does not follow, first:"
        for mask, said, given in found.followed.contradicted[:_MOST_SHOWN]:
            yield f"  {said}, not {given}: {mask}"
    if found.flips is not None and found.flips.patterns:
        yield ""
        yield "patterns that would flip, most records first:"
        for flip in found.flips.patterns[:_MOST_SHOWN]:
            yield f"  {flip.count:>9}  {flip.old} -> {flip.new}: {flip.mask}"


def _advice(found: Outcome) -> Iterator[str]:
    """What can be done about each check that refuses, and that the candidate is worth a look."""
    if not found.is_refused:
        return
    yield ""
    yield "the bundle in force stays; what can be done:"
    for one in found.checks:
        if one.is_met is False:
            yield f"  {one.name}: {_ADVICE[one.name]}"
    yield "  --output FOLDER keeps the candidate, for model.shadow.path and for waybill backtest"


def _next_steps(found: Outcome) -> Iterator[str]:
    """What somebody does with a candidate that passes."""
    if found.is_refused or not found.is_new:
        return
    yield ""
    yield "what next:"
    if found.pushed is None:
        yield "  keep it:      --output FOLDER"
        yield "  what flips:   waybill backtest --old current --new current,FOLDER --on FILE"
        yield "  look on:      model.shadow.path: FOLDER has it judge real messages and decide none"
        yield "  roll it out:  --push REPO, which model.follow.source of the sidecars names"
        return
    yield f"  roll it out:  sidecars with model.follow.source: {found.repo} take it by themselves;"
    yield "                a further labelling names it: labellings[].model"
    yield "  is it there:  GET /v1/edition of a sidecar, or Models in the workbench"
    yield f"  go back:      waybill model push FOLDER --repo {found.repo}, with the bundle before;"
    yield "                with labels of your own --labels FILE, too"
    yield "                on one node: waybill model rollback (where it had a version before)"


def _check(one: Check) -> str:
    outcome = {True: "ok", False: "REFUSED", None: "not measured"}[one.is_met]
    figures = "".join(f"{_figure(value):>9}" for value in (one.old, one.new, one.bound))
    detail = f"  ({one.detail})" if one.detail else ""
    return f"{_ASKED[one.name]:46}{figures}  {outcome}{detail}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
