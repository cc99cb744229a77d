"""``waybill model retrain``: a new classifier from corrections, held against the one in force."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.evidence import corrections_of
from waybill.cli.exits import ExitCode
from waybill.cli.model_train import (
    add_corpus_options,
    add_repeat_options,
    add_weight_option,
    corpus_extra_of,
    extra_weights_of,
)
from waybill.cli.parsing import Commands, add_command, add_labelling_option, load, needs_extra
from waybill.cli.terminal import tell
from waybill.learn.plan import CORPUS, CORRECTION_WEIGHT, FURTHER, PER_LABEL, DataPlan

if TYPE_CHECKING:
    from waybill.core.pattern import Pattern
    from waybill.learn.retrain.bounds import Bounds
    from waybill.learn.retrain.retrain import PushPlan, RetrainPlan
    from waybill.settings.schema import Settings

__all__ = ["add"]


def add(actions: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        actions,
        "retrain",
        needs_extra("retrain", _retrain),
        "Train a candidate from corrections, ask the gate about it, and push it.",
        "waybill model retrain --corrections corrections.ndjson --push ./versions",
    )
    _add_data(parser)
    _add_gate(parser)
    parser.add_argument(
        "--push", metavar="REPO", help="folder of versions or owner/name: what passes goes there"
    )
    parser.add_argument("--endpoint", help="another server for REPO (default: HF_ENDPOINT)")
    parser.add_argument("-o", "--output", type=Path, help="keep the candidate here, refused or not")
    parser.add_argument("--name", help="the bundle's name (default: that of the one in force)")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write retrain.json and .txt")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_labelling_option(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--corrections",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="files or folders of corrections (default: the setting corrections.path)",
    )
    data.add_argument(
        "--correction-weight",
        type=int,
        default=CORRECTION_WEIGHT,
        metavar="N",
        help="a corrected mask counts as N lines (default: %(default)s)",
    )
    for name, help_ in (
        ("--data", "labelled files to train on as well"),
        ("--keep-apart", "labelled files to measure on; their lines are not trained on"),
    ):
        data.add_argument(name, type=Path, nargs="+", default=[], metavar="FILE", help=help_)
    add_corpus_options(data)
    add_weight_option(data)
    parser.set_defaults(per_label=None)  # that of the bundle in force
    data.add_argument(
        "--no-corpus", action="store_true", help="train on corrections and --data alone"
    )
    data.add_argument(
        "--base",
        type=Path,
        help="bundle in force (default: the newest version where sidecars follow, else model.path)",
    )
    add_repeat_options(data)


def _add_gate(parser: argparse.ArgumentParser) -> None:
    from waybill.learn.retrain.bounds import Bounds

    bounds = Bounds()
    gate = parser.add_argument_group(
        "gate", "how much worse the candidate may be; shares in [0, 1]"
    )
    gate.add_argument(
        "--patterns",
        nargs="+",
        default=[],
        metavar="FILE",
        help="patterns (waybill patterns -o FILE) or a sidecar's address, to count flips",
    )
    for name, default, help_ in (
        ("--max-flips", bounds.flips, "of the records of stored patterns"),
        ("--max-label-flips", bounds.label_flips, "of those of one label"),
        ("--max-loss", bounds.loss, "of accuracy and macro-F1"),
        ("--max-label-loss", bounds.label_loss, "of the F1 of one label"),
    ):
        gate.add_argument(
            name,
            type=_share,
            default=default,
            metavar="SHARE",
            help=f"{help_} (default: {default})",
        )


def _share(text: str) -> float:
    """A share from ``0.02`` or ``2%``. Raises ValueError, which argparse tells."""
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a share from 0 to 1, or 2%")
    return value


def _retrain(given: argparse.Namespace) -> int:
    import msgspec

    from waybill.learn.retrain.retrain import retrain
    from waybill.learn.retrain.telling import show, verdict, write_report

    settings = load(given)
    with tempfile.TemporaryDirectory() as scratch:
        base = given.base or base_of(settings, given.push, given.endpoint, Path(scratch))
        plan = plan_of(given, settings, base)
        _check_news(given, plan.data)
        found = retrain(plan, lambda step: tell(f"waybill: {step}"))
    if given.report is not None:
        write_report(given.report, found)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        print(show(found))
    tell(f"waybill: {verdict(found)}")
    return ExitCode.FAILED if found.is_refused else ExitCode.FINE


def _check_news(given: argparse.Namespace, data: DataPlan) -> None:
    """Raises ConfigError where the candidate could only be the bundle in force once more."""
    from waybill.core.errors import ConfigError

    has_other_corpus = given.corpus != CORPUS or given.corpus_extra is not None or given.no_corpus
    if not (data.corrections or data.files or has_other_corpus):
        told = "nothing to learn from: name --corrections or --data, or make corrections"
        raise ConfigError([told])


def plan_of(given: argparse.Namespace, settings: Settings, base: Path) -> RetrainPlan:
    """The plan that options and settings make. Raises WaybillError for files that cannot be
    read.
    """
    from waybill.learn.retrain.retrain import RetrainPlan

    return RetrainPlan(
        base=base,
        labels=settings.labels.path,
        data=_data(given, settings, base),
        patterns=_patterns(given.patterns, given.labelling),
        bounds=_bounds(given),
        push=_push(given),
        output=given.output,
        name=given.name,
        seed=given.seed,
        cache=None if given.no_cache else given.cache,
        threshold=settings.model.threshold,
        command=given.command_line,
    )


def base_of(settings: Settings, push: str | None, endpoint: str | None, scratch: Path) -> Path:
    """The bundle in force: the newest version where sidecars follow (``model.follow.source``, else
    ``push``), fetched into ``scratch``; where there is none yet, ``model.path``.

    Raises ConfigError without any, HubError for a source that cannot be reached, BundleError when
    none of its versions is accepted.
    """
    from waybill.core.errors import ConfigError
    from waybill.hub.outcome import HubError
    from waybill.hub.pull import pull
    from waybill.settings.environment import hub_endpoint
    from waybill.settings.resources import resolve_path

    follow = settings.model.follow
    source = follow.source or push
    if source is not None:
        address = endpoint or follow.endpoint or hub_endpoint()
        labels = settings.labels.path
        try:
            pulled = pull(source, scratch, version=follow.version, endpoint=address, labels=labels)
        except HubError as error:
            if error.code not in ("no_version", "not_found"):
                raise
        else:
            return Path(pulled.folder)
    if settings.model.path is None:
        raise ConfigError(["model.path is null: name the bundle to start from with --base"])
    return resolve_path(settings.model.path)[0]


def _data(given: argparse.Namespace, settings: Settings, base: Path) -> DataPlan:
    """The data, over the same corpus as the bundle in force where nothing else is said: only then
    can the figures of both be compared. Raises BundleError.
    """
    from waybill.labelling.model.manifest import read_manifest

    made = read_manifest(base).made
    return DataPlan(
        files=tuple(given.data),
        corpus=_corpus(given, made, base),
        corpus_extra=_corpus_extra(given, made),
        extra_weights=_extra_weights(given, made),
        per_label=given.per_label or made.get("per_label", PER_LABEL),
        keep_apart=tuple(given.keep_apart),
        corrections=corrections_of(given, settings),
        correction_weight=given.correction_weight,
        labelling=given.labelling,
        fields=settings.fields,
    )


def _corpus(given: argparse.Namespace, made: Mapping[str, object], base: Path) -> Path | None:
    """``--corpus``; without it that of the pack, or the default one if ``base`` is of a corpus.

    Raises WaybillError when there is nothing to train on.
    """
    from waybill.core.errors import WaybillError

    if given.no_corpus:
        return None
    if given.corpus != CORPUS:
        return Path(given.corpus)
    if given.labelling:
        return _corpus_of_pack(given)
    if "corpus_sha256" in made:
        return CORPUS
    if not given.data:
        data = made.get("data_sha256")
        files = ", ".join(data) if isinstance(data, dict) else "labelled files"
        raise WaybillError(f"{base} was trained on {files}, without a corpus: add --data FILE")
    return None


def _corpus_of_pack(given: argparse.Namespace) -> Path:
    """The corpus beside the labels of ``--labelling``. Raises WaybillError without one."""
    from waybill.core.errors import WaybillError
    from waybill.settings.labellings import part_of_pack
    from waybill.settings.resources import resolve_path
    from waybill.settings.sources import load_settings

    settings = load_settings(given.config, given.overrides)
    for labelling in settings.labellings:
        if labelling.name == given.labelling:
            path = part_of_pack(labelling, "corpus")
            if path is not None:
                return resolve_path(path)[0]
    raise WaybillError(
        f"the labelling {given.labelling} has no pack with a corpus: add --corpus FOLDER, or "
        "--no-corpus and --data FILE"
    )


def _corpus_extra(given: argparse.Namespace, made: Mapping[str, object]) -> tuple[Path, ...]:
    from waybill.learn.corpus.entries import corpus_hash

    is_open = given.corpus_extra is None and given.corpus == CORPUS
    if is_open and given.labelling:
        wide = _corpus_of_pack(given).parent / "wide"
        return (wide,) if "extra_weights" in made and wide.is_dir() else ()
    for count in range(len(FURTHER) if is_open else 0):
        if made.get("corpus_sha256") == corpus_hash(CORPUS, FURTHER[:count]):
            return FURTHER[:count]  # it was trained before there were more folders
    return corpus_extra_of(given)


def _extra_weights(
    given: argparse.Namespace, made: Mapping[str, object]
) -> tuple[tuple[float, ...], ...]:
    if given.extra_weight is not None or given.corpus_extra is not None:
        return extra_weights_of(given)
    several = made.get("extra_weights")
    if isinstance(several, list) and several:
        return tuple(tuple(map(float, weights)) for weights in several)
    told = made.get("extra_weight")  # of a bundle from before there could be several
    if isinstance(told, float):
        return ((told,),)
    return extra_weights_of(given)


def _patterns(sources: list[str], labelling: str) -> list[Pattern]:
    """The patterns of a labelling in files and sidecars. Raises WaybillError, OSError."""
    from waybill.learn.recorded import read_recorded

    found: list[Pattern] = []
    for source in sources:
        found += read_recorded(source, labelling)
    return found


def _bounds(given: argparse.Namespace) -> Bounds:
    from waybill.learn.retrain.bounds import Bounds

    return Bounds(
        loss=given.max_loss,
        label_loss=given.max_label_loss,
        flips=given.max_flips,
        label_flips=given.max_label_flips,
    )


def _push(given: argparse.Namespace) -> PushPlan | None:
    from waybill.learn.retrain.retrain import PushPlan
    from waybill.settings.environment import hub_endpoint

    if given.push is None:
        return None
    return PushPlan(given.push, given.endpoint or hub_endpoint())
