"""``waybill model push``, ``pull``, ``rollback``, ``versions``: model versions in a repository or a
folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from waybill.cli.parsing import (
    Commands,
    add_command,
    add_labels_option,
    labels_file,
    load,
    load_labels,
)
from waybill.core.errors import WaybillError

__all__ = ["add"]


def add(actions: Commands) -> None:
    """Declare the commands."""
    _add_push(actions)
    _add_pull(actions)
    _add_rollback(actions)
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
    )
    push.add_argument("bundle", type=Path, help="bundle folder")
    _add_source(push)
    add_labels_option(push)
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
    )
    _add_source(pull)
    add_labels_option(pull)
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


def _add_rollback(actions: Commands) -> None:
    rollback = add_command(
        actions,
        "rollback",
        _rollback,
        "Put the version before the one in force back, where a source is followed.",
        "waybill model rollback --into models/followed",
    )
    rollback.add_argument(
        "--into",
        type=Path,
        help="folder of versions and `current` (default: the setting model.follow.into)",
    )
    rollback.add_argument("--to", metavar="VERSION", help="this version instead of the one before")
    rollback.add_argument(
        "--forward", action="store_true", help="take it back: the newest version that is there"
    )
    add_labels_option(rollback)


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
        labels=labels_file(given),
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
        labels=labels_file(given),
    )
    print(msgspec.json.encode(pulled).decode())
    return 0


def _rollback(given: argparse.Namespace) -> int:
    from waybill.hub.rollback import forward, rollback

    follow = load(given).model.follow
    if follow.version is not None and given.into in (None, Path(follow.into)):
        raise WaybillError(
            f"model.follow.version: {follow.version} pins the version, and the next pull would "
            "bring it back; set it to the version that is to decide"
        )
    into = given.into or Path(follow.into)
    taxonomy = load_labels(given)
    if given.forward:
        moved = forward(into, taxonomy)
        print(f"{moved.now} is in force in {into} again, in the place of {moved.before}")
        return 0
    moved = rollback(into, taxonomy, to=given.to)
    print(
        f"{moved.now} is in force in {into}, in the place of {moved.before}, which pulls leave "
        f"alone.\nA version after {moved.before} comes into force by itself; to go forward at "
        f"once: waybill model rollback --into {into} --forward"
    )
    return 0


def _versions(given: argparse.Namespace) -> int:
    from waybill.hub.source import versions

    print("\n".join(versions(given.repo, endpoint=given.endpoint)))
    return 0
