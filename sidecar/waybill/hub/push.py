"""Adds a bundle to a repository or a folder of versions.

waybill model push models/default --repo acme/waybill-model
waybill model push models/default --repo ./versions
"""

from __future__ import annotations

from pathlib import Path

from waybill.hub.outcome import HubError
from waybill.hub.source import open_source
from waybill.hub.versions import Source, is_version, next_version
from waybill.labelling.model.manifest import Manifest
from waybill.settings.taxonomy import DEFAULT_LABELS, read_labels

__all__ = ["push"]

#: How often another push may be faster before this one gives up.
_ATTEMPTS = 5


def push(
    bundle: Path,
    repo: str,
    *,
    tag: str | None = None,
    is_major: bool = False,
    is_public: bool = False,
    endpoint: str | None = None,
    labels: str = DEFAULT_LABELS,
) -> str:
    """Add the bundle folder as a new version of ``repo``; gives the version. Raises BundleError,
    HubError.

    The tag defaults to the next minor version, ``is_major`` makes it the next major one. A
    repository that does not exist yet is made, private unless ``is_public``: a bundle holds lines
    it was trained on. So is a folder that does not exist. ``labels`` is the file of
    the labels that the bundle must keep to.
    """
    from waybill.labelling.model.bundle import load_bundle

    manifest = load_bundle(bundle, taxonomy=read_labels(labels)).manifest
    if tag is not None and not is_version(tag):
        raise HubError("no_version", f"{tag}: not a version of the form v1.0")
    source = open_source(repo, endpoint, is_public=is_public)
    source.prepare()
    if tag is not None:
        if tag in source.offers():
            raise HubError("no_version", f"{tag}: {repo} has this version already")
        source.publish(bundle, manifest, tag)
        return tag
    return _publish_next(source, bundle, manifest, is_major=is_major)


def _publish_next(source: Source, bundle: Path, manifest: Manifest, *, is_major: bool) -> str:
    """Publish under the next free version, also when another push has just taken the one that was
    next. Raises HubError.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        tag = next_version(list(source.offers()), is_major=is_major)
        try:
            source.publish(bundle, manifest, tag)
        except HubError as error:
            if error.code != "conflict" or attempt == _ATTEMPTS:
                raise
        else:
            break
    return tag
