"""What a run of ``waybill label`` gets from the workbench: settings, and what people said."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import msgspec

from waybill.core.child import ROOT
from waybill.core.files import open_regular
from waybill.labelling.corrections.files import correction_files
from waybill.settings.dump import dump_settings
from waybill.settings.schema import Settings

__all__ = ["SETTINGS_FILE", "environment", "write_settings"]

SETTINGS_FILE = "settings.yaml"


def write_settings(folder: Path, settings: Settings, said: bytes) -> None:
    """Write the settings into ``folder``; with the corrections ``said`` (NDJSON) behind those that
    the settings name, in a file or a folder of files. Raises OSError.
    """
    corrections = settings.corrections
    if said:
        whole = folder / "corrections"
        _gather(whole, corrections.path, said)
        corrections = msgspec.structs.replace(corrections, path=str(whole))
    settings = msgspec.structs.replace(settings, corrections=corrections)
    text = json.dumps(_without_secrets(dump_settings(settings)))
    (folder / SETTINGS_FILE).write_text(text, "utf-8")


def _gather(whole: Path, own: str | None, said: bytes) -> None:
    """Make ``whole`` a folder of what ``own`` has, in its order, and of ``said`` behind it.

    Files are copied as they are: each may be compressed, or in an encoding of its own.
    """
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    before = [] if own is None else correction_files(Path(own))
    for number, file in enumerate(before):
        with open_regular(file) as there, (whole / f"{number:06}.ndjson").open("wb") as copy:
            shutil.copyfileobj(there, copy)
    (whole / f"{len(before):06}.ndjson").write_bytes(said)


def _without_secrets(value: object) -> object:
    """Settings without what is masked in them: secrets come from the environment only."""
    if isinstance(value, dict):
        return {key: _without_secrets(one) for key, one in value.items() if one != "***"}
    if isinstance(value, list):
        return list(map(_without_secrets, value))
    return value


def environment() -> dict[str, str]:
    """Ours without settings: they are in the file, all of them."""
    own = dict(os.environ, PYTHONPATH=str(ROOT))
    for name in filter(_is_ours, os.environ):
        del own[name]
    return own


def _is_ours(name: str) -> bool:
    return name.startswith("WAYBILL_")
