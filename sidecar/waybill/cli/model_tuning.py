"""The options of ``waybill model train`` that tune the encoder."""

from __future__ import annotations

import argparse
from pathlib import Path

from waybill.core.errors import WaybillError
from waybill.learn.plan import TuningPlan

__all__ = ["add_tuning_options", "tuning_of"]

#: The members of `TuningPlan` that count: the least that is taken, and what it is.
_COUNTS = {
    "left_out": (2, "never tune on every N-th kind of software, to measure on"),
    "epochs": (
        1,
        "go through the templates so many times, with other lines each time; fewer if broad",
    ),
    "runs": (
        1,
        "tune so many times, with other lines and seeds, and average the weights: N times as long",
    ),
}


def add_tuning_options(model: argparse._ArgumentGroup) -> None:
    """``--tune`` and how."""
    model.add_argument(
        "--tune",
        action="store_true",
        help="fine-tune --source on the corpus first (a quarter of an hour on two idle cores)",
    )
    model.add_argument(
        "--tune-share",
        type=float,
        default=TuningPlan().share,
        help="how far the weights move, in [0, 1] (default: %(default)s)",
    )
    for name, (_, text) in _COUNTS.items():
        model.add_argument(
            _option(name),
            type=int,
            default=getattr(TuningPlan(), name),
            metavar="N",
            help=f"{text} (default: %(default)s)",
        )
    model.add_argument(
        "--tune-packs",
        type=Path,
        nargs="+",
        default=[],
        metavar="PACK",
        help="folders of packs that share the encoder: it learns from their templates as well",
    )


def _option(name: str) -> str:
    return f"--tune-{name.replace('_', '-')}"


def tuning_of(given: argparse.Namespace) -> TuningPlan | None:
    """The plan of a tuning, None without one. Raises WaybillError for what cannot be tuned."""
    if not given.tune:
        return None
    if given.encoder is not None or given.encoder_kind != "onnx":
        raise WaybillError("--tune works on --source: leave --encoder and --encoder-kind out")
    if not 0 <= given.tune_share <= 1:
        raise WaybillError(f"--tune-share {given.tune_share}: expected a number from 0 to 1")
    counts = {name: getattr(given, f"tune_{name}") for name in _COUNTS}
    for name, (least, _) in _COUNTS.items():
        if counts[name] < least:
            raise WaybillError(f"{_option(name)} {counts[name]}: expected {least} or more")
    return TuningPlan(share=given.tune_share, packs=tuple(given.tune_packs), **counts)
