"""Fetches a version of a model, checks it and lets ``current`` point to it.

    waybill model pull --repo acme/waybill-model --into models/followed

A pull brings the files that the version's manifest names and checks them like any other bundle
(hashes, labels, encoder, golden messages). A version that is refused stays out of the way in a
hidden folder, so that the next look at it costs no download, and ``current`` stays where it was:

    models/followed/v1.0/
                    v1.1/
                    .v1.2.part/       refused, or not yet whole
                    current -> v1.1
"""

from __future__ import annotations

import contextlib
import re
import resource
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from waybill.core.errors import BundleError, WaybillError
from waybill.core.files import read_small
from waybill.core.labels import Taxonomy
from waybill.core.output import point_link
from waybill.hub.folder import sole_use
from waybill.hub.outcome import CURRENT, HubError, Pulled, Refusal
from waybill.hub.rollback import forget, left_alone
from waybill.hub.source import open_source
from waybill.hub.versions import Offers, Source, is_version, newest_first
from waybill.labelling.model.manifest import check_labels, read_bundle_files
from waybill.settings.taxonomy import DEFAULT_LABELS, read_labels

__all__ = ["pull"]

#: Versions looked at, newest first, before a pull gives up: each that is refused costs a check.
_MOST_TRIED = 5
#: To be loaded a bundle may take so many times its bytes, and so many more: a graph of 1 KB can ask
#: for gigabytes, which the service that loads it has not. The default one takes 70 MB for 23.
_TIMES_ITS_BYTES = 8
_AND_BYTES = 512 << 20
_STATUS = Path("/proc/self/status")
_DATA_KB = re.compile(rb"^VmData:\s+(\d+) kB$", re.MULTILINE)


def pull(
    source: str,
    into: Path,
    *,
    version: str | None = None,
    endpoint: str | None = None,
    keep: int | None = None,
    labels: str = DEFAULT_LABELS,
) -> Pulled:
    """Fetch the newest version (or ``version``) into ``into/<version>``, check it, point
    ``current`` to it.

    Older versions are tried when the newest is refused. A version that the source has withdrawn is
    no longer offered: ``current`` then goes back to the newest that is. One that somebody went back
    from (`waybill.hub.rollback`) is passed over unless it is the ``version`` that is asked for.
    ``keep`` bounds the versions left in ``into``. ``labels`` is the file of the labels that a
    version must keep to. Raises HubError when the source has no version or cannot be read,
    BundleError (that of the newest) when none is accepted.
    """
    taxonomy = read_labels(labels)
    opened = open_source(source, endpoint)
    offers = opened.offers()
    if not offers or (version is not None and version not in offers):
        raise HubError("no_version", f"{source} has no version {version or 'tag of the form v1.0'}")
    refused: dict[str, Refusal] = {}
    first_error: WaybillError | None = None
    with sole_use(into):
        if version is not None:
            forget(into, version)
            names = [version]
        else:
            refused = _rolled_back(into, offers)
            names = [name for name in newest_first(offers) if name not in refused][:_MOST_TRIED]
        for name in names:
            try:
                is_new = _take(opened, name, offers[name], into, taxonomy)
            except BundleError as error:
                refused[name] = Refusal(error.code, error.detail)
                first_error = first_error or error
                continue
            point_link(into / CURRENT, name)
            _prune(into, name, names, keep)
            return Pulled(name, str(into / name), is_new, refused)
    raise first_error or HubError(
        "rolled_back", f"{source}: every version there is was rolled back in {into}"
    )


def _rolled_back(into: Path, offers: Offers) -> dict[str, Refusal]:
    """The offered versions that somebody went back from."""
    why = Refusal("rolled_back", f"rolled back in {into}; waybill model rollback --forward ends it")
    return {name: why for name in newest_first(left_alone(into)) if name in offers}


def _take(source: Source, version: str, place: str, into: Path, taxonomy: Taxonomy) -> bool:
    """See to it that ``into/<version>`` is there and accepted; whether it is new.

    Raises BundleError, HubError.
    """
    from waybill.labelling.model.bundle import load_bundle

    target = into / version
    part = into / f".{version}.part"
    # One that is there was accepted when it came; the question is whether the disk still has it.
    with contextlib.suppress(BundleError):
        check_labels(read_bundle_files(target)[0], taxonomy)
        return False
    source.fetch(place, part, taxonomy)
    with _memory_for(part):
        load_bundle(part, taxonomy=taxonomy)
    shutil.rmtree(part / ".cache", ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return True


@contextlib.contextmanager
def _memory_for(bundle: Path) -> Iterator[None]:
    """Have this process get as much memory as a bundle of that size may take."""
    size = sum(file.stat().st_size for file in bundle.iterdir() if file.is_file())
    used = sum(map(int, _DATA_KB.findall(read_small(_STATUS, 1 << 16)))) << 10
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used + _TIMES_ITS_BYTES * size + _AND_BYTES
    if before != resource.RLIM_INFINITY:
        limit = min(limit, before)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def _prune(into: Path, current: str, tried: Sequence[str], keep: int | None) -> None:
    """Remove all but the newest ``keep`` versions and ``current``, and parts that nobody tries."""
    stale: list[str] = []
    if keep is not None:
        found = newest_first(entry.name for entry in into.iterdir() if is_version(entry.name))
        stale += [name for name in found[keep:] if name != current]
    wanted = {f".{name}.part" for name in tried}
    stale += [entry.name for entry in into.glob(".v*.part") if entry.name not in wanted]
    for name in stale:
        shutil.rmtree(into / name, ignore_errors=True)
