"""Fetches a model bundle once, before Waybill starts: checks the archive's sha256, unpacks plain files only."""

import hashlib
import io
import os
import pathlib
import tarfile
import urllib.request

URL, SHA256, TARGET = os.environ["URL"], os.environ["SHA256"], pathlib.Path("/models/bundle")

with urllib.request.urlopen(URL, timeout=60) as answer:
    data = answer.read(1 << 30)
found = hashlib.sha256(data).hexdigest()
if found != SHA256:
    raise SystemExit(f"{URL} has sha256 {found}, not {SHA256}")
TARGET.mkdir(parents=True, exist_ok=True)
with tarfile.open(fileobj=io.BytesIO(data)) as archive:
    for member in archive:
        if member.isfile() and (content := archive.extractfile(member)):
            (TARGET / pathlib.PurePosixPath(member.name).name).write_bytes(content.read())
print(f"{URL}: unpacked")
