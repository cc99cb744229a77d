"""A Hugging Face repository, or another server that speaks its protocol, as a source of
versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.core.causes import cause_of
from waybill.core.errors import BundleError, ConfigError, WaybillError
from waybill.core.files import open_regular
from waybill.core.labels import Taxonomy
from waybill.core.reasons import HubCode
from waybill.hub.answers import Answers
from waybill.hub.outcome import MOST_BYTES, NO_ROOM, HubError
from waybill.hub.versions import Offers, is_version
from waybill.labelling.model.manifest import MANIFEST, Manifest, check_labels, read_manifest

if TYPE_CHECKING:
    from huggingface_hub import HfApi
from waybill.settings.secrets import environment_secret

__all__ = ["RepositorySource"]

_TIMEOUT_SECS = 60.0
#: What a server says beside them: lists of tags and files, and a manifest.
_SAID_BYTES = 8 << 20
#: What a repository may hold beside the bundle, and keeps when a new version is pushed.
_KEPT = (".gitattributes", "README.md", "LICENSE")
#: 401 is what the Hub answers for a repository that is not there, or hidden from us.
_CODES: dict[int, HubCode] = {
    401: "not_found",
    403: "not_permitted",
    404: "not_found",
    409: "conflict",
    429: "rate_limited",
}
#: A file that is not what it should be is fetched again so long after it came: what the server has
#: may be the fault, and is large.
_SPOILT_SECS = 3600.0
#: Of a message of the client library, as much as is told.
_MOST_DETAIL = 300


class RepositorySource:
    """Versions as tags of a repository ``owner/name``. See `waybill.hub.versions.Source`."""

    def __init__(self, name: str, endpoint: str | None, *, is_public: bool = False) -> None:
        self._answers = Answers(name)
        self._name = name
        self._endpoint = endpoint
        self._is_public = is_public

    def offers(self) -> Offers:
        """The tags that are versions, and their commits."""
        api = self._open()
        with _mapped_errors(self._name):
            tags = api.list_repo_refs(self._name).tags
        return {tag.name: tag.target_commit for tag in tags if is_version(tag.name)}

    def fetch(self, place: str, part: Path, taxonomy: Taxonomy) -> None:
        """Bring the files at the commit ``place``; what is there already is not sent again."""
        api = self._open()
        try:
            self._bring(api, MANIFEST, place, part)
            manifest = read_manifest(part)
            check_labels(manifest, taxonomy)  # before anything large is fetched
            self._answers.allow(MOST_BYTES)
            _forget_spoilt(part, manifest)
            for name in manifest.sha256:
                self._bring(api, name, place, part)
        except HubError as error:
            if error.code == "too_large":  # nothing to go on with, and it takes room
                shutil.rmtree(part, ignore_errors=True)
            raise
        known = {".cache", MANIFEST, *manifest.sha256}
        for entry in part.iterdir():  # left by an earlier commit of this tag
            if entry.name not in known:
                entry.unlink()

    def publish(self, bundle: Path, manifest: Manifest, tag: str) -> None:
        """Upload what the manifest names, remove what an older version left, and tag the commit."""
        api = self._open()
        files = [MANIFEST, *manifest.sha256]
        with _mapped_errors(self._name):
            stale = sorted(set(api.list_repo_files(self._name)) - {*files, *_KEPT})
            commit = api.upload_folder(
                repo_id=self._name,
                folder_path=bundle,
                allow_patterns=files,
                delete_patterns=stale or None,
                commit_message=f"Waybill bundle {manifest.name}@{manifest.version}",
            )
            api.create_tag(self._name, tag=tag, revision=commit.oid)

    def prepare(self) -> None:
        """Make the repository if it is not there: private, unless it was to be public."""
        api = self._open()
        with _mapped_errors(self._name):
            api.create_repo(self._name, private=not self._is_public, exist_ok=True)

    def _open(self) -> HfApi:
        api = _open_client(self._endpoint, self._answers)
        self._answers.allow(_SAID_BYTES)
        return api

    def _bring(self, api: HfApi, name: str, commit: str, part: Path) -> None:
        with _mapped_errors(self._name, missing=name):
            api.hf_hub_download(
                self._name, name, revision=commit, local_dir=part, etag_timeout=_TIMEOUT_SECS
            )


def _forget_spoilt(part: Path, manifest: Manifest) -> None:
    """Remove files that have lain there for an hour and are not those that the manifest names.

    The client takes what lies there for what the server has as long as the server calls it the
    same, so what was spoilt on its way would be refused for ever. Raises HubError (``disk``).
    """
    try:
        for name, digest in manifest.sha256.items():
            file = part / name
            if not file.is_file() or time.time() - file.stat().st_mtime < _SPOILT_SECS:
                continue
            with open_regular(file) as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != digest:
                file.unlink()
    except OSError as error:
        raise HubError("disk", f"{part}: {error.strerror}") from error


def _read_token() -> str | None:
    """``HF_TOKEN``, or what the file in ``HF_TOKEN_FILE`` holds, read anew for each call."""
    try:
        return environment_secret(("HF_TOKEN",))
    except ConfigError as error:
        raise HubError("not_permitted", str(error)) from error


def _open_client(endpoint: str | None, answers: Answers) -> HfApi:
    try:
        from huggingface_hub import HfApi, constants, get_session
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        missing = "huggingface_hub is missing; install it with: pip install 'waybill-sidecar[hub]'"
        raise HubError("library_missing", missing) from error
    # Plain HTTP reaches any server that speaks the Hub's API; xet only Hugging Face's own storage.
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DOWNLOAD_TIMEOUT = int(_TIMEOUT_SECS)
    # Most of its calls wait for ever by default.
    session = get_session()
    session.timeout = _TIMEOUT_SECS
    session.event_hooks = {**session.event_hooks, "response": [answers.watch]}
    if not os.isatty(2):
        disable_progress_bars()
    # It warns of a download that breaks off, with the signed address; it goes on by itself.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return HfApi(endpoint=endpoint, token=_read_token())


@contextlib.contextmanager
def _mapped_errors(repository: str, *, missing: str | None = None) -> Iterator[None]:
    """Turn what the client raises into HubError; a file ``missing`` in the repository into
    BundleError.
    """
    try:
        yield
    except WaybillError:
        raise
    except Exception as error:  # the client lets those of its HTTP library through
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 404 and missing is not None and "EntryNotFound" in type(error).__name__:
            raise BundleError("missing_file", f"{repository}: {missing}") from error
        detail = " ".join(cause_of(error).split())
        raise HubError(_code(error, status), f"{repository}: {detail[:_MOST_DETAIL]}") from error


def _code(error: Exception, status: int | None) -> HubCode:
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return "disk"
    return _CODES.get(status or 0, "unreachable")
