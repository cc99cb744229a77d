"""The options of ``waybill model train`` that tune the encoder."""

from __future__ import annotations

import argparse
from pathlib import Path

from waybill.core.errors import WaybillError
from waybill.learn.plan import TuningPlan

__all__ = ["add_tuning_options", "tuning_of"]


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
    model.add_argument(
        "--tune-left-out",
        type=int,
        default=TuningPlan().left_out,
        metavar="N",
        help="never tune on every N-th kind of software, to measure on (default: %(default)s)",
    )
    model.add_argument(
        "--tune-packs",
        type=Path,
        nargs="+",
        default=[],
        metavar="PACK",
        help="folders of packs that share the encoder: it learns from their templates as well",
    )
    _add_repeats(model)


def _add_repeats(model: argparse._ArgumentGroup) -> None:
    model.add_argument(
        "--tune-epochs",
        type=int,
        default=TuningPlan().epochs,
        metavar="N",
        help="go through the templates so many times, with other lines each time: fewer for a "
        "broad corpus (default: %(default)s)",
    )
    model.add_argument(
        "--tune-runs",
        type=int,
        default=TuningPlan().runs,
        metavar="N",
        help="tune so many times, with other lines and seeds, and average the weights: N times as "
        "long (default: %(default)s)",
    )


def tuning_of(given: argparse.Namespace) -> TuningPlan | None:
    """The plan of a tuning, None without one. Raises WaybillError for what cannot be tuned."""
    if not given.tune:
        return None
    if given.encoder is not None or given.encoder_kind != "onnx":
        raise WaybillError("--tune works on --source: leave --encoder and --encoder-kind out")
    if not 0 <= given.tune_share <= 1:
        raise WaybillError(f"--tune-share {given.tune_share}: expected a number from 0 to 1")
    if given.tune_left_out < 2:
        raise WaybillError(f"--tune-left-out {given.tune_left_out}: expected 2 or more")
    if given.tune_epochs < 1:
        raise WaybillError(f"--tune-epochs {given.tune_epochs}: expected 1 or more")
    if given.tune_runs < 1:
        raise WaybillError(f"--tune-runs {given.tune_runs}: expected 1 or more")
    return TuningPlan(
        share=given.tune_share,
        runs=given.tune_runs,
        epochs=given.tune_epochs,
        left_out=given.tune_left_out,
        packs=tuple(given.tune_packs),
    )
