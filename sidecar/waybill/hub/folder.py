"""A folder of version folders as a source: ``repo/v1.0``, ``repo/v1.1``, ..."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from waybill.core.errors import BundleError
from waybill.core.files import lock_until, open_regular
from waybill.core.labels import Taxonomy
from waybill.hub.outcome import MOST_BYTES, NO_ROOM, HubError
from waybill.hub.versions import Offers, is_version
from waybill.labelling.model.manifest import MANIFEST, Manifest, check_labels, read_manifest

__all__ = ["FolderSource", "sole_use"]


#: A push waits so long for another one into the same folder: it copies about 25 MB.
_PUSH_WAIT_SECS = 30.0
_COPIED_BYTES = 1 << 20


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
        """Copy the bundle to ``tag``; a reader sees all of it or nothing, after a power cut too."""
        part = self._folder / f".{tag}.part"
        with sole_use(self._folder, wait_secs=_PUSH_WAIT_SECS):
            target = self._folder / tag
            if target.exists():
                raise HubError("conflict", f"{target}: somebody else has just made this version")
            try:
                copy_bundle(bundle, part, manifest)
                _to_disk(part)
                part.rename(target)
                _sync(self._folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)


def copy_bundle(bundle: Path, part: Path, manifest: Manifest) -> None:
    """Copy the files of the bundle, and nothing else.

    Raises:
        BundleError: ``missing_file``: one is not there, or no regular file.
        HubError: ``too_large``.
    """
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    left = MOST_BYTES
    for name in (MANIFEST, *manifest.sha256):
        try:
            with open_regular(bundle / name) as source:
                if os.fstat(source.fileno()).st_size > left:
                    raise _too_large(bundle)
                with (part / name).open("wb") as copy:
                    while piece := source.read(_COPIED_BYTES):
                        left -= len(piece)
                        if left < 0:  # it grows while it is copied
                            raise _too_large(bundle)
                        copy.write(piece)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise BundleError("missing_file", f"{bundle}: {name}: {error.strerror}") from None


def _too_large(bundle: Path) -> HubError:
    return HubError("too_large", f"{bundle}: more than {MOST_BYTES} bytes")


def _to_disk(folder: Path) -> None:
    """Have the disk hold the files of ``folder``, and their names. Raises OSError."""
    for entry in (*folder.iterdir(), folder):
        _sync(entry)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def sole_use(folder: Path, *, wait_secs: float = 0) -> Iterator[None]:
    """Keep others out of the folder; the lock goes with the process.

    Raises HubError: ``busy`` when somebody else has it for longer than ``wait_secs``, or ``disk``
    for whatever the disk refuses meanwhile.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            lock_until(lock.fileno(), time.monotonic() + wait_secs)
            yield
    except BlockingIOError:
        raise HubError("busy", f"another pull or push is at work in {folder}") from None
    except OSError as error:
        raise HubError("disk", f"{folder}: {error.strerror or error}") from error
