"""``waybill model train``: its many options, and the plan that they make."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.model_tuning import add_tuning_options, tuning_of
from waybill.cli.parsing import (
    Commands,
    add_command,
    add_labels_option,
    add_seed_option,
    load,
    load_labels,
    needs_extra,
)
from waybill.cli.terminal import tell
from waybill.core.errors import WaybillError
from waybill.learn.plan import (
    CORPUS,
    FURTHER,
    FURTHER_WEIGHTS,
    PER_LABEL,
    SPLITS,
    DataPlan,
    EncoderPlan,
    TrainingPlan,
    default_cache,
    hosted_encoder,
)

if TYPE_CHECKING:
    from waybill.labelling.model.ngram_plan import Ngrams

__all__ = [
    "add",
    "add_corpus_options",
    "add_repeat_options",
    "add_selection_options",
    "add_weight_option",
    "corpus_extra_of",
    "extra_weights_of",
]

#: So many characters of a record say what happened: docs/decisions/0056-members-without-values.md.
_NGRAM_CHARS = 200


def add(actions: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        actions,
        "train",
        needs_extra("train", _train),
        "Train a model bundle from the corpus and from labelled files.",
        "waybill model train --output models/mine --data labelled.csv --keep-apart gold.csv",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--name", help="the bundle's name (default: the folder's)")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    _add_data(parser)
    _add_model(parser)


def add_corpus_options(group: argparse._ActionsContainer) -> None:
    """``--corpus``, ``--corpus-extra`` and ``--per-label``."""
    group.add_argument(
        "--corpus",
        type=Path,
        default=CORPUS,
        help="folder of template files (default: the one of Waybill)",
    )
    group.add_argument(
        "--corpus-extra",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="folders of further template files (default: those that come with the default corpus)",
    )
    group.add_argument(
        "--per-label",
        type=int,
        default=PER_LABEL,
        help="lines wanted per label of the corpus",
    )


def add_weight_option(group: argparse._ActionsContainer) -> None:
    """``--extra-weight``."""
    group.add_argument(
        "--extra-weight",
        type=_weights_of_a_fit,
        nargs="+",
        metavar="N",
        help="what a line of --corpus-extra counts as when the classifier is fitted; 0.1,0 gives "
        "each folder its own. Of several, it is fitted with each, and the coefficients are "
        f"averaged (default: {' '.join(map(_words, FURTHER_WEIGHTS))} for those that come with the "
        "default corpus, else 1)",
    )


def _words(weights: Sequence[float]) -> str:
    return ",".join(f"{weight:g}" for weight in weights)


def _weights_of_a_fit(text: str) -> tuple[float, ...]:
    """Numbers between commas. Raises ArgumentTypeError: the text is not a number."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        told = f"{text!r}: expected a number, or several with commas between them"
        raise argparse.ArgumentTypeError(told) from None


def corpus_extra_of(given: argparse.Namespace) -> tuple[Path, ...]:
    """The folders of ``--corpus-extra``; without it, what goes with the default corpus."""
    if given.corpus_extra is not None:
        return tuple(given.corpus_extra)
    return FURTHER if given.corpus == CORPUS else ()


def extra_weights_of(given: argparse.Namespace) -> tuple[tuple[float, ...], ...]:
    """``--extra-weight``; without it, those of `corpus_extra_of`.

    Raises WaybillError for weights below 0, no weight above 0, and another number of weights than
    of folders.
    """
    if given.extra_weight is None:
        return FURTHER_WEIGHTS if given.corpus_extra is None else ((1.0,),)
    folders = len(corpus_extra_of(given))
    for weights in given.extra_weight:
        told = f"--extra-weight {_words(weights)}"
        if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
            raise WaybillError(f"{told}: expected numbers from 0 on, one of them above 0")
        if len(weights) not in (1, folders):
            raise WaybillError(f"{told}: expected one number, or one for each of {folders} folders")
    return tuple(given.extra_weight)


def add_selection_options(group: argparse._ActionsContainer, default_share: float) -> None:
    """``--where``, ``--test-share`` and ``--split``."""
    group.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="COLUMN=VALUE or COLUMN!=VALUE: rows to take; may be repeated",
    )
    group.add_argument(
        "--test-share",
        type=float,
        default=default_share,
        help="share of the rows to measure on, in [0, 1] (default: %(default)s)",
    )
    group.add_argument(
        "--split",
        choices=SPLITS,
        default="stratified",
        help="how that share is chosen (default: %(default)s)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="labelled CSV, NDJSON or Parquet files",
    )
    add_selection_options(data, default_share=0.0)
    add_corpus_options(data)
    add_weight_option(data)
    add_labels_option(data)
    data.add_argument("--no-corpus", action="store_true", help="train on --data alone")
    data.add_argument(
        "--keep-apart",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="files whose lines must not be trained on",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("model")
    model.add_argument(
        "--encoder",
        type=Path,
        help="folder with encoder.onnx and tokenizer.json (default: the default)",
    )
    model.add_argument(
        "--source", help="sentence-transformers model (folder or package) to export as the encoder"
    )
    add_tuning_options(model)
    model.add_argument(
        "--encoder-kind",
        choices=("onnx", "sentence-transformers", "gemini"),
        default="onnx",
        help="default: onnx",
    )
    model.add_argument(
        "--encoder-model",
        help="model of the other kinds (default: gemini-embedding-001 for gemini)",
    )
    model.add_argument(
        "--share-encoder",
        action="store_true",
        help="leave the default encoder where it is; the bundle names its hash",
    )
    model.add_argument("--dimensions", type=int, default=768, help="of gemini's vectors")
    add_repeat_options(model)
    _add_ngrams(model)
    model.add_argument(
        "--classifier", metavar="DOTTED", help="another scikit-learn classifier with predict_proba"
    )
    model.add_argument(
        "--classifier-args", metavar="JSON", default="{}", help="its keyword arguments"
    )


def add_repeat_options(group: argparse._ArgumentGroup) -> None:
    """Add what makes a second training quick, and the same."""
    group.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        help="file of embeddings (default: %(default)s)",
    )
    group.add_argument("--no-cache", action="store_true", help="embed everything anew")
    add_seed_option(group)


def _add_ngrams(model: argparse._ArgumentGroup) -> None:
    model.add_argument("--no-ngrams", action="store_true", help="embeddings alone")
    model.add_argument(
        "--ngram-weight",
        type=float,
        metavar="N",
        help="length of the n-grams beside an embedding of length 1, above 0 (default: 3); with "
        "less, new software is judged less by its letters",
    )


def _train(given: argparse.Namespace) -> int:
    from waybill.learn.summary import show_manifest
    from waybill.learn.train import train

    manifest = train(
        given.output,
        plan_of(given),
        load_labels(given),
        say=lambda step: tell(f"waybill: {step}"),
    )
    if given.json:
        told = {"version": manifest.version, "made": manifest.made, "metrics": manifest.metrics}
        print(json.dumps(told, indent=2))
        return 0
    print(show_manifest(manifest))
    return 0


def plan_of(given: argparse.Namespace) -> TrainingPlan:
    """The plan that the options make. Raises WaybillError for options that do not go together."""
    data = DataPlan(
        files=tuple(given.data),
        where=tuple(given.where),
        test_share=given.test_share,
        split=given.split,
        corpus=None if given.no_corpus else given.corpus,
        corpus_extra=corpus_extra_of(given),
        extra_weights=extra_weights_of(given),
        per_label=given.per_label,
        keep_apart=tuple(given.keep_apart),
        fields=load(given).fields,
    )
    encoder = EncoderPlan(
        folder=given.encoder,
        source=given.source,
        tuning=tuning_of(given),
        hosted=hosted_encoder(given.encoder_kind, given.encoder_model, given.dimensions),
        cache=None if given.no_cache else given.cache,
        is_shared=given.share_encoder,
    )
    return TrainingPlan(
        name=given.name or given.output.name,
        data=data,
        encoder=encoder,
        ngrams=_ngrams(given),
        classifier=given.classifier,
        classifier_arguments=given.classifier_args,
        seed=given.seed,
        command=given.command_line,
    )


def _ngrams(given: argparse.Namespace) -> Ngrams | None:
    """Raises WaybillError: a text is not a weight."""
    from waybill.labelling.model.ngram_plan import Ngrams
    from waybill.labelling.model.reading import NEWEST_READING

    if given.no_ngrams:
        return None
    weight: float | None = given.ngram_weight
    if weight is None:
        return Ngrams(reading=NEWEST_READING, chars=_NGRAM_CHARS)
    if not 0 < weight < math.inf:
        raise WaybillError(f"--ngram-weight {weight}: expected a number above 0")
    return Ngrams(weight=weight, reading=NEWEST_READING, chars=_NGRAM_CHARS)
