"""What a training is asked for: the data, the encoder, the classifier. Light: no numpy, no
scikit-learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from waybill.core.errors import WaybillError
from waybill.labelling.model.ngram_plan import Ngrams
from waybill.settings.environment import cache_folder
from waybill.settings.schema import FieldSettings

__all__ = [
    "CORPUS",
    "CORRECTION_WEIGHT",
    "FURTHER",
    "FURTHER_WEIGHTS",
    "PER_LABEL",
    "SPLITS",
    "DataPlan",
    "EncoderPlan",
    "HostedEncoder",
    "TrainingPlan",
    "TuningPlan",
    "default_cache",
    "hosted_encoder",
]

#: The templates that the shipped model is trained on, with those of `FURTHER`.
CORPUS = Path(__file__).parent / "corpus" / "templates"
#: Templates of more than a thousand more kinds of software, for ``DataPlan.corpus_extra``, in the
#: order in which they came: a bundle is of the first so many.
FURTHER = tuple(Path(__file__).parent / "corpus" / name for name in ("broad", "wide"))
#: What a line of `FURTHER` counts as for the classifier, for each fit that it is the mean of. The
#: encoder learns from all lines alike and carries the breadth; the classifier on top of it is
#: steadier on what is common. Several fits were no better: docs/decisions/0041-means-of-fits.md.
FURTHER_WEIGHTS = ((0.3,),)
#: Distinct masked examples wanted per label of the corpus, before its shares.
PER_LABEL = 2000
#: A corrected mask counts as so many lines. A template of the corpus gives about twenty, and one
#: that was right before must not change for it.
CORRECTION_WEIGHT = 10
#: How test rows are chosen: with the labels' shares, at random, or no mask on both sides.
SPLITS = ("stratified", "random", "grouped")

_GEMINI = "gemini-embedding-001"


class DataPlan(msgspec.Struct, frozen=True):
    """Which lines are trained on and which are measured on.

    ``where`` are ``COLUMN=VALUE`` or ``COLUMN!=VALUE`` conditions on the rows of ``files``;
    ``test_share`` of them, in [0, 1], is only measured on. ``corpus`` is a folder of template
    files, or None, ``corpus_extra`` are folders that add to it. No line with the mask of a line in
    ``keep_apart`` is trained on. The classifier is fitted once for each of ``extra_weights``, and
    the coefficients are averaged: what a line of each folder of ``corpus_extra`` counts as in that
    fit, beside 1 for one of ``corpus``; a single number is for all folders. ``corrections`` are
    files or folders of them: each corrected mask counts as ``correction_weight`` lines, in the
    place of all others that have it. ``labelling`` names the one whose corrections are meant; "" is
    the first. ``fields`` say where the rows have message, source and label.
    """

    files: tuple[Path, ...] = ()
    where: tuple[str, ...] = ()
    test_share: float = 0.0
    split: str = "stratified"
    corpus: Path | None = CORPUS
    corpus_extra: tuple[Path, ...] = FURTHER
    extra_weights: tuple[tuple[float, ...], ...] = FURTHER_WEIGHTS
    per_label: int = PER_LABEL
    keep_apart: tuple[Path, ...] = ()
    corrections: tuple[Path, ...] = ()
    correction_weight: int = CORRECTION_WEIGHT
    labelling: str = ""
    fields: FieldSettings = FieldSettings()


class HostedEncoder(NamedTuple):
    """An encoder that does not lie in the bundle: a service, or a library with its own weights."""

    kind: str
    model: str
    dimensions: int


class TuningPlan(msgspec.Struct, frozen=True):
    """How the encoder is fine-tuned before it is used.

    ``share`` of the way from the original weights to the tuned ones, in [0, 1], is gone; the token
    table and the lowest ``frozen_layers`` stay as they are. Each of the ``epochs`` takes
    ``per_template`` lines of a template, ``per_none`` of one that is no event. Every
    ``left_out``-th kind of software is never tuned on: what the bundle is measured on. ``runs``
    encoders are tuned so, with other lines and seeds, and their weights averaged. Of the template
    of a pack in ``packs``, which the encoder learns as well, an epoch takes ``per_pack_template``
    lines.
    """

    share: float = 0.8
    runs: int = 1
    epochs: int = 4
    per_template: int = 2
    per_none: int = 12
    frozen_layers: int = 2
    learning_rate: float = 7e-5
    left_out: int = 5
    packs: tuple[Path, ...] = ()
    per_pack_template: int = 1


class EncoderPlan(msgspec.Struct, frozen=True):
    """What turns texts into vectors.

    ``folder`` holds ``encoder.onnx`` and ``tokenizer.json`` (None: those of the default bundle);
    ``source`` names a sentence-transformers model to export instead, after ``tuning`` where that is
    given; ``hosted`` stands in for both. With ``is_shared`` the bundle does not hold the default
    bundle's files, but says where they are. ``cache`` is a file of embeddings, or None.
    """

    folder: Path | None = None
    source: str | None = None
    tuning: TuningPlan | None = None
    hosted: HostedEncoder | None = None
    cache: Path | None = None
    is_shared: bool = False


class TrainingPlan(msgspec.Struct, frozen=True):
    """A whole training. The same plan, libraries and files give the same bundle.

    ``classifier`` is the dotted name of a scikit-learn classifier in the place of the logistic
    regression, ``classifier_arguments`` its keyword arguments as JSON. ``command`` is noted in the
    manifest.
    """

    name: str
    data: DataPlan = DataPlan()
    encoder: EncoderPlan = EncoderPlan()
    ngrams: Ngrams | None = None
    classifier: str | None = None
    classifier_arguments: str = "{}"
    seed: int = 42
    threads: int = 2
    command: str = ""


def hosted_encoder(kind: str, model: str | None, dimensions: int) -> HostedEncoder | None:
    """The encoder of that kind; None for ``onnx``. Raises WaybillError when its model is
    not named.
    """
    if kind == "onnx":
        return None
    if model is None and kind == "gemini":
        model = _GEMINI
    if model is None:
        raise WaybillError(f"--encoder-kind {kind} needs --encoder-model NAME or FOLDER")
    return HostedEncoder(kind, model, dimensions)


def default_cache() -> Path:
    """``embeddings.sqlite`` in the user's cache folder (XDG base directory specification).

    A user without a home has it below the working directory.
    """
    folder = cache_folder() or Path(".cache", "waybill")
    return folder / "embeddings.sqlite"
