"""Trains a candidate on the corpus, corrections and labelled files, and asks the gate about it.

    waybill model retrain --corrections said.ndjson --patterns patterns.ndjson --push ./versions

The encoder of the bundle in force stays; the classifier on top of it is fitted anew. So it needs
scikit-learn, and no torch. What the gate lets pass is pushed, where sidecars follow it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from waybill.core.labels import Taxonomy
from waybill.core.pattern import Pattern
from waybill.hub.push import push
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.manifest import Encoder
from waybill.learn.chain import labels_of, masks_of
from waybill.learn.corrected import read_corrected
from waybill.learn.dataset import read_examples
from waybill.learn.plan import DataPlan, EncoderPlan, HostedEncoder, TrainingPlan
from waybill.learn.retrain.answers import (
    Answers,
    Flips,
    Followed,
    compare,
    count_flips,
    count_followed,
    to_measure,
)
from waybill.learn.retrain.bounds import Bounds
from waybill.learn.retrain.gate import Check, Measured, check
from waybill.learn.train import Say, train
from waybill.settings.taxonomy import read_labels

__all__ = ["Outcome", "PushPlan", "RetrainPlan", "retrain"]


class PushPlan(msgspec.Struct, frozen=True):
    """Where a version is pushed to: a folder of versions, or a repository at ``endpoint``."""

    repo: str
    endpoint: str | None = None


class RetrainPlan(msgspec.Struct, frozen=True):
    """A whole retraining.

    ``base`` is the folder of the bundle in force. ``patterns`` are stored ones, to count what would
    flip. ``output`` keeps the candidate, whatever the gate says. ``threshold`` is the setting
    ``model.threshold``. ``labels`` is the file of the labels.
    """

    base: Path
    labels: str
    data: DataPlan = DataPlan()
    patterns: Sequence[Pattern] = ()
    bounds: Bounds = Bounds()
    push: PushPlan | None = None
    output: Path | None = None
    name: str | None = None
    classifier: str | None = None
    classifier_arguments: str = "{}"
    seed: int = 42
    threads: int = 2
    cache: Path | None = None
    threshold: float | None = None
    command: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of it. ``pushed`` is the version in ``repo``; None: nothing was pushed.

    ``is_new`` is false when the candidate serves the same bytes as the bundle in force.
    """

    base: str
    candidate: str
    is_new: bool
    checks: Sequence[Check]
    followed: Followed
    flips: Flips | None = None
    pushed: str | None = None
    repo: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether one of the checks is not met."""
        return any(one.is_met is False for one in self.checks)


def retrain(plan: RetrainPlan, say: Say = lambda _: None) -> Outcome:
    """Train, measure, and push what the gate lets pass; ``say`` hears what is begun.

    Raises WaybillError for files that cannot be read, BundleError for a bundle that does not load,
    HubError when it cannot be pushed.
    """
    taxonomy = read_labels(plan.labels)
    encoders = Encoders()  # both bundles have the same one, which is opened once
    old = load_bundle(plan.base, taxonomy=taxonomy, encoders=encoders)
    with tempfile.TemporaryDirectory() as scratch:
        name = plan.name or old.manifest.name
        folder = plan.output or Path(scratch) / name
        train(folder, _training(plan, old, name), taxonomy, encoders, say)
        say("holding the candidate against the bundle in force")
        new = load_bundle(folder, taxonomy=taxonomy, encoders=encoders)
        outcome = _judge(plan, old, new, taxonomy)
        if plan.push is None or outcome.is_refused or not outcome.is_new:
            return outcome
        version = push(folder, plan.push.repo, endpoint=plan.push.endpoint, labels=plan.labels)
    return msgspec.structs.replace(outcome, pushed=version, repo=plan.push.repo)


def _training(plan: RetrainPlan, old: Bundle, name: str) -> TrainingPlan:
    """The plan of a training over the encoder of ``old``."""
    return TrainingPlan(
        name=name,
        data=plan.data,
        encoder=_encoder(plan, old.manifest.encoder),
        ngrams=old.manifest.classifier.ngrams,
        classifier=plan.classifier,
        classifier_arguments=plan.classifier_arguments,
        seed=plan.seed,
        threads=plan.threads,
        command=plan.command,
    )


def _encoder(plan: RetrainPlan, encoder: Encoder) -> EncoderPlan:
    if encoder.kind == "onnx" and encoder.shared is not None:
        return EncoderPlan(cache=plan.cache, is_shared=True)
    if encoder.kind == "onnx":
        return EncoderPlan(folder=plan.base, cache=plan.cache)
    hosted = HostedEncoder(encoder.kind, encoder.model or "", encoder.dimensions)
    return EncoderPlan(hosted=hosted, cache=plan.cache)


def _judge(plan: RetrainPlan, old: Bundle, new: Bundle, taxonomy: Taxonomy) -> Outcome:
    said = read_corrected(plan.data.corrections, taxonomy, plan.data.labelling).labels
    followed = count_followed(said, _compare(plan, old, new, list(said)))
    flips = None
    if plan.patterns:
        patterns = to_measure(plan.patterns, said)
        masks = [pattern.mask for pattern in patterns]
        flips = count_flips(patterns, _compare(plan, old, new, masks))
    labelled = _on_labelled(plan, old, new, taxonomy)
    measured = Measured(old.manifest, new.manifest, followed, flips, labelled)
    return Outcome(
        base=old.version,
        candidate=new.version,
        is_new=new.manifest.version != old.manifest.version,
        checks=check(measured, plan.bounds),
        followed=followed,
        flips=flips,
    )


def _compare(plan: RetrainPlan, old: Bundle, new: Bundle, texts: Sequence[str]) -> Answers:
    return compare(
        old, new, texts, threshold=plan.threshold, cache=plan.cache, threads=plan.threads
    )


def _on_labelled(
    plan: RetrainPlan, old: Bundle, new: Bundle, taxonomy: Taxonomy
) -> tuple[float, float] | None:
    """The accuracy of both on the lines that are kept apart."""
    examples = read_examples(plan.data.keep_apart, taxonomy, fields=plan.data.fields)
    if not examples:
        return None
    answers = _compare(plan, old, new, masks_of(examples))
    truth = labels_of(examples)
    right = [sum(map(str.__eq__, truth, given)) for given in answers]
    return right[0] / len(truth), right[1] / len(truth)
