"""Whether a candidate may be pushed: it is held against the bundle that is in force.

Each check has figures of both, a bound and an outcome; what could not be measured says why, and
does not refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from waybill.labelling.model.manifest import Manifest
from waybill.learn.retrain.answers import Flips, Followed
from waybill.learn.retrain.bounds import Bounds

__all__ = ["Check", "CheckName", "Measured", "check"]

CheckName: TypeAlias = Literal[
    "labels",
    "held_out_accuracy",
    "held_out_macro_f1",
    "held_out_label_f1",
    "known_unclassified",
    "fragments_unclassified",
    "labelled_accuracy",
    "corrections",
    "flips",
    "flips_of_a_label",
]
#: What was trained on, as far as figures of two trainings can only be compared where it is the
#: same.
_HELD_OUT: Final = (
    "held_out_accuracy",
    "held_out_macro_f1",
    "held_out_label_f1",
    "known_unclassified",
)
_SAME = ("corpus_sha256", "balance_sha256", "per_label", "seed", "data_sha256")
#: Fewer lines of one label say little of it.
_LEAST_LINES = 30
#: Labels with a smaller share of the records are not looked at one by one.
_LEAST_SHARE = 0.01


class Check(msgspec.Struct, frozen=True):
    """One question to the candidate. ``is_met`` is None where it could not be measured."""

    name: CheckName
    is_met: bool | None
    old: float | None = None
    new: float | None = None
    bound: float | None = None
    detail: str = ""


class Measured(msgspec.Struct, frozen=True):
    """What is known of both bundles. ``labelled`` are the accuracies (old, new) on lines kept
    apart.
    """

    old: Manifest
    new: Manifest
    followed: Followed
    flips: Flips | None = None
    labelled: tuple[float, float] | None = None


def check(measured: Measured, bounds: Bounds) -> list[Check]:
    """Every question, in the order of a report."""
    return [
        _labels(measured.old, measured.new),
        *_held_out(measured.old, measured.new, bounds),
        _fragments(measured.old, measured.new, bounds),
        _labelled(measured.labelled, bounds),
        _corrections(measured.followed),
        *_flips(measured.flips, bounds),
    ]


def _labels(old: Manifest, new: Manifest) -> Check:
    """The candidate must be able to give each label that is given now."""
    lost = [label for label in old.labels if label not in new.labels]
    kept = round(1 - len(lost) / len(old.labels), 4)
    detail = f"it has no line of {', '.join(lost)}" if lost else ""
    return Check("labels", not lost, 1.0, kept, 1.0, detail)


def _held_out(old: Manifest, new: Manifest, bounds: Bounds) -> Iterator[Check]:
    before = _scores(old)
    after = _scores(new)
    if _are_alike(old, new):
        yield _not_less(
            "held_out_accuracy",
            _number(before, "accuracy"),
            _number(after, "accuracy"),
            bounds.loss,
        )
        yield _not_less(
            "held_out_macro_f1",
            _number(before, "macro_f1"),
            _number(after, "macro_f1"),
            bounds.loss,
        )
        yield _by_label(before, after, bounds.label_loss)
        yield _known(old, new, bounds.known_loss)
        return
    why = "the bundle in force was trained on other data: measure with --keep-apart FILE"
    for name in _HELD_OUT:
        yield Check(name, None, detail=why)


def _are_alike(old: Manifest, new: Manifest) -> bool:
    """Whether figures of the two trainings can be compared."""
    return all(old.made.get(name) == new.made.get(name) for name in _SAME)


def _scores(manifest: Manifest) -> Mapping[str, object]:
    found = manifest.metrics.get("held_out_software")
    return found if isinstance(found, Mapping) else {}


def _number(scores: Mapping[str, object], name: str) -> float | None:
    value = scores.get(name)
    return float(value) if isinstance(value, float | int) else None


def _not_less(
    name: CheckName, old: float | None, new: float | None, loss: float, detail: str = ""
) -> Check:
    if old is None or new is None:
        return Check(name, None, old, new, detail="one of the two was not measured")
    least = round(old - loss, 6)
    return Check(name, new >= least, old, new, least, detail)


def _by_label(before: Mapping[str, object], after: Mapping[str, object], loss: float) -> Check:
    """The label that loses most."""
    losses: list[tuple[float, str, float, float]] = []
    news = after.get("per_label")
    olds = before.get("per_label")
    if isinstance(news, Mapping) and isinstance(olds, Mapping):
        for label in olds.keys() & news.keys():
            old, new = olds[label], news[label]
            if min(old["lines"], new["lines"]) >= _LEAST_LINES:
                losses.append((old["f1"] - new["f1"], label, old["f1"], new["f1"]))
    if not losses:
        return Check("held_out_label_f1", None, detail=f"no label has {_LEAST_LINES} lines")
    _, label, old_f1, new_f1 = max(losses)
    return _not_less("held_out_label_f1", old_f1, new_f1, loss, label)


def _known(old: Manifest, new: Manifest, loss: float) -> Check:
    """Known lines that stay unclassified: by the same measurement of both."""
    for name in ("held_out_templates", "held_out_software"):
        before = old.metrics.get(name)
        after = new.metrics.get(name)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            continue
        was = _number(before, "known_unclassified")
        now = _number(after, "known_unclassified")
        if was is not None and now is not None:
            most = round(was + loss, 6)
            return Check("known_unclassified", now <= most, was, now, most)
    return Check("known_unclassified", None, detail="it was not measured alike")


def _fragments(old: Manifest, new: Manifest, bounds: Bounds) -> Check:
    before = old.metrics.get("fragments_unclassified")
    after = new.metrics.get("fragments_unclassified")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return Check("fragments_unclassified", None, detail="one of the two was not measured")
    was, now = _number(before, "all"), _number(after, "all")
    return _not_less("fragments_unclassified", was, now, bounds.rejection_loss)


def _labelled(found: tuple[float, float] | None, bounds: Bounds) -> Check:
    if found is None:
        return Check("labelled_accuracy", None, detail="no lines were kept apart (--keep-apart)")
    return _not_less("labelled_accuracy", found[0], found[1], bounds.loss)


def _corrections(followed: Followed) -> Check:
    """The candidate must follow as many corrections as what is in force."""
    if not followed.masks:
        return Check("corrections", None, detail="there are none")
    old = round(followed.old / followed.masks, 4)
    new = round(followed.new / followed.masks, 4)
    detail = f"{followed.new} of {followed.masks} masks as people said"
    return Check("corrections", new >= old, old, new, old, detail)


def _flips(flips: Flips | None, bounds: Bounds) -> Iterator[Check]:
    if flips is None or not flips.records:
        why = "no stored patterns that the model decides (--patterns)"
        yield Check("flips", None, detail=why)
        yield Check("flips_of_a_label", None, detail=why)
        return
    share = round(flips.share(), 6)
    detail = f"{flips.flipped} of {flips.records} records"
    yield Check("flips", share <= bounds.flips, 0.0, share, bounds.flips, detail)
    shares = flips.shares(_LEAST_SHARE)
    label, worst = max(shares.items(), key=lambda one: one[1], default=("", 0.0))
    yield Check(
        "flips_of_a_label",
        worst <= bounds.label_flips,
        0.0,
        round(worst, 6),
        bounds.label_flips,
        label,
    )
