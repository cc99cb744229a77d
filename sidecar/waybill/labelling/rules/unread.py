"""Warns of files in a rules folder that look like rules and are not read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from waybill.core.files import open_regular
from waybill.labelling.rules.artefact import Advice
from waybill.labelling.rules.files import is_rule_file

#: Only so much of a file with another name is looked at.
_HEAD_BYTES = 65_536
#: A line that begins the rules of a file, in YAML or in JSON.
_RULES = re.compile(rb'^\s*(?:\{\s*)?["\']?(?:rules|disable)["\']?\s*:', re.MULTILINE)
#: Names by which people and editors put a file aside on purpose.
_ASIDE = (".bak", ".disabled", ".off", ".old", ".orig", ".swp", ".tmp", "~")
#: Entries of a folder that are looked at; the rest is another folder than one of rules.
_MAX_ENTRIES = 10_000


def unread_files(folders: Sequence[Path]) -> list[Advice]:
    """What is left out of ``folders``, with the reason; a folder that cannot be read has none."""
    found: list[Advice] = []
    for folder in folders:
        try:
            entries = sorted(folder.iterdir())[:_MAX_ENTRIES]
        except OSError:
            continue  # loading says so
        for entry in entries:
            reason = _why_unread(entry)
            if reason is not None:
                found.append(Advice("not_read", f"is not read: {reason}", str(entry)))
    return found


def _why_unread(entry: Path) -> str | None:
    """Why ``entry`` is not read although it looks like rules; None where it does not, or is."""
    name = entry.name.lower()
    if name.startswith(".") or name.endswith(_ASIDE) or is_rule_file(entry):
        return None
    try:
        return _why_odd(entry, is_yaml=name.endswith((".yaml", ".yml")))
    except OSError as error:
        return error.strerror or "it cannot be read"


def _why_odd(entry: Path, *, is_yaml: bool) -> str | None:
    """Raises OSError."""
    if entry.is_dir():
        return _why_folder(entry, is_yaml=is_yaml)
    if not entry.exists():
        is_link = is_yaml or "." not in entry.name
        return "it is a link that leads nowhere" if is_link else None
    if not entry.is_file():
        return "it is not a regular file" if is_yaml else None
    if is_yaml:
        return "its name must end in .yaml or .yml, in small letters"
    with open_regular(entry) as stream:
        head = stream.read(_HEAD_BYTES)
    if b"\0" in head or _RULES.search(head) is None:
        return None
    return "it looks like rules, but its name does not end in .yaml or .yml"


def _why_folder(folder: Path, *, is_yaml: bool) -> str | None:
    if is_yaml:
        return "it is a folder, not a file"
    for entry in sorted(folder.iterdir())[:_MAX_ENTRIES]:
        if is_rule_file(entry):
            return f"it is a folder ({entry.name} lies in it); name it in rules.extra_paths"
    return None
