"""A folder of version folders as a source: ``repo/v1.0``, ``repo/v1.1``, ..."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from waybill.core.errors import BundleError
from waybill.core.labels import Taxonomy
from waybill.hub.outcome import HubError
from waybill.hub.versions import Offers, is_version
from waybill.labelling.model.manifest import MANIFEST, Manifest, check_labels, read_manifest

__all__ = ["FolderSource", "sole_use"]


class FolderSource:
    """Versions in a folder. See `waybill.hub.versions.Source`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def offers(self) -> Offers:
        """The version folders. Raises HubError (``not_found``)."""
        if not self._folder.is_dir():
            raise HubError("not_found", f"{self._folder}: there is no such folder")
        entries = [entry for entry in self._folder.iterdir() if entry.is_dir()]
        return {entry.name: str(entry) for entry in entries if is_version(entry.name)}

    def prepare(self) -> None:
        """Make the folder if it is not there. Raises HubError (``disk``)."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HubError("disk", f"{self._folder}: {error.strerror}") from error

    def fetch(self, place: str, part: Path, taxonomy: Taxonomy) -> None:
        """Copy the files that the manifest names, if its labels are those of ``taxonomy``."""
        manifest = read_manifest(Path(place))
        check_labels(manifest, taxonomy)  # before anything large is copied
        copy_bundle(Path(place), part, manifest)

    def publish(self, bundle: Path, manifest: Manifest, tag: str) -> None:
        """Copy the bundle to ``tag``; a reader sees all of it or nothing."""
        with sole_use(self._folder):
            target = self._folder / tag
            if target.exists():
                raise HubError("conflict", f"{target}: somebody else has just made this version")
            part = self._folder / f".{tag}.part"
            copy_bundle(bundle, part, manifest)
            part.rename(target)


def copy_bundle(bundle: Path, part: Path, manifest: Manifest) -> None:
    """Copy the files of the bundle, and nothing else. Raises BundleError (``missing_file``)."""
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in (MANIFEST, *manifest.sha256):
        try:
            shutil.copyfile(bundle / name, part / name)
        except FileNotFoundError:
            raise BundleError("missing_file", f"{bundle}: {name}") from None


@contextlib.contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Keep others out of the folder; the lock goes with the process.

    Raises HubError: ``busy``, or ``disk`` for whatever the disk refuses meanwhile.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise HubError("busy", f"another pull or push is at work in {folder}") from None
    except OSError as error:
        raise HubError("disk", f"{folder}: {error}") from error
