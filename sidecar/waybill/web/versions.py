"""Versions of the model in the folder that sidecars follow: their scores, and which is promoted.

A version is promoted by publishing its files once more as the newest one, so that what was in force
before stays, and going back is the same step. A repository on a hub is only named: it is pushed to
by `waybill model push`, with rights of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from waybill.core.errors import BundleError, ConfigError
from waybill.hub.folder import FolderSource
from waybill.hub.outcome import HubError
from waybill.hub.versions import newest_first, next_version
from waybill.labelling.model.manifest import Manifest, read_manifest

#: Versions that are shown, newest first.
_MOST = 20


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
        ConfigError: there is no such version, or it cannot be copied.
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
    """What the training measured on software that it did not see; None: it told nothing."""
    held = manifest.metrics.get("held_out_software")
    if not isinstance(held, Mapping):
        return None
    rows = []
    per_label = held.get("per_label")
    for name, one in per_label.items() if isinstance(per_label, Mapping) else ():
        rows.append((name, one["precision"], one["recall"], one["f1"], one["lines"]))
    confusion = held.get("confusion")
    labels = held.get("labels")
    if not isinstance(confusion, list) or not isinstance(labels, list):
        return Scores(rows, [], [])
    return Scores(rows, labels, confusion)


def _version(name: str, folder: Path) -> Version | None:
    try:
        manifest = read_manifest(folder)
    except BundleError:
        return None
    held = manifest.metrics.get("held_out_software")
    held = held if isinstance(held, Mapping) else {}
    fingerprint = f"{manifest.name}@{manifest.version}"
    made = str(manifest.made.get("command", ""))
    return Version(name, folder, fingerprint, held.get("macro_f1"), held.get("accuracy"), made)
