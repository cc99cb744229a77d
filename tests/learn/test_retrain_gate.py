"""What a retraining learns from, and what its gate lets pass."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tests.learn.patterns import stored
from tests.learn.tiny import DEFAULT_BUNDLE
from tests.taxonomies import TEN
from waybill.core.correction import (
    Correction,
    encode_correction,
    new_correction,
    withdrawal,
)
from waybill.labelling.masking import mask
from waybill.labelling.model.manifest import Manifest, read_manifest
from waybill.learn.corrected import choose, read_corrected
from waybill.learn.plan import DataPlan
from waybill.learn.retrain.answers import (
    Answers,
    Flips,
    Followed,
    count_flips,
    count_followed,
    to_measure,
)
from waybill.learn.retrain.bounds import Bounds
from waybill.learn.retrain.gate import Check, Measured, check
from waybill.learn.training_set import gather

# What is trained on.


def corrected(*said: tuple[str, str, str]) -> list[Correction]:
    return [new_correction(one, label, source=source) for one, source, label in said]


def test_a_mask_has_one_label_or_none() -> None:
    found = choose(
        corrected(
            ("a", "*", "Error"),
            ("a", "crm", "User Action"),
            ("b", "crm", "Error"),
            ("b", "shop", "Error"),
            ("c", "crm", "Error"),
            ("c", "shop", "User Action"),
            ("d", "*", "Foo"),
        ),
        TEN,
    )
    assert found.labels == {"a": "Error", "b": "Error"}
    assert (found.contradicting, found.other_labels) == (1, 1)
    note = found.note(10)
    assert (note["masks"], note["weight"]) == (2, 10)


def test_what_is_withdrawn_or_of_another_labelling_is_not_learned(tmp_path: Path) -> None:
    first = new_correction("a", "Error", by="ann")
    other = new_correction("b", "Error", labelling="severity")
    lines = [first, withdrawal(first), other, new_correction("c", "Error")]
    (tmp_path / "said.ndjson").write_bytes(b"".join(map(encode_correction, lines)))
    assert read_corrected([tmp_path], TEN).labels == {"c": "Error"}
    assert read_corrected([tmp_path], TEN, "severity").labels == {"b": "Error"}


def test_a_corrected_line_is_in_the_training_part_alone(tmp_path: Path) -> None:
    rows = [{"log": f"disk {i} of shop is slow", "target_label": "Error"} for i in range(8)]
    rows += [{"log": f"{name} went home", "target_label": "User Action"} for name in "abcdefgh"]
    (tmp_path / "mine.ndjson").write_text("\n".join(map(json.dumps, rows)))
    said = tmp_path / "said.ndjson"
    masked = mask(rows[0]["log"])
    said.write_bytes(encode_correction(new_correction(masked, "Resource Usage")))
    plan = DataPlan(
        files=(tmp_path / "mine.ndjson",), test_share=0.5, corpus=None, corrections=(said,),
        correction_weight=3,
    )  # fmt: skip
    found = gather(plan, TEN, 1)
    assert masked not in {mask(one.text) for one in found.test}
    assert [one.label for one in found.examples if one.text == masked] == ["Resource Usage"] * 3
    # What is kept apart is not trained on, whoever said so.
    found = gather(msgspec.structs.replace(plan, keep_apart=plan.files), TEN, 1)
    assert masked not in {one.text for one in found.examples}


# The gate.


def manifests(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[Manifest, Manifest]:
    base = read_manifest(DEFAULT_BUNDLE)
    return (
        msgspec.structs.replace(base, metrics=dict(old), made={"seed": 1}),
        msgspec.structs.replace(base, metrics=dict(new), made={"seed": 1}),
    )


def scores(accuracy: float, f1: float = 0.9, lines: int = 100) -> dict[str, object]:
    return {
        "held_out_software": {
            "accuracy": accuracy,
            "macro_f1": accuracy,
            "per_label": {"Error": {"f1": f1, "lines": lines}},
            "known_unclassified": 0.02,
        },
        "fragments_unclassified": {"all": 0.96},
    }


def refused(checks: Sequence[Check]) -> list[str]:
    return [one.name for one in checks if one.is_met is False]


def unmeasured(checks: Sequence[Check]) -> list[str]:
    return [one.name for one in checks if one.is_met is None]


def test_a_candidate_may_be_a_little_worse_and_no_more() -> None:
    good = Followed(masks=2, old=1, new=2)
    old, new = manifests(scores(0.9), scores(0.896))
    checks = check(Measured(old, new, good), Bounds())
    assert refused(checks) == []
    assert unmeasured(checks) == ["labelled_accuracy", "flips", "flips_of_a_label"]
    old, new = manifests(scores(0.9), scores(0.89, f1=0.8))
    checks = check(
        Measured(old, new, Followed(masks=2, old=2, new=1), labelled=(0.9, 0.8)), Bounds()
    )
    assert refused(checks) == [
        "held_out_accuracy",
        "held_out_macro_f1",
        "held_out_label_f1",
        "labelled_accuracy",
        "corrections",
    ]


def test_a_label_that_would_never_be_given_again_refuses_whatever_else_was_measured() -> None:
    old, new = manifests({}, {})
    fewer = [label for label in new.labels if label not in ("Error", "User Action")]
    checks = check(
        Measured(old, msgspec.structs.replace(new, labels=tuple(fewer)), Followed()), Bounds()
    )
    assert refused(checks) == ["labels"]
    assert checks[0].detail == "it has no line of Error, User Action"
    assert refused(check(Measured(old, new, Followed()), Bounds())) == []


def test_figures_of_other_data_are_not_compared() -> None:
    old, new = manifests(scores(0.9), scores(0.1))
    new = msgspec.structs.replace(new, made={"seed": 2})
    checks = check(Measured(old, new, Followed()), Bounds())
    assert refused(checks) == []
    assert set(unmeasured(checks)) >= {"held_out_accuracy", "known_unclassified", "corrections"}


def test_a_label_of_few_lines_and_a_bundle_without_figures_say_nothing() -> None:
    old, new = manifests(scores(0.9, lines=5), scores(0.9, f1=0.1, lines=5))
    checks = check(Measured(old, new, Followed()), Bounds())
    assert "held_out_label_f1" in unmeasured(checks)
    old, new = manifests({}, scores(0.1))
    assert refused(check(Measured(old, new, Followed()), Bounds())) == []


def test_flips_are_counted_in_records_of_the_model_without_the_corrected() -> None:
    patterns = [
        stored("alpha is slow", "Error", 900),
        stored("beta is slow", "Error", 100),
        stored("gamma is slow", "User Action", 500, tier="rule"),
        stored("delta is slow", "Unclassified", 50, tier="none"),
    ]
    measured = to_measure(patterns, {mask("delta is slow"): "Error"})
    assert [one.count for one in measured] == [900, 100]
    flips = count_flips(measured, Answers(["Error", "Error"], ["Error", "User Action"]))
    assert (flips.records, flips.flipped, flips.share()) == (1000, 100, 0.1)
    assert flips.matrix == {"Error": {"Error": 900, "User Action": 100}}
    assert [(one.old, one.new, one.count) for one in flips.patterns] == [
        ("Error", "User Action", 100)
    ]
    old, new = manifests(scores(0.9), scores(0.9))
    checks = check(Measured(old, new, Followed(), flips), Bounds(flips=0.05, label_flips=0.2))
    assert refused(checks) == ["flips"]
    checks = check(Measured(old, new, Followed(), flips), Bounds(flips=0.2, label_flips=0.05))
    assert refused(checks) == ["flips_of_a_label"]
    assert Flips().share() == 0


def test_corrections_that_are_not_followed_are_named() -> None:
    said = {"a": "Error", "b": "User Action"}
    found = count_followed(said, Answers(["Error", "Error"], ["Error", "HTTP Status"]))
    assert (found.masks, found.old, found.new) == (2, 1, 1)
    assert found.contradicted == (("b", "User Action", "HTTP Status"),)
