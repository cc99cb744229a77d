"""Model versions in a Hugging Face repository, or in a folder of version folders.

    waybill model push models/default --repo acme/waybill-model
    waybill model versions --repo acme/waybill-model
    waybill model pull --repo acme/waybill-model --into models/followed

Versions are tags ``v1.0``, ``v1.1``, ... A pulled bundle is checked like any other (hashes, labels,
encoder, golden messages) before ``current`` points to it; one that is refused is left out, and
``current`` stays where it was. The service runs ``pull`` in a process of its own to follow a source.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidecar.errors import BundleError, WaybillError
from sidecar.labelling.model.bundle import load_bundle
from sidecar.records import LABELS

__all__ = ["CURRENT", "HubError", "main", "pull", "push", "versions"]

CURRENT = "current"

_VERSION = re.compile(r"v(\d{1,6})\.(\d{1,6})")
_TIMEOUT_SECS = 60.0


class HubError(WaybillError):
    """A repository that cannot be read or written. Codes: ``unreachable``, ``not_found``, ``no_version``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{detail} [{code}]")
        self.code, self.detail = code, detail


def versions(source: str, *, endpoint: str | None = None) -> list[str]:
    """The versions of a repository or folder, oldest first. Raises HubError."""
    if (folder := Path(source)).is_dir():
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    else:
        with _mapped_errors(source):
            names = [tag.name for tag in _api(endpoint).list_repo_refs(source).tags]
    return sorted((name for name in names if _VERSION.fullmatch(name)), key=_number)


def push(
    bundle: Path, repo: str, *, tag: str | None = None, is_major: bool = False, endpoint: str | None = None
) -> str:
    """Upload the bundle folder and tag it; gives the tag. Raises BundleError, HubError.

    The tag defaults to the next minor version, ``is_major`` makes it the next major one.
    """
    loaded = load_bundle(bundle, labels=LABELS)
    api = _api(endpoint)
    with _mapped_errors(repo):
        api.create_repo(repo, exist_ok=True)
        known = versions(repo, endpoint=endpoint)
        tag = tag or _next(known, is_major)
        if not _VERSION.fullmatch(tag) or tag in known:
            raise HubError("no_version", f"{tag}: not a new version of the form v1.0")
        # Files of the version before that this one lacks must go: a bundle has no other files.
        commit = api.upload_folder(
            repo_id=repo, folder_path=bundle, commit_message=f"Waybill bundle {loaded.version}", delete_patterns="*"
        )
        api.create_tag(repo, tag=tag, revision=commit.oid)
    return tag


def pull(source: str, into: Path, *, version: str | None = None, endpoint: str | None = None) -> Path:
    """Fetch the newest version (or ``version``) into ``into/<version>``, check it, point ``current`` to it.

    Older versions are tried when the newest is refused. Gives the folder. Raises HubError when the source
    has no version or cannot be read, BundleError when none of its versions is accepted.
    """
    found = [version] if version else list(reversed(versions(source, endpoint=endpoint)))
    if not found:
        raise HubError("no_version", f"{source} has no version tag of the form v1.0")
    into.mkdir(parents=True, exist_ok=True)
    refused: BundleError | None = None
    for name in found:
        if not _VERSION.fullmatch(name):
            raise HubError("no_version", f"{name}: not of the form v1.0")
        folder = into / name
        try:
            if not folder.is_dir():
                _fetch(source, name, folder, endpoint)
            load_bundle(folder, labels=LABELS)
        except BundleError as error:
            refused = refused or error
            continue
        _point(into / CURRENT, name)
        return folder
    assert refused is not None
    raise refused


def _fetch(source: str, version: str, target: Path, endpoint: str | None) -> None:
    """Bring one version and check it; the folder appears whole and accepted, or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as scratch:
        fresh = Path(scratch) / version
        if (folder := Path(source)).is_dir():
            shutil.copytree(folder / version, fresh)
        else:
            api = _api(endpoint)
            with _mapped_errors(source):
                api.snapshot_download(
                    source,
                    revision=version,
                    local_dir=fresh,
                    etag_timeout=_TIMEOUT_SECS,
                    ignore_patterns=[".gitattributes", "README.md"],
                )
            shutil.rmtree(fresh / ".cache", ignore_errors=True)
        load_bundle(fresh, labels=LABELS)
        fresh.rename(target)


def _point(link: Path, name: str) -> None:
    """Let ``link`` point to ``name``, in one step."""
    if link.is_symlink() and link.readlink() == Path(name):
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(name)
    fresh.replace(link)


def _number(version: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(version)
    assert match is not None
    return int(match[1]), int(match[2])


def _next(known: Sequence[str], is_major: bool) -> str:
    if not known:
        return "v1.0"
    major, minor = _number(known[-1])
    return f"v{major + 1}.0" if is_major else f"v{major}.{minor + 1}"


def _token() -> str | None:
    if path := os.environ.get("HF_TOKEN_FILE"):
        return Path(path).read_text("utf-8").strip()
    return os.environ.get("HF_TOKEN")


def _api(endpoint: str | None) -> Any:
    try:
        from huggingface_hub import HfApi, constants
    except ImportError as error:
        raise WaybillError("huggingface_hub is missing; install it with: pip install 'waybill[hub]'") from error
    # Plain HTTP reaches any server that speaks the Hub's API; xet only Hugging Face's own storage.
    constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DOWNLOAD_TIMEOUT = int(_TIMEOUT_SECS)
    return HfApi(endpoint=endpoint, token=_token())


class _mapped_errors:  # noqa: N801 - reads as the statement that it is
    """Turns what huggingface_hub raises into HubError."""

    def __init__(self, repo: str) -> None:
        self._repo = repo

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, WaybillError) or not isinstance(error, Exception):
            return
        status = getattr(getattr(error, "response", None), "status_code", None)
        code = "not_found" if status in (401, 403, 404) else "unreachable"
        raise HubError(
            code, f"{self._repo}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="waybill model", description="Model versions in a repository.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--repo", required=True, help="owner/name of a Hugging Face repository, or a folder of versions"
    )
    common.add_argument(
        "--endpoint", default=os.environ.get("HF_ENDPOINT"), help="another server (default: HF_ENDPOINT)"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    pushing = actions.add_parser("push", parents=[common], help="upload a bundle and tag it")
    pushing.add_argument("bundle", type=Path)
    pushing.add_argument("--major", action="store_true", help="next major version instead of the next minor one")
    pushing.add_argument("--tag", help="this very version, for example v2.0")
    pulling = actions.add_parser("pull", parents=[common], help="fetch and check the newest version")
    pulling.add_argument("--into", type=Path, default=Path("models/followed"), help="folder of versions and `current`")
    pulling.add_argument("--version", help="this version instead of the newest")
    actions.add_parser("versions", parents=[common], help="list the versions")
    arguments = parser.parse_args(argv)
    if arguments.action == "push":
        tag = push(
            arguments.bundle, arguments.repo, tag=arguments.tag, is_major=arguments.major, endpoint=arguments.endpoint
        )
        print(json.dumps({"repo": arguments.repo, "version": tag}))
    elif arguments.action == "pull":
        folder = pull(arguments.repo, arguments.into, version=arguments.version, endpoint=arguments.endpoint)
        print(json.dumps({"version": folder.name, "folder": str(folder)}))
    else:
        print("\n".join(versions(arguments.repo, endpoint=arguments.endpoint)))
    return 0


if __name__ == "__main__":
    import sys

    try:
        raise SystemExit(main())
    except WaybillError as error:
        print(json.dumps({"reason": getattr(error, "code", "failed"), "detail": str(error)}), file=sys.stderr)
        raise SystemExit(1) from None
