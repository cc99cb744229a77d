"""The file format of a model bundle: a folder ``models/<name>/`` with a ``manifest.json``.

The manifest names every other file of the folder with its sha256, so that nothing is loaded that
was not there when the bundle was made. Reading is done once: what is hashed is what is loaded.

    manifest.json      this structure
    encoder.onnx       token ids -> one unit vector per text (mean pooling and L2 norm inside)
    tokenizer.json     of Hugging Face ``tokenizers``; both only with the encoder kind ``onnx``
    classifier.onnx    unit vectors (and n-gram columns) -> one probability per label
    reference.npy      int8 unit vectors of training templates, for the distance check
    reference.json     their masked texts and labels, for ``explain``
    classifier.joblib  the scikit-learn estimator, for retraining; the service never loads it
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

from waybill.core.errors import BundleError
from waybill.core.files import open_regular, read_small
from waybill.core.foreign import read_json
from waybill.core.labels import Taxonomy
from waybill.labelling.model.ngram_plan import Ngrams, Reading
from waybill.settings.resources import resolve_path

__all__ = [
    "MANIFEST",
    "Encoder",
    "Golden",
    "Manifest",
    "check_labels",
    "fingerprint",
    "read_bundle_files",
    "read_manifest",
]

MANIFEST = "manifest.json"
_MOST_BYTES = 8 << 20
_NO_FOLDER = "{} is not a folder; expected the folder of a bundle"
#: A bundle has five to ten; each costs calls to a repository.
_MOST_FILES = 256
#: Of a file's name, in characters: file systems take 255 bytes, and the client adds to it.
_MOST_NAME = 60

#: Largest file that is read into memory; the default encoder has 23 MB.
MAX_FILE_BYTES = 1 << 30

_PICKLES = (".joblib", ".pkl", ".pickle", ".bin", ".pt", ".pth")

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Encoder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a masked text becomes a vector. ``pooling`` happens inside the graph.

    ``file`` and ``tokenizer`` are of kind ``onnx``; ``model`` names the model of the other kinds.
    ``shared`` names the bundle folder where these two files are, if the bundle does not hold them
    itself: a small bundle beside the default one need not repeat 23 MB. Their hashes stand in the
    manifest as those of all files do. ``reading`` is the way in which the members of a record are
    read (`waybill.labelling.model.reading`); bundles made before it was there say 1 by
    ``telling_first``, and older ones read them as they stand.
    """

    kind: str
    file: str | None
    tokenizer: str | None
    max_tokens: Annotated[int, msgspec.Meta(ge=2, le=8192)]
    dimensions: Annotated[int, msgspec.Meta(ge=1)]
    pooling: str
    model: str | None = None
    shared: str | None = None
    telling_first: bool = False
    reading: Reading = 0

    @property
    def way(self) -> int:
        """The way of reading; one of two fields says it."""
        return self.reading or int(self.telling_first)


class Classifier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """File of the classifier graph.

    With ``ngrams`` it reads the embedding and these columns after it.
    """

    file: str
    ngrams: Ngrams | None = None


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of the reference set; the distance is the mean cosine distance to the ``k`` nearest."""

    vectors: str
    texts: str
    k: Annotated[int, msgspec.Meta(ge=1)]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``distance``: beyond it a text is unknown (cosine distance, 0 to 2).

    ``confidence``: below it too.
    """

    distance: float
    confidence: Share = 0.5


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message and the label that the bundle gave it when it was made."""

    text: str
    label: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``manifest.json``. ``labels`` are the classifier's columns in order."""

    name: str
    version: str
    labels: tuple[str, ...]
    encoder: Encoder
    classifier: Classifier
    reference: Reference
    thresholds: Thresholds
    golden: tuple[Golden, ...]
    sha256: dict[str, Sha256]
    metrics: dict[str, Any] = {}
    made: dict[str, Any] = {}


def read_bundle_files(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the bytes of every file it names, hashes checked.

    Raises `BundleError` with code ``manifest``, ``missing_file``, ``extra_file``, ``hash`` or
    ``pickle``.
    """
    manifest = read_manifest(path)
    used = _used_files(manifest)
    present = {entry.name for entry in _entries(path)} - {MANIFEST}
    places = {name: path / name for name in present}
    for name, place in _shared_files(manifest).items():
        places.setdefault(name, place)
    missing = sorted((manifest.sha256.keys() | used) - places.keys())
    if missing:
        raise BundleError("missing_file", f"{path}: {', '.join(missing)}")
    extra = sorted(present - manifest.sha256.keys())
    if extra:
        raise BundleError("extra_file", f"{path}: {', '.join(extra)}")
    files: dict[str, bytes] = {}
    for name, expected in manifest.sha256.items():
        if name in used:
            files[name] = _read(places[name])
            found = hashlib.sha256(files[name]).hexdigest()
        else:
            found = _hash(places[name])
        if found != expected:
            raise _other_file(manifest, path, places[name])
    return manifest, files


def _shared_files(manifest: Manifest) -> dict[str, Path]:
    """Where the files of an encoder are that the bundle shares with another one."""
    encoder = manifest.encoder
    if encoder.shared is None:
        return {}
    folder, _ = resolve_path(encoder.shared)
    names = (encoder.file, encoder.tokenizer)
    return {name: folder / name for name in names if name is not None}


def _other_file(manifest: Manifest, path: Path, place: Path) -> BundleError:
    """The fault of a file that has another hash than the manifest says."""
    if place.parent == path:
        return BundleError("hash", f"{place} is not the file that the manifest names")
    return BundleError(
        "hash",
        f"{manifest.name} shares the encoder of {manifest.encoder.shared}, but {place} is not the "
        f"one that it was trained with; train it again, or put that file into {path}",
    )


def fingerprint(path: Path) -> str:
    """A cheap mark that changes when the bundle does: manifest bytes, sizes and times of the files.

    Never raises for a bundle that is half written or gone: that too is a state to be told apart.
    """
    digest = hashlib.sha256()
    try:
        digest.update(read_small(path / MANIFEST, _MOST_BYTES))
        for entry in sorted(_entries(path)):
            status = entry.stat()
            digest.update(f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    except OSError as error:
        digest.update(f"unreadable {error.errno}".encode())
    return digest.hexdigest()


def check_labels(manifest: Manifest, taxonomy: Taxonomy) -> None:
    """Compare the labels of a bundle with the service's.

    Raises `BundleError` (``labels``) for one that ``taxonomy`` lacks, one given twice, or none.
    """
    if any(label not in taxonomy for label in manifest.labels):
        raise BundleError(
            "labels",
            f"{manifest.name} was trained on other labels: it answers "
            f"{', '.join(manifest.labels)}; the labels here are {', '.join(taxonomy.names)}. "
            "Set labels.path to the file that it was trained with, or train it anew on these",
        )
    if len(set(manifest.labels)) != len(manifest.labels) or not manifest.labels:
        raise BundleError("labels", f"{manifest.name}: labels are empty or repeat themselves")


def read_manifest(path: Path) -> Manifest:
    """The manifest in folder ``path``, of which every file name is plain.

    Raises `BundleError` with code ``manifest``, ``missing_file`` or ``pickle``.
    """
    try:
        manifest = read_json(read_small(path / MANIFEST, _MOST_BYTES), Manifest)
    except FileNotFoundError:
        raise BundleError("missing_file", f"{path / MANIFEST} does not exist") from None
    except NotADirectoryError:
        raise BundleError("manifest", _NO_FOLDER.format(path)) from None
    except OSError as error:
        raise BundleError("manifest", f"{path / MANIFEST}: {error.strerror or error}") from error
    except msgspec.MsgspecError as error:
        newer = "; it may be of a newer Waybill" if "unknown field" in str(error) else ""
        raise BundleError("manifest", f"{path / MANIFEST}: {error}{newer}") from error
    if len(manifest.sha256) > _MOST_FILES:
        raise BundleError("manifest", f"it names more than {_MOST_FILES} files")
    used = _used_files(manifest)
    odd = sorted(name for name in manifest.sha256.keys() | used if not _is_plain(name))
    if odd:
        raise BundleError("manifest", f"not plain file names: {', '.join(map(repr, odd))}")
    pickles = sorted(name for name in used if name.endswith(_PICKLES))
    if pickles:
        raise BundleError("pickle", f"never loaded by the service: {', '.join(pickles)}")
    shared = manifest.encoder.shared
    if shared is not None and not all(map(_is_plain, shared.split("/"))):
        raise BundleError("manifest", f"encoder.shared is not a plain relative path: {shared}")
    unlisted = sorted(used - manifest.sha256.keys())
    if unlisted:
        raise BundleError("manifest", f"no sha256 for {', '.join(unlisted)}")
    return manifest


def _is_plain(name: str) -> bool:
    """Whether it names a file of one folder, in whatever it is put: a path, an address, a log."""
    is_short = 0 < len(name) <= _MOST_NAME and not name.startswith(".")
    return is_short and name.isprintable() and not set("/\\") & set(name)


def _used_files(manifest: Manifest) -> set[str]:
    """The files that the service loads; others are hashed only."""
    encoder, reference = manifest.encoder, manifest.reference
    names = (
        encoder.file,
        encoder.tokenizer,
        manifest.classifier.file,
        reference.vectors,
        reference.texts,
    )
    return {name for name in names if name is not None}


def _entries(path: Path) -> list[Path]:
    """What the folder holds, without dot entries (``..data`` of a Kubernetes volume)."""
    try:
        return [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except NotADirectoryError:
        raise BundleError("manifest", _NO_FOLDER.format(path)) from None


def _hash(file: Path) -> str:
    """The hash of a file that nobody uses: it is never in memory as a whole."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise BundleError("hash", f"{file} is larger than {MAX_FILE_BYTES} bytes")
        with open_regular(file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleError("missing_file", f"{file}: {error.strerror}") from error


def _read(file: Path) -> bytes:
    try:
        with open_regular(file) as stream:
            # What is too much is not even read; room is made for as much as is asked for.
            size = os.fstat(stream.fileno()).st_size
            content = stream.read(size + 1) if size <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise BundleError("missing_file", f"{file}: {error.strerror}") from error
    if max(size, len(content)) > MAX_FILE_BYTES:
        raise BundleError("hash", f"{file} is larger than {MAX_FILE_BYTES} bytes")
    return content
