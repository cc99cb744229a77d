"""Several labellings: each has a workbench of its own, with its store, its rules and its labels.

``tax=NAME`` in an address chooses one; without it the first is meant. In the store of a further one
corrections have no name of a labelling, since there is but one: it is written where they leave.
"""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec.structs import replace

from waybill.core.correction import decode_correction, encode_correction
from waybill.core.errors import WaybillError
from waybill.labelling.corrections.files import correction_files, read_history
from waybill.settings.labellings import each_labelling
from waybill.settings.schema import LabellingSettings, Settings

log = logging.getLogger(__name__)


def bench_settings(settings: Settings) -> dict[str, Settings]:
    """Name -> the settings of its workbench; the first labelling's name is ``""``.

    What is changed in a further one travels as a file (``workbench.apply: folder``, where it has
    both ``extra_rules`` and ``corrections`` of its own), or people bring it.
    """
    found = {"": settings}
    for labelling, own in zip(settings.labellings, each_labelling(settings)[1:], strict=True):
        found[labelling.name] = _of_further(settings, labelling, own)
    return found


def _of_further(settings: Settings, labelling: LabellingSettings, own: Settings) -> Settings:
    mine = settings.workbench
    store = Path(mine.store)
    is_folder = mine.apply == "folder" and labelling.corrections and labelling.extra_rules
    workbench = replace(
        mine,
        store=str(store.with_name(f"{store.stem}.{labelling.name}{store.suffix}")),
        apply="folder" if is_folder else "patch",
        folder=None,
        corrections_file=labelling.corrections if is_folder else None,
    )
    return replace(own, workbench=workbench)


def with_own_corrections(settings: Settings, name: str) -> Settings:
    """The settings of ``name`` with a copy of its corrections: those lines of the file that carry
    its name, without it.
    """
    path = settings.corrections.path
    if not name or path is None:
        return settings
    lines = b""
    try:
        for one in read_history(correction_files(Path(path))).corrections:
            if one.labelling == name:
                lines += encode_correction(replace(one, labelling=""))
    except (OSError, WaybillError) as error:
        log.warning("corrections of a labelling cannot be read", extra={"detail": str(error)})
    copy = Path(f"{settings.workbench.store}-corrections.ndjson")
    copy.write_bytes(lines)
    return replace(settings, corrections=replace(settings.corrections, path=str(copy)))


def named(lines: bytes, name: str) -> bytes:
    """Corrections (NDJSON) of a store as sidecars read them: with the name of the labelling."""
    if not name:
        return lines
    found = map(decode_correction, lines.splitlines())
    return b"".join(encode_correction(replace(one, labelling=name)) for one in found)


def edition_of(edition: dict[str, object], name: str) -> dict[str, object] | None:
    """What a node says is in force for one labelling; None: it has none of that name."""
    if not name:
        return edition
    further = edition.get("labellings")
    part = further.get(name) if isinstance(further, dict) else None
    if not isinstance(part, dict):
        return None
    return {**part, "waybill": edition.get("waybill")}
