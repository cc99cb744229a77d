"""Adds a bundle to a repository or a folder of versions.

waybill model push models/default --repo acme/waybill-model
waybill model push models/default --repo ./versions
"""

from __future__ import annotations

from pathlib import Path

from waybill.hub.outcome import HubError
from waybill.hub.source import open_source
from waybill.hub.versions import is_version, next_version
from waybill.settings.taxonomy import DEFAULT_LABELS, read_labels

__all__ = ["push"]


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
    known = list(source.offers())
    if tag is None:
        tag = next_version(known, is_major=is_major)
    if tag in known:
        raise HubError("no_version", f"{tag}: {repo} has this version already")
    source.publish(bundle, manifest, tag)
    return tag
