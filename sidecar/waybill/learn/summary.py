"""A bundle in a page for people: what it answers, how it was made, and how good it was then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from waybill.labelling.model.manifest import Encoder, Manifest

__all__ = ["show_manifest"]

#: Measurements of a training, the one to trust most first, and what each is of.
_MEASURED = {
    "test": "lines that were not trained on",
    "held_out_software": "software that was not trained on",
    "held_out_templates": "templates (lines but for their values) that were not trained on",
}

_FIGURES = (
    "accuracy",
    "macro_f1",
    "unclassified",
    "wrong",
    "calibration_error",
    "known_unclassified",
    "none_unclassified",
)


def show_manifest(manifest: Manifest) -> str:
    """Some 30 lines; ``--json`` of the command gives everything."""
    return "\n".join(_rows(manifest))


def _rows(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest.name}@{manifest.version}"
    yield f"encoder      {_encoder(manifest.encoder)}"
    yield f"classifier   {_text(manifest.made, 'classifier')}"
    known = manifest.thresholds
    yield f"thresholds   known up to distance {known.distance}, from confidence {known.confidence}"
    yield f"golden       {len(manifest.golden)} messages that it must answer as before"
    metrics = manifest.metrics
    for name in ("examples", "templates", "software"):
        if name in metrics:
            yield f"{name:13}{metrics[name]}"
    command = _text(manifest.made, "command")
    yield f"made by      {command}"
    yield from _missing(manifest.made)
    for name, meaning in _MEASURED.items():
        if name == "held_out_software" and metrics.get("software") == metrics.get("templates"):
            continue  # nothing says which lines are of one software
        scores = metrics.get(name)
        if isinstance(scores, Mapping):
            yield ""
            yield from _measured(meaning, scores)
            if name == "test":
                yield from _alike(manifest.made)
    rejected = metrics.get("fragments_unclassified")
    if isinstance(rejected, Mapping):
        yield ""
        kinds = ", ".join(f"{kind} {share}" for kind, share in rejected.items())
        yield f"generated fragments that come out unclassified: {kinds}"


def _missing(made: Mapping[str, object]) -> Iterator[str]:
    """What was not trained on: lines that were left out, and labels that have no line."""
    left_out = _left_out(made)
    if left_out:
        yield f"left out     {', '.join(left_out)}"
    labels = made.get("labels_without_lines")
    if isinstance(labels, list) and labels:
        yield f"never given  {', '.join(labels)}: no line of it was trained on"


def _left_out(made: Mapping[str, object]) -> list[str]:
    dropped = made.get("dropped")
    counts = [(made.get("kept_apart"), "of --keep-apart, or like one of those")]
    if isinstance(dropped, Mapping):
        counts.append((dropped["repeated"], "that differ from another one in values only"))
        counts.append((dropped["contradicting"], "that have another label than more of their like"))
    return [f"{count} lines {why}" for count, why in counts if count]


def _alike(made: Mapping[str, object]) -> Iterator[str]:
    """How many of the test lines the training had in all but their values."""
    test = made.get("test")
    if isinstance(test, Mapping) and test.get("mask_in_training"):
        yield (
            f"{test['mask_in_training']} of these {test['lines']} lines differ from one that was "
            "trained on in values only: easy ones; --split grouped keeps such lines together"
        )


def _encoder(encoder: Encoder) -> str:
    name = encoder.model or encoder.file
    size = f"{encoder.dimensions} dimensions, {encoder.max_tokens} tokens at most"
    return f"{encoder.kind} {name}, {size}"


def _text(notes: Mapping[str, object], name: str) -> str:
    return str(notes.get(name, "unknown"))


def _measured(meaning: str, scores: Mapping[str, object]) -> Iterator[str]:
    yield f"on {meaning}:"
    yield f"{'label':22}{'precision':>10}{'recall':>8}{'F1':>8}{'lines':>8}"
    per_label = scores.get("per_label")
    if isinstance(per_label, Mapping):
        for label, one in per_label.items():
            yield (
                f"{label:22}{one['precision']:10.3f}{one['recall']:8.3f}"
                f"{one['f1']:8.3f}{one['lines']:8}"
            )
    names = [name for name in _FIGURES if scores.get(name) is not None]
    yield "  ".join(f"{name.replace('_', ' ')} {scores[name]:.4f}" for name in names)
