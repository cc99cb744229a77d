"""Measures labels on labelled files: rules only, model only and both, through the pipeline that serves.

waybill model evaluate gold.csv --ablation --report report/
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from waybill.core.errors import ConfigError, WaybillError
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.onnx import TextEncoder
from waybill.learn.corpus import Example
from waybill.learn.dataset import read_examples, split
from waybill.learn.embedding_cache import embed_cached
from waybill.learn.encoder_export import DEFAULT_SOURCE, export_float_encoder
from waybill.learn.fragments import fragments
from waybill.learn.scores import Scores, calibration_error, reliability, score
from waybill.library import Labeller
from waybill.settings.resources import resolve_path
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels

__all__ = ["evaluate", "main"]

#: The tiers of each row of the ablation table.
ABLATION = {"rules": ("rules",), "model": ("model",), "rules and model": ("rules", "model")}
_FRAGMENTS = 300
_BATCH = 200


class Evaluation(msgspec.Struct, frozen=True):
    """What was measured. ``by_tier`` counts the lines that each tier decided; ``bins`` are rows of
    mean confidence, share right and count; ``calibration_error`` and they are of the model alone.
    """

    bundle: str
    rules: str
    scores: Scores
    by_tier: dict[str, int]
    calibration_error: float
    bins: list[tuple[float, float, int]]
    fragments_unclassified: float
    ablation: dict[str, Scores] = {}
    float_agreement: float | None = None


def evaluate(
    settings: Settings,
    examples: Sequence[Example],
    *,
    is_ablation: bool = False,
    float_source: str | None = None,
) -> Evaluation:
    """Label ``examples`` with the rules and the model of ``settings``.

    ``float_source`` names the sentence-transformers model that the encoder was made from: labels are
    then also compared with those over its float32 export. Raises ConfigError, BundleError.
    """
    if settings.model.path is None:
        raise ConfigError(["model.path is null: there is no model to evaluate"])
    taxonomy = read_labels(settings.labels.path)
    bundle = load_bundle(resolve_path(settings.model.path)[0], taxonomy=taxonomy)
    messages = [example.text for example in examples]
    sources = [example.software for example in examples]
    truth = [example.label for example in examples]
    kinds = ABLATION if is_ablation else {"rules and model": ABLATION["rules and model"]}
    found: dict[str, Scores] = {}
    for name, tiers in kinds.items():
        route = msgspec.structs.replace(
            settings.routes[-1], source=("*",), tiers=tiers, labels=None
        )
        labeller = Labeller(msgspec.structs.replace(settings, routes=(route,)))
        # A batch waits only so long for the model; here every line is to be judged.
        verdicts = [
            verdict
            for at in range(0, len(messages), _BATCH)
            for verdict in labeller.label(messages[at : at + _BATCH], sources[at : at + _BATCH])
        ]
        found[name] = score(truth, [verdict.label for verdict in verdicts], taxonomy)
    texts = [mask(message) for message in messages]
    predictions = bundle.classify(
        embed_cached(bundle.encoder, texts, None, settings.model.threads), texts
    )
    sure = np.array([prediction.confidence for prediction in predictions])
    right = np.array([p.label == label for p, label in zip(predictions, truth, strict=True)])
    noise = bundle.predict([mask(text) for _, text in fragments(_FRAGMENTS)])
    tiers_used = [verdict.tier for verdict in verdicts]
    return Evaluation(
        bundle=bundle.version,
        rules=settings.rules.path,
        scores=found["rules and model"],
        by_tier={tier: tiers_used.count(tier) for tier in sorted(set(tiers_used))},
        calibration_error=calibration_error(sure, right),
        bins=[(round(a, 4), round(b, 4), n) for a, b, n in reliability(sure, right)],
        fragments_unclassified=round(
            float(np.mean([bundle.answer(p) == taxonomy.fallback for p in noise])), 4
        ),
        ablation=found if is_ablation else {},
        float_agreement=_float_agreement(bundle, texts, float_source) if float_source else None,
    )


def _float_agreement(bundle: Bundle, texts: Sequence[str], source: str) -> float:
    """Share of texts that get the same label over the float32 encoder."""
    graph, tokenizer = export_float_encoder(source)
    precise = TextEncoder(graph, tokenizer, bundle.manifest.encoder.max_tokens)
    served = bundle.predict(texts)
    exact = bundle.classify(embed_cached(precise, texts, None), texts)
    same = [
        bundle.answer(one) == bundle.answer(other) for one, other in zip(served, exact, strict=True)
    ]
    return round(float(np.mean(same)), 4)


def show(found: Evaluation) -> str:
    """A table for people."""
    scores = found.scores
    rows = [f"{'label':22}{'precision':>10}{'recall':>8}{'F1':>8}{'lines':>8}"]
    for label, one in scores.per_label.items():
        rows.append(f"{label:22}{one.precision:10.3f}{one.recall:8.3f}{one.f1:8.3f}{one.lines:8}")
    rows += [
        "",
        f"lines {scores.lines}  accuracy {scores.accuracy:.4f}  macro-F1 {scores.macro_f1:.4f}",
        f"macro-F1 with labels that were only answered {scores.macro_f1_answered:.4f}",
        f"unclassified {scores.unclassified:.4f}  wrong {scores.wrong:.4f}  decided by "
        + ", ".join(f"{tier} {count}" for tier, count in found.by_tier.items()),
        f"model {found.bundle}: calibration error {found.calibration_error:.4f}",
        f"generated fragments unclassified {found.fragments_unclassified:.4f}",
    ]
    for name, scores in found.ablation.items():
        rows.append(
            f"{name:18} accuracy {scores.accuracy:.4f}  macro-F1 {scores.macro_f1:.4f}  "
            f"unclassified {scores.unclassified:.4f}  wrong {scores.wrong:.4f}"
        )
    if found.float_agreement is not None:
        rows.append(f"same label over the float32 encoder: {found.float_agreement:.4f}")
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="waybill model evaluate", description="Measure labels on labelled files."
    )
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="labelled CSV, NDJSON or Parquet"
    )
    parser.add_argument(
        "--where", action="append", default=[], help="COLUMN=VALUE or COLUMN!=VALUE: rows to take"
    )
    parser.add_argument(
        "--test-share",
        type=float,
        default=1.0,
        help="measure on this share only, as in model train",
    )
    parser.add_argument("--split", default="stratified", help="how that share is chosen")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--ablation", action="store_true", help="also rules alone and model alone")
    parser.add_argument("--float", nargs="?", const=DEFAULT_SOURCE, metavar="SOURCE", dest="float_source",
                        help="also compare with the float32 encoder of this model")  # fmt: skip
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write report.html, confusion.png, reliability.png",
    )
    parser.add_argument(
        "--errors", action="store_true", help="list the lines that got another label"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    settings = load_settings(arguments.config, arguments.overrides)
    taxonomy = read_labels(settings.labels.path)
    examples = read_examples(arguments.files, taxonomy, where=arguments.where)
    if arguments.test_share < 1:
        _, examples = split(examples, arguments.test_share, arguments.seed, arguments.split)
    if not examples:
        raise WaybillError("no row meets the conditions")
    found = evaluate(
        settings, examples, is_ablation=arguments.ablation, float_source=arguments.float_source
    )
    print(json.dumps(msgspec.to_builtins(found), indent=2) if arguments.json else show(found))
    if arguments.errors:
        _print_errors(settings, examples)
    if arguments.report:
        from waybill.learn.report import write_report

        write_report(arguments.report, found, [str(path) for path in arguments.files])
        print(f"report: {arguments.report / 'report.html'}", file=sys.stderr)
    return 0


def _print_errors(settings: Settings, examples: Sequence[Example]) -> None:
    verdicts: list[Any] = Labeller(settings).label(
        [e.text for e in examples], [e.software for e in examples]
    )
    for example, verdict in zip(examples, verdicts, strict=True):
        if verdict.label != example.label:
            sure = "" if verdict.confidence is None else f" {verdict.confidence:.2f}"
            decided = f"{verdict.tier}{sure} {verdict.reason or ''}".strip()
            print(f"{example.label} -> {verdict.label} ({decided}): {mask(example.text)}")


if __name__ == "__main__":
    raise SystemExit(main())
