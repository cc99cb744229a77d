"""What a run of ``waybill label`` gets from the workbench: settings, and what people said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from waybill.core.child import ROOT
from waybill.settings.dump import dump_settings
from waybill.settings.schema import Settings

__all__ = ["SETTINGS_FILE", "environment", "write_settings"]

SETTINGS_FILE = "settings.yaml"


def write_settings(folder: Path, settings: Settings, said: bytes) -> None:
    """Write the settings into ``folder``; with the corrections ``said`` (NDJSON) behind those that
    the settings name. Raises OSError.
    """
    corrections = settings.corrections
    if said:
        own = Path(corrections.path) if corrections.path is not None else None
        before = own.read_bytes() if own is not None and own.is_file() else b""
        history = folder / "corrections.ndjson"
        if before and not before.endswith(b"\n"):
            before += b"\n"
        history.write_bytes(before + said)
        corrections = msgspec.structs.replace(corrections, path=str(history))
    settings = msgspec.structs.replace(settings, corrections=corrections)
    text = json.dumps(_without_secrets(dump_settings(settings)))
    (folder / SETTINGS_FILE).write_text(text, "utf-8")


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
