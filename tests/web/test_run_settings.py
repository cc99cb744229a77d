"""What a run of ``waybill label`` is given: what people said stands behind what was there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from waybill.core.correction import Correction, encode_correction, new_correction
from waybill.labelling.corrections.files import correction_files, read_history
from waybill.settings.sources import load_settings
from waybill.web.run_settings import SETTINGS_FILE, write_settings


def _said(word: str) -> Correction:
    return new_correction(f"{word} failed", "Error", by="ann", at="2026-11-20T10:00:00Z")


_BEFORE = [_said("order"), _said("payment")]
_SAID = _said("parcel")


def _file(path: Path) -> None:
    path.write_bytes(b"".join(map(encode_correction, _BEFORE)))


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "b.ndjson").write_bytes(b"\xef\xbb\xbf" + encode_correction(_BEFORE[1]))
    (path / "a.ndjson.gz").write_bytes(gzip.compress(encode_correction(_BEFORE[0])))
    (path / "notes.md").write_text("of another form")


@pytest.mark.parametrize("make", [_file, _folder])
def test_what_was_there_counts_in_a_run_as_well(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    own = tmp_path / "own"
    make(own)
    settings = load_settings(None)
    given = msgspec.structs.replace(settings.corrections, path=str(own))
    settings = msgspec.structs.replace(settings, corrections=given)
    for _ in range(2):  # a job may be prepared again
        write_settings(tmp_path, settings, encode_correction(_SAID))
    written = json.loads((tmp_path / SETTINGS_FILE).read_text())["corrections"]["path"]
    history = read_history(correction_files(Path(written)))
    assert history.corrections == [*_BEFORE, _SAID]


def test_a_file_that_is_not_there_yet_is_none(tmp_path: Path) -> None:
    settings = load_settings(None)
    given = msgspec.structs.replace(settings.corrections, path=str(tmp_path / "c.ndjson"))
    write_settings(
        tmp_path, msgspec.structs.replace(settings, corrections=given), encode_correction(_SAID)
    )
    written = json.loads((tmp_path / SETTINGS_FILE).read_text())["corrections"]["path"]
    assert read_history(correction_files(Path(written))).corrections == [_SAID]
