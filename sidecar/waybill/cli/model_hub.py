"""``waybill model push``, ``pull`` and ``versions``: model versions in a repository or a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from waybill.cli.parsing import Commands, add_command
from waybill.settings.taxonomy import DEFAULT_LABELS

__all__ = ["add"]


def add(actions: Commands) -> None:
    """Declare the commands."""
    _add_push(actions)
    _add_pull(actions)
    versions = add_command(
        actions,
        "versions",
        _versions,
        "List the versions of a repository or folder, oldest first.",
        "waybill model versions --repo ./versions",
        has_settings=False,
    )
    _add_source(versions)


def _add_push(actions: Commands) -> None:
    push = add_command(
        actions,
        "push",
        _push,
        "Add a bundle as a new version (repositories need waybill-sidecar[hub]).",
        "waybill model push models/mine --repo acme/waybill-model",
        has_settings=False,
    )
    push.add_argument("bundle", type=Path)
    _add_source(push)
    _add_labels(push)
    push.add_argument(
        "--major", action="store_true", help="next major version instead of the next minor one"
    )
    push.add_argument("--tag", help="this very version, for example v2.0")
    push.add_argument("--public", action="store_true", help="make a new repository public")


def _add_pull(actions: Commands) -> None:
    pull = add_command(
        actions,
        "pull",
        _pull,
        "Fetch and check the newest version (repositories need waybill-sidecar[hub]).",
        "waybill model pull --repo acme/waybill-model --into models/followed",
        has_settings=False,
    )
    _add_source(pull)
    _add_labels(pull)
    pull.add_argument(
        "--into",
        type=Path,
        default=Path("models/followed"),
        help="folder of versions and `current` (default: %(default)s)",
    )
    pull.add_argument("--version", help="this version instead of the newest")
    pull.add_argument(
        "--keep", type=int, metavar="N", help="remove all but the newest N versions (default: none)"
    )


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels", default=DEFAULT_LABELS, help="file of the labels (default: %(default)s)"
    )


def _add_source(parser: argparse.ArgumentParser) -> None:
    from waybill.settings.environment import hub_endpoint

    parser.add_argument(
        "--repo",
        required=True,
        help="owner/name of a Hugging Face repository, or a folder (/..., ./..., ~/...)",
    )
    parser.add_argument(
        "--endpoint",
        default=hub_endpoint(),
        help="another server (default: HF_ENDPOINT)",
    )


def _push(given: argparse.Namespace) -> int:
    from waybill.hub.push import push

    tag = push(
        given.bundle,
        given.repo,
        tag=given.tag,
        is_major=given.major,
        is_public=given.public,
        endpoint=given.endpoint,
        labels=given.labels,
    )
    print(json.dumps({"repo": given.repo, "version": tag}))
    return 0


def _pull(given: argparse.Namespace) -> int:
    import msgspec

    from waybill.hub.pull import pull

    pulled = pull(
        given.repo,
        given.into,
        version=given.version,
        endpoint=given.endpoint,
        keep=given.keep,
        labels=given.labels,
    )
    print(msgspec.json.encode(pulled).decode())
    return 0


def _versions(given: argparse.Namespace) -> int:
    from waybill.hub.source import versions

    print("\n".join(versions(given.repo, endpoint=given.endpoint)))
    return 0
