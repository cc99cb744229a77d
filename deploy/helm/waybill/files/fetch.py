"""Fetches a model bundle once, before Waybill starts: checks every sha256, unpacks plain files into
one folder.

URL is the https address of an archive (tar, tar.gz), or oci://host/repository:tag for an artifact
whose layers are such archives or plain files; the sha256 of an artifact is that of its manifest.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any

TARGET = pathlib.Path(os.environ.get("TARGET", "/models/bundle"))
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
MOST_BYTES = 1 << 30
TITLE = "org.opencontainers.image.title"


def ask(url: str, authorization: str | None, accept: str = "*/*") -> IO[bytes]:
    """The answer to a GET. A redirect leads elsewhere: it never takes the authorization along."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    answer: IO[bytes] = urllib.request.urlopen(request, timeout=60)
    return answer


def fetch(url: str, sha256: str, authorization: str | None, accept: str = "*/*") -> IO[bytes]:
    """The file behind ``url``, once all of its bytes are here and have the digest."""
    found, size = hashlib.sha256(), 0
    file = tempfile.TemporaryFile(dir=TARGET)  # noqa: SIM115 - the caller's, gone with the process
    with ask(url, authorization, accept) as answer:
        while chunk := answer.read(1 << 20):
            size += len(chunk)
            if size > MOST_BYTES:
                raise SystemExit(f"{url} is larger than {MOST_BYTES} bytes")
            found.update(chunk)
            file.write(chunk)
    if found.hexdigest() != sha256:
        raise SystemExit(f"{url} has sha256 {found.hexdigest()}, not {sha256}")
    file.seek(0)
    return file


def keep(content: IO[bytes], name: str) -> None:
    """Write a file of the bundle; of its path only the name counts, so nothing is written
    elsewhere.
    """
    with (TARGET / pathlib.PurePosixPath(name).name).open("wb") as out:
        shutil.copyfileobj(content, out)


def unpack(file: IO[bytes]) -> None:
    """Keep an archive's plain files."""
    with tarfile.open(fileobj=file) as archive:
        for member in archive:
            if member.isfile() and (content := archive.extractfile(member)):
                keep(content, member.name)


def registry_token(base: str, repository: str, authorization: str | None) -> str | None:
    """What the registry wants to see: what we have, or the token that it gives for it (or to
    anyone).
    """
    try:
        ask(f"{base}/v2/", authorization).close()
    except urllib.error.HTTPError as error:
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
        if error.code != 401 or "realm" not in challenge:
            raise
        scope = {"service": challenge.get("service", ""), "scope": f"repository:{repository}:pull"}
        with ask(f"{challenge['realm']}?{urllib.parse.urlencode(scope)}", authorization) as answer:
            granted = json.load(answer)
        return f"Bearer {granted.get('token') or granted['access_token']}"
    return authorization


def fetch_artifact(url: str, sha256: str, authorization: str | None) -> None:
    """Keep the layers of an OCI artifact, each with the digest that the manifest names."""
    host, _, name = url.removeprefix("oci://").partition("/")
    repository, _, tag = name.partition("@")[0].partition(":")
    is_local = host.partition(":")[0] in ("localhost", "127.0.0.1")
    base = f"{'http' if is_local else 'https'}://{host}"
    authorization = registry_token(base, repository, authorization)
    address = f"{base}/v2/{repository}/manifests/{tag or f'sha256:{sha256}'}"
    manifest: dict[str, Any] = json.load(fetch(address, sha256, authorization, MANIFESTS))
    if "layers" not in manifest:
        raise SystemExit(f"{url} is an index of several artifacts; name one of them by its digest")
    for layer in manifest["layers"]:
        kind, _, digest = layer["digest"].partition(":")
        if kind != "sha256":
            raise SystemExit(f"{url}: a layer has a {kind} digest, only sha256 is known here")
        file = fetch(f"{base}/v2/{repository}/blobs/{layer['digest']}", digest, authorization)
        title = layer.get("annotations", {}).get(TITLE)
        if title and "tar" not in layer.get("mediaType", ""):
            keep(file, title)
        else:
            unpack(file)


def main(url: str, sha256: str, authorization: str | None) -> None:
    """Put everything that ``url`` leads to into TARGET."""
    TARGET.mkdir(parents=True, exist_ok=True)
    if url.startswith("oci://"):
        fetch_artifact(url, sha256, authorization)
    else:
        unpack(fetch(url, sha256, authorization))
    print(f"{url}: {', '.join(sorted(path.name for path in TARGET.iterdir()))}")


main(os.environ["URL"], os.environ["SHA256"], os.environ.get("AUTHORIZATION"))
