"""Model versions in a Hugging Face repository, or in a folder of version folders.

    waybill model push models/default --repo acme/waybill-model
    waybill model versions --repo acme/waybill-model
    waybill model pull --repo acme/waybill-model --into models/followed

Versions are tags ``v1.0``, ``v1.1``, ... A pull brings the files that the version's manifest names, checks
them like any other bundle (hashes, labels, encoder, golden messages) and lets ``current`` point to their
folder. A version that is refused stays out of the way in a hidden folder, so that the next look at it
costs no download, and ``current`` stays where it was:

    models/followed/v1.0/
                    v1.1/
                    .v1.2.part/       refused, or not yet whole
                    current -> v1.1

The service runs ``pull`` in a process of its own to follow a source (`waybill.service.follow`).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from waybill.core.errors import BundleError, WaybillError
from waybill.core.reasons import BundleCode, HubCode
from waybill.labelling.model.manifest import (
    MANIFEST,
    check_labels,
    read_bundle_files,
    read_manifest,
)
from waybill.settings.taxonomy import read_labels

__all__ = ["CURRENT", "HubError", "Pulled", "main", "pull", "push", "versions"]

CURRENT = "current"

_VERSION = re.compile(r"v(\d{1,6})\.(\d{1,6})")
_TIMEOUT_SECS = 60.0
#: Versions looked at, newest first, before a pull gives up: each that is refused costs a check.
_MOST_TRIED = 5
#: What a repository may hold beside the bundle, and keeps when a new version is pushed.
_KEPT = (".gitattributes", "README.md", "LICENSE")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class HubError(WaybillError):
    """A source that cannot be read or written.

    Codes: ``unreachable``, ``not_found`` (or hidden from us), ``not_permitted``, ``rate_limited``,
    ``conflict`` (someone else was faster), ``no_version``, ``busy`` (another pull is at work in the
    folder), ``disk``, ``library_missing``.
    """

    code: HubCode

    def __init__(self, code: HubCode, detail: str) -> None:
        super().__init__(f"{detail} [{code}]")
        self.code = code
        self.detail = detail


class Pulled(msgspec.Struct, frozen=True):
    """What a pull did: the accepted version and its folder, whether it is new here, what was refused and why."""

    version: str
    folder: str
    is_new: bool
    refused: Mapping[str, tuple[BundleCode, str]]


def versions(source: str, *, endpoint: str | None = None) -> list[str]:
    """The versions of a repository or folder, oldest first. Raises HubError."""
    return sorted(_offers(source, endpoint), key=_number)


def push(
    bundle: Path,
    repo: str,
    *,
    tag: str | None = None,
    is_major: bool = False,
    is_public: bool = False,
    endpoint: str | None = None,
) -> str:
    """Upload the bundle folder and tag it; gives the tag. Raises BundleError, HubError.

    The tag defaults to the next minor version, ``is_major`` makes it the next major one. A repository
    that does not exist yet is made, private unless ``is_public``: a bundle holds lines it was trained on.
    """
    from waybill.labelling.model.bundle import load_bundle

    manifest = load_bundle(bundle, taxonomy=read_labels()).manifest
    files = [MANIFEST, *manifest.sha256]
    api = _api(endpoint)
    with _mapped_errors(repo):
        api.create_repo(repo, private=not is_public, exist_ok=True)
        known = versions(repo, endpoint=endpoint)
        tag = tag or _next(known, is_major)
        if not _VERSION.fullmatch(tag) or tag in known:
            raise HubError("no_version", f"{tag}: not a new version of the form v1.0")
        stale = sorted(set(api.list_repo_files(repo)) - {*files, *_KEPT})
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=bundle,
            allow_patterns=files,
            delete_patterns=stale or None,
            commit_message=f"Waybill bundle {manifest.name}@{manifest.version}",
        )
        api.create_tag(repo, tag=tag, revision=commit.oid)
    return tag


def pull(
    source: str,
    into: Path,
    *,
    version: str | None = None,
    endpoint: str | None = None,
    keep: int | None = None,
) -> Pulled:
    """Fetch the newest version (or ``version``) into ``into/<version>``, check it, point ``current`` to it.

    Older versions are tried when the newest is refused. A version that the source has withdrawn is no
    longer offered: ``current`` then goes back to the newest that is. ``keep`` bounds the versions left in
    ``into``. Raises HubError when the source has no version or cannot be read, BundleError (that of the
    newest) when none is accepted.
    """
    offers = _offers(source, endpoint)
    names = [version] if version else sorted(offers, key=_number, reverse=True)[:_MOST_TRIED]
    if not offers or not set(names) <= offers.keys():
        raise HubError("no_version", f"{source} has no version {version or 'tag of the form v1.0'}")
    errors: dict[str, BundleError] = {}
    with _sole_use(into):
        for name in names:
            try:
                is_new = _take(source, name, offers[name], into, endpoint)
            except BundleError as error:
                errors[name] = error
                continue
            _point(into / CURRENT, name)
            _prune(into, name, names, keep)
            refused = {name: (error.code, error.detail) for name, error in errors.items()}
            return Pulled(name, str(into / name), is_new, refused)
    raise errors[names[0]]


def _offers(source: str, endpoint: str | None) -> dict[str, str]:
    """The versions of a source and what each stands for: a commit, or a folder."""
    if (folder := Path(source)).is_dir():
        found = {entry.name: str(entry) for entry in folder.iterdir() if entry.is_dir()}
    elif source.startswith(("/", ".", "~")):
        raise HubError("not_found", f"{source}: there is no such folder")
    else:
        with _mapped_errors(source):
            found = {
                tag.name: tag.target_commit for tag in _api(endpoint).list_repo_refs(source).tags
            }
    return {name: place for name, place in found.items() if _VERSION.fullmatch(name)}


def _take(source: str, version: str, place: str, into: Path, endpoint: str | None) -> bool:
    """See to it that ``into/<version>`` is there and accepted; whether it is new. Raises BundleError, HubError."""
    target, part = into / version, into / f".{version}.part"
    # One that is there was accepted when it came; the question is whether the disk still has it.
    with contextlib.suppress(BundleError):
        check_labels(read_bundle_files(target)[0], read_labels())
        return False
    if Path(source).is_dir():
        _copy(Path(place), part)
    else:
        _download(source, place, part, endpoint)
    from waybill.labelling.model.bundle import load_bundle

    load_bundle(part, taxonomy=read_labels())
    shutil.rmtree(part / ".cache", ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return True


def _copy(folder: Path, part: Path) -> None:
    """Copy the files of the bundle in ``folder`` into ``part``."""
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in [MANIFEST, *read_manifest(folder).sha256]:
        try:
            shutil.copyfile(folder / name, part / name)
        except FileNotFoundError:
            raise BundleError("missing_file", f"{folder}: {name}") from None


def _download(repo: str, commit: str, part: Path, endpoint: str | None) -> None:
    """Bring the files of the bundle at ``commit`` into ``part``; what is there already is not sent again."""
    api = _api(endpoint)

    def bring(name: str) -> None:
        with _mapped_errors(repo, missing=name):
            api.hf_hub_download(
                repo, name, revision=commit, local_dir=part, etag_timeout=_TIMEOUT_SECS
            )

    bring(MANIFEST)
    manifest = read_manifest(part)
    check_labels(manifest, read_labels())
    for name in manifest.sha256:
        bring(name)
    for entry in part.iterdir():  # left by an earlier commit of this tag
        if entry.name not in (".cache", MANIFEST, *manifest.sha256):
            entry.unlink()


@contextlib.contextmanager
def _sole_use(into: Path) -> Iterator[None]:
    """Keep other pulls out of the folder; the lock goes with the process. Raises HubError."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        with (into / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise HubError("busy", f"another pull is at work in {into}") from None
    except OSError as error:
        raise HubError("disk", f"{into}: {error}") from error


def _point(link: Path, name: str) -> None:
    """Let ``link`` point to ``name``, in one step."""
    if link.is_symlink() and link.readlink() == Path(name):
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(name)
    fresh.replace(link)


def _prune(into: Path, current: str, tried: Sequence[str], keep: int | None) -> None:
    """Remove all but the newest ``keep`` versions and ``current``, and what was left of versions nobody tries."""
    found = sorted(
        (e.name for e in into.iterdir() if _VERSION.fullmatch(e.name)), key=_number, reverse=True
    )
    stale = [name for name in found[keep:] if name != current] if keep is not None else []
    stale += [
        e.name for e in into.glob(".v*.part") if e.name not in {f".{name}.part" for name in tried}
    ]
    for name in stale:
        shutil.rmtree(into / name, ignore_errors=True)


def _number(version: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(version)
    assert match is not None
    return int(match[1]), int(match[2])


def _next(known: Sequence[str], is_major: bool) -> str:
    if not known:
        return "v1.0"
    major, minor = _number(known[-1])
    return f"v{major + 1}.0" if is_major else f"v{major}.{minor + 1}"


def _token(environ: Mapping[str, str] = os.environ) -> str | None:
    """``HF_TOKEN``, or what the file in ``HF_TOKEN_FILE`` holds, read anew for each call."""
    if path := environ.get("HF_TOKEN_FILE"):
        try:
            return Path(path).read_text("utf-8").strip() or None
        except OSError as error:
            raise HubError("not_permitted", f"HF_TOKEN_FILE: {path}: {error.strerror}") from error
    return environ.get("HF_TOKEN") or None


def _api(endpoint: str | None) -> Any:
    try:
        from huggingface_hub import HfApi, constants, get_session
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        missing = "huggingface_hub is missing; install it with: pip install 'waybill-sidecar[hub]'"
        raise HubError("library_missing", missing) from error
    # Plain HTTP reaches any server that speaks the Hub's API; xet only Hugging Face's own storage.
    constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DOWNLOAD_TIMEOUT = int(_TIMEOUT_SECS)
    # Most of its calls wait for ever by default.
    get_session().timeout = _TIMEOUT_SECS
    if not os.isatty(2):
        disable_progress_bars()
    return HfApi(endpoint=endpoint, token=_token())


@contextlib.contextmanager
def _mapped_errors(repo: str, *, missing: str | None = None) -> Iterator[None]:
    """Turns what huggingface_hub raises into HubError; a file ``missing`` in the repository into BundleError."""
    try:
        yield
    except WaybillError:
        raise
    except Exception as error:  # the client lets those of its HTTP library through
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 404 and missing is not None and "EntryNotFound" in type(error).__name__:
            raise BundleError("missing_file", f"{repo}: {missing}") from error
        code: dict[int, HubCode] = {
            401: "not_found",
            403: "not_permitted",
            404: "not_found",
            409: "conflict",
            429: "rate_limited",
        }
        found = code.get(status or 0, "unreachable")
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            found = "disk"
        detail = " ".join(str(error).split()) or type(error).__name__
        raise HubError(found, f"{repo}: {detail[:300]}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="waybill model", description="Model versions in a repository."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--repo",
        required=True,
        help="owner/name of a Hugging Face repository, or a folder of versions",
    )
    common.add_argument(
        "--endpoint",
        default=os.environ.get("HF_ENDPOINT"),
        help="another server (default: HF_ENDPOINT)",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    pushing = actions.add_parser("push", parents=[common], help="upload a bundle and tag it")
    pushing.add_argument("bundle", type=Path)
    pushing.add_argument(
        "--major", action="store_true", help="next major version instead of the next minor one"
    )
    pushing.add_argument("--tag", help="this very version, for example v2.0")
    pushing.add_argument("--public", action="store_true", help="make a new repository public")
    pulling = actions.add_parser(
        "pull", parents=[common], help="fetch and check the newest version"
    )
    pulling.add_argument(
        "--into",
        type=Path,
        default=Path("models/followed"),
        help="folder of versions and `current`",
    )
    pulling.add_argument("--version", help="this version instead of the newest")
    pulling.add_argument(
        "--keep", type=int, metavar="N", help="remove all but the newest N versions (default: none)"
    )
    actions.add_parser("versions", parents=[common], help="list the versions")
    arguments = parser.parse_args(argv)
    if arguments.action == "push":
        tag = push(
            arguments.bundle,
            arguments.repo,
            tag=arguments.tag,
            is_major=arguments.major,
            is_public=arguments.public,
            endpoint=arguments.endpoint,
        )
        print(json.dumps({"repo": arguments.repo, "version": tag}))
    elif arguments.action == "pull":
        pulled = pull(
            arguments.repo,
            arguments.into,
            version=arguments.version,
            endpoint=arguments.endpoint,
            keep=arguments.keep,
        )
        print(msgspec.json.encode(pulled).decode())
    else:
        print("\n".join(versions(arguments.repo, endpoint=arguments.endpoint)))
    return 0


if __name__ == "__main__":
    import sys

    try:
        raise SystemExit(main())
    except WaybillError as error:
        print(
            json.dumps({"reason": error.code, "detail": str(error)}),
            file=sys.stderr,
        )
        raise SystemExit(1) from None
