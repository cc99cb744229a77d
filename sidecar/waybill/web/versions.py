"""Versions of the model in the folder that sidecars follow: their scores, and which is promoted.

A version is promoted by publishing its files once more as the newest one, so that what was in force
before stays, and going back is the same step. A repository on a hub is only named: it is pushed to
by `waybill model push`, with rights of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from waybill.core.errors import BundleError, ConfigError
from waybill.hub.folder import FolderSource
from waybill.hub.outcome import HubError
from waybill.hub.versions import newest_first, next_version
from waybill.labelling.model.manifest import Manifest, read_manifest

#: Versions that are shown, newest first.
_MOST = 20
#: What is taken of a bundle's words: anybody may have written it.
_MOST_CHARS = 200
_MOST_LABELS = 100

_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Lines = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_Label = Annotated[str, msgspec.Meta(max_length=_MOST_CHARS)]
_FewLabels = msgspec.Meta(max_length=_MOST_LABELS)


class _LabelScore(msgspec.Struct):
    precision: _Share
    recall: _Share
    f1: _Share
    lines: _Lines


class _HeldOut(msgspec.Struct):
    """What a manifest says of software held out."""

    macro_f1: _Share | None = None
    accuracy: _Share | None = None
    per_label: Annotated[dict[_Label, _LabelScore], _FewLabels] = {}
    labels: Annotated[tuple[_Label, ...], _FewLabels] = ()
    confusion: Annotated[tuple[tuple[_Lines, ...], ...], _FewLabels] = ()


class Version(NamedTuple):
    """A version, its fingerprint, and what its training measured on software held out."""

    name: str
    folder: Path
    fingerprint: str
    f1: float | None
    accuracy: float | None
    made: str


class Scores(NamedTuple):
    """Held-out scores: (label, precision, recall, F1, lines), and the confusion matrix."""

    rows: list[tuple[str, float, float, float, int]]
    labels: list[str]
    confusion: list[list[int]]

    @property
    def right(self) -> int:
        """The lines that got their right label."""
        return sum(row[at] for at, row in enumerate(self.confusion))

    @property
    def total(self) -> int:
        """All lines."""
        return sum(map(sum, self.confusion))


def versions_in(folder: Path | None) -> list[Version]:
    """The versions of a folder, newest first; those that cannot be read are left out."""
    if folder is None or not folder.is_dir():
        return []
    offers = FolderSource(folder).offers()
    found = []
    for name in newest_first(offers)[:_MOST]:
        version = _version(name, Path(offers[name]))
        if version is not None:
            found.append(version)
    return found


def promote(folder: Path, name: str) -> str:
    """Publish a version once more, as the newest; gives its new name.

    Raises:
        ConfigError: the version is not there, or cannot be copied.
    """
    source = FolderSource(folder)
    try:
        offers = source.offers()
        if name not in offers:
            raise ConfigError([f"{folder}: there is no version {name}"])
        following = next_version(list(offers), is_major=False)
        bundle = Path(offers[name])
        source.publish(bundle, read_manifest(bundle), following)
    except (HubError, BundleError, OSError) as error:
        raise ConfigError([f"{folder}: {name} was not promoted: {error}"]) from None
    return following


def scores_of(manifest: Manifest) -> Scores | None:
    """What the training measured on software that it did not see; None: it told nothing that can
    be read.
    """
    held = _held_out(manifest)
    if held is None:
        return None
    rows = [(name, *msgspec.structs.astuple(one)) for name, one in held.per_label.items()]
    size = len(held.labels)
    if any(len(row) != size for row in (held.confusion, *held.confusion)):
        return Scores(rows, [], [])
    return Scores(rows, list(held.labels), list(map(list, held.confusion)))


def _held_out(manifest: Manifest) -> _HeldOut | None:
    """The bundle's word for it: anybody may have written it."""
    try:
        return msgspec.convert(manifest.metrics.get("held_out_software"), _HeldOut)
    except msgspec.ValidationError:
        return None


def _version(name: str, folder: Path) -> Version | None:
    try:
        manifest = read_manifest(folder)
    except BundleError:
        return None
    held = _held_out(manifest) or _HeldOut()
    fingerprint = f"{manifest.name}@{manifest.version}"[:_MOST_CHARS]
    made = str(manifest.made.get("command", ""))[:_MOST_CHARS]
    return Version(name, folder, fingerprint, held.macro_f1, held.accuracy, made)
