"""Measures labels on labelled files: what the service would answer, with the routes that it has.

    waybill model evaluate gold.csv --ablation --report report/

A source whose route asks only the language model is judged by that route, as when serving; what it
would be without that route is in the ablation.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from waybill.core.errors import ConfigError, WaybillError
from waybill.core.labels import Taxonomy
from waybill.core.records import Verdict
from waybill.core.turns import in_parts
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.onnx import TextEncoder
from waybill.learn.chain import Example, labels_of, masks_of
from waybill.learn.dataset import read_examples, split
from waybill.learn.embedding_cache import embed_cached
from waybill.learn.encoder_export import export_float_encoder
from waybill.learn.evaluation import Evaluation, Mistake, show
from waybill.learn.rejection import rejection
from waybill.learn.scores import Scores, calibration_error, reliability_rows, score
from waybill.library import Labeller
from waybill.settings.resources import resolve_path
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

__all__ = ["EvaluationPlan", "evaluate", "run_evaluation"]

#: The tiers of each row of the ablation table.
ABLATION = {"rules": ("rules",), "model": ("model",), "rules and model": ("rules", "model")}
#: Lines that are labelled at once.
_BATCH = 200


class EvaluationPlan(msgspec.Struct, frozen=True):
    """Which lines are measured, and what is told of it."""

    files: tuple[Path, ...]
    where: tuple[str, ...] = ()
    test_share: float = 1.0
    split: str = "stratified"
    seed: int = 42
    is_ablation: bool = False
    float_source: str | None = None
    report: Path | None = None
    has_errors: bool = False
    is_json: bool = False


def run_evaluation(plan: EvaluationPlan, settings: Settings) -> str:
    """Measure by the plan, write the report if one is wanted, and give the text for people or JSON.

    Raises WaybillError when no row is left, ConfigError, BundleError.
    """
    taxonomy = read_labels(settings.labels.path)
    examples = read_examples(plan.files, taxonomy, where=plan.where, fields=settings.fields)
    if plan.test_share < 1 and examples:
        _, examples = split(examples, plan.test_share, plan.seed, plan.split)
    if not examples:
        raise WaybillError("no row meets the conditions")
    found = evaluate(
        settings, examples, is_ablation=plan.is_ablation, float_source=plan.float_source
    )
    if plan.report is not None:
        from waybill.learn.report import write_report

        write_report(plan.report, found, [str(path) for path in plan.files])
        print(f"report: {plan.report / 'report.html'}", file=sys.stderr)
    if not plan.is_json:
        return show(found, has_mistakes=plan.has_errors)
    told = msgspec.to_builtins(found)
    if not plan.has_errors:
        del told["mistakes"]
    return json.dumps(told, indent=2)


def evaluate(
    settings: Settings,
    examples: Sequence[Example],
    *,
    is_ablation: bool = False,
    float_source: str | None = None,
) -> Evaluation:
    """Label ``examples`` as the service of these settings would.

    ``float_source`` names the sentence-transformers model that the encoder was made from: labels
    are then also compared with those over its float32 export. Raises ConfigError, BundleError.
    """
    if settings.model.path is None:
        raise ConfigError(["model.path is null: there is no model to evaluate"])
    taxonomy = read_labels(settings.labels.path)
    bundle = load_bundle(resolve_path(settings.model.path)[0], taxonomy=taxonomy)
    truth = labels_of(examples)
    verdicts = _label(settings, examples)
    texts = masks_of(examples)
    predictions = bundle.classify(
        embed_cached(bundle.encoder, texts, None, settings.model.threads), texts
    )
    sure = np.array([prediction.confidence for prediction in predictions], np.float32)
    right = np.array(labels_of(predictions)) == np.array(truth)
    agreement = None
    if float_source is not None:
        agreement = _float_agreement(bundle, texts, float_source)
    return Evaluation(
        bundle=bundle.version,
        rules=settings.rules.path,
        scores=score(truth, labels_of(verdicts), taxonomy),
        by_tier=_by_name(verdict.tier for verdict in verdicts),
        by_reason=_by_name(verdict.reason for verdict in verdicts),
        calibration_error=calibration_error(sure, right),
        bins=reliability_rows(sure, right),
        fragments_unclassified=rejection(bundle, taxonomy.fallback)["all"],
        ablation=_ablation(settings, examples, taxonomy) if is_ablation else {},
        float_agreement=agreement,
        mistakes=_mistakes(examples, texts, verdicts),
    )


def _label(settings: Settings, examples: Sequence[Example]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    with Labeller(settings) as labeller:
        for part in in_parts(examples, _BATCH):
            messages = [example.text for example in part]
            verdicts += labeller.label(messages, [example.software for example in part])
    return verdicts


def _by_name(names: Iterable[str | None]) -> dict[str, int]:
    """How often each name stands there, in order of the names."""
    return dict(sorted(Counter(name for name in names if name).items()))


def _mistakes(
    examples: Sequence[Example], texts: Sequence[str], verdicts: Sequence[Verdict]
) -> list[Mistake]:
    found: list[Mistake] = []
    for example, text, verdict in zip(examples, texts, verdicts, strict=True):
        if verdict.label != example.label:
            mistake = Mistake(
                example.label, verdict.label, verdict.tier, verdict.confidence, verdict.reason, text
            )
            found.append(mistake)
    return found


def _ablation(
    settings: Settings, examples: Sequence[Example], taxonomy: Taxonomy
) -> dict[str, Scores]:
    """Scores when every source, whatever its route, is asked of these tiers."""
    truth = labels_of(examples)
    found: dict[str, Scores] = {}
    for name, tiers in ABLATION.items():
        route = msgspec.structs.replace(
            settings.routes[-1], source=("*",), tiers=tiers, labels=None
        )
        verdicts = _label(msgspec.structs.replace(settings, routes=(route,)), examples)
        found[name] = score(truth, labels_of(verdicts), taxonomy)
    return found


def _float_agreement(bundle: Bundle, texts: Sequence[str], source: str) -> float:
    """Share of texts that get the same label over the float32 encoder."""
    graph, tokenizer = export_float_encoder(source)
    named = bundle.manifest.encoder
    precise = TextEncoder(graph, tokenizer, named.max_tokens, reading=named.way)
    served = list(map(bundle.answer, bundle.predict(texts)))
    exact = list(map(bundle.answer, bundle.classify(embed_cached(precise, texts, None), texts)))
    return round(float(np.mean(np.array(served) == np.array(exact))), 4)
