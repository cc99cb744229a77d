"""The encoder of a training: opened as it is, or exported, or tuned before."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.manifest import MANIFEST, Encoder, read_manifest
from waybill.labelling.model.reading import NEWEST_READING
from waybill.learn import bundling
from waybill.learn.corpus.entries import load_corpus
from waybill.learn.encoder_export import DEFAULT_SOURCE, export_encoder
from waybill.learn.plan import EncoderPlan, TrainingPlan, TuningPlan
from waybill.learn.tuning import tune
from waybill.learn.tuning_lines import own_part, pack_part, seen_names, tuning_epochs
from waybill.settings.resources import resolve_path

__all__ = ["OpenEncoder", "check_libraries", "open_encoder"]

#: Longer texts are cut: the mask puts the message first, and quality on real lines stays while
#: twice as many long messages are embedded in the same time.
MAX_TOKENS = 64
#: What writes a classifier, and what tunes and exports an encoder.
_LIBRARIES = ("skl2onnx", "onnx")
_EXPORT_LIBRARIES = ("torch", "transformers", "onnxscript")
_ENCODER_FILES = ("encoder.onnx", "tokenizer.json")
_DEFAULT = "models/default"


class OpenEncoder(NamedTuple):
    """An open encoder, and what the manifest says of it: as ``named``, and how it was tuned, which
    is nothing for one that was not.
    """

    named: Encoder
    encoder: VectorEncoder
    tuning: dict[str, object]


def check_libraries(wanted: EncoderPlan) -> None:
    """Raises ModuleNotFoundError for what will be missing after the work of an hour."""
    names = list(_LIBRARIES)
    if wanted.tuning is not None or wanted.source is not None:
        names += _EXPORT_LIBRARIES
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)


def open_encoder(
    build: Path, plan: TrainingPlan, taxonomy: Taxonomy, encoders: Encoders
) -> OpenEncoder:
    """Open the encoder of ``plan``; its files are put into ``build``.

    Raises WaybillError where it cannot be tuned or shared, BundleError for a manifest that cannot
    be read.
    """
    hosted = plan.encoder.hosted
    if hosted is not None:
        named = Encoder(
            kind=hosted.kind,
            file=None,
            tokenizer=None,
            max_tokens=MAX_TOKENS,
            dimensions=hosted.dimensions,
            pooling="mean",
            model=hosted.model,
        )
        return OpenEncoder(named, encoders.open(named, {}, {}), {})
    tuning = _place_encoder(build, plan, taxonomy)
    shared = _shared(plan.encoder)
    file, tokenizer = _ENCODER_FILES
    named = Encoder(
        kind="onnx",
        file=file,
        tokenizer=tokenizer,
        max_tokens=MAX_TOKENS,
        dimensions=1,  # written when a vector is there to be measured
        pooling="mean",
        shared=shared,
        reading=_reading(plan.encoder),
    )
    files = {name: (build / name).read_bytes() for name in _ENCODER_FILES}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return OpenEncoder(named, encoders.open(named, files, hashes), tuning)


def _shared(wanted: EncoderPlan) -> str | None:
    """The bundle whose encoder stays where it is; None when the new one holds its own.

    Raises WaybillError for another encoder than the default one.
    """
    if not wanted.is_shared:
        return None
    if (wanted.source, wanted.folder, wanted.tuning) != (None, None, None):
        raise WaybillError(
            f"--share-encoder shares the encoder of {_DEFAULT}; leave out --encoder, --source and "
            "--tune"
        )
    return _DEFAULT


def _reading(wanted: EncoderPlan) -> int:
    """A new encoder's is the newest; one that is there reads on as it did, since its vectors are
    kept.
    """
    if wanted.tuning is not None or wanted.source is not None:
        return NEWEST_READING
    folder = wanted.folder or resolve_path(_DEFAULT)[0]
    if not (folder / MANIFEST).exists():
        return NEWEST_READING
    return read_manifest(folder).encoder.way


def _place_encoder(build: Path, plan: TrainingPlan, taxonomy: Taxonomy) -> dict[str, object]:
    """Tune, export or copy the encoder's files into ``build``; gives how it was tuned."""
    wanted = plan.encoder
    if wanted.tuning is not None:
        return _tune(build, plan, wanted.tuning, taxonomy)
    if wanted.source is not None:
        export_encoder(wanted.source, build)
        return {}
    source = wanted.folder or resolve_path(_DEFAULT)[0]
    bundling.place_encoder(build, source)
    return _tuning_of(source)


def _tune(
    build: Path, plan: TrainingPlan, tuning: TuningPlan, taxonomy: Taxonomy
) -> dict[str, object]:
    """Export the encoder with tuned weights; gives what the manifest says of that.

    Raises WaybillError without a corpus, and for a pack that cannot be read.
    """
    if plan.data.corpus is None:
        raise WaybillError("--tune needs the corpus: leave --no-corpus out")
    corpus = load_corpus(taxonomy, plan.data.corpus, plan.data.corpus_extra)
    parts = [own_part(corpus, tuning), *(pack_part(pack, tuning) for pack in tuning.packs)]
    source = plan.encoder.source or DEFAULT_SOURCE
    with tempfile.TemporaryDirectory() as folder:
        tune(
            source,
            (tuning_epochs(parts, tuning, run) for run in range(tuning.runs)),
            tuning,
            Path(folder),
            max_tokens=MAX_TOKENS,
            seed=plan.seed,
            threads=plan.threads,
        )
        export_encoder(folder, build)
    seen = sorted({name for part in parts for name in seen_names(part)})
    # A pack's folder is of this machine; its name is not.
    made: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(tuning, packs=()))
    made["packs"] = [pack.name for pack in tuning.packs]
    return made | {"source": source, "seen": seen}


def _tuning_of(folder: Path) -> dict[str, object]:
    """How the encoder in ``folder`` was tuned, by its bundle; {} without a bundle.

    Raises BundleError for a manifest that cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return {}
    found: dict[str, object] = read_manifest(folder).made.get("tuning", {})
    return found
