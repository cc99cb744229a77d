"""Puts the version before the one in force back, and has pulls leave the bad one alone.

    waybill model rollback --into models/followed

``current`` goes back to a version that is still there. What was left is noted in
``.rolled-back``: a pull passes over it and takes a version that comes after it, as always. So a
sidecar that follows a source does not take the bad version again a minute later, and the mended
one needs no word from anybody.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from waybill.core.files import read_small
from waybill.core.labels import Taxonomy
from waybill.core.output import point_link, writing
from waybill.hub.folder import sole_use
from waybill.hub.outcome import CURRENT, HubError
from waybill.hub.versions import is_version, newest_first, number

__all__ = ["Moved", "forget", "forward", "left_alone", "rollback"]

#: The versions that somebody went back from, one a line.
_NOTE = ".rolled-back"
_NOTE_BYTES = 1 << 20


class Moved(NamedTuple):
    """The version that was in force, and the one that is."""

    before: str
    now: str


def left_alone(into: Path) -> frozenset[str]:
    """The versions that somebody went back from; empty where nobody did."""
    try:
        lines = read_small(into / _NOTE, _NOTE_BYTES).decode("utf-8", "replace").split()
    except OSError:
        return frozenset()
    return frozenset(line for line in lines if is_version(line))


def forget(into: Path, version: str) -> None:
    """``version`` may come into force again. Raises OSError."""
    noted = left_alone(into)
    if version in noted:
        _note(into, noted - {version})


def rollback(into: Path, taxonomy: Taxonomy, *, to: str | None = None) -> Moved:
    """Let ``current`` point to ``to``, or to the newest version before the one in force, after a
    check like that of a pull.

    Raises HubError (``no_version``, ``busy``, ``disk``), BundleError for one that does not load.
    """
    from waybill.labelling.model.bundle import load_bundle

    if not into.is_dir():
        raise HubError("not_found", f"{into}: there is no such folder; --into names another one")
    with sole_use(into):
        before = _in_force(into)
        noted = left_alone(into)
        now = _earlier(into, before, to, noted)
        load_bundle(into / now, taxonomy=taxonomy)
        newer = [name for name in _versions(into) if number(name) > number(now)]
        _note(into, (noted | {before, *newer}) - {now})
        point_link(into / CURRENT, now)
    return Moved(before, now)


def forward(into: Path, taxonomy: Taxonomy) -> Moved:
    """Take back every rollback: ``current`` points to the newest version that is there.

    Raises HubError (``no_version`` where nobody went back), BundleError.
    """
    from waybill.labelling.model.bundle import load_bundle

    if not left_alone(into):
        raise HubError("no_version", f"{into}: no version was rolled back")
    with sole_use(into):
        before = _in_force(into)
        now = _versions(into)[0]
        load_bundle(into / now, taxonomy=taxonomy)
        _note(into, frozenset())
        point_link(into / CURRENT, now)
    return Moved(before, now)


def _versions(into: Path) -> list[str]:
    """The versions in the folder, the newest first."""
    return newest_first(entry.name for entry in into.iterdir() if is_version(entry.name))


def _in_force(into: Path) -> str:
    name = (into / CURRENT).resolve().name
    if not is_version(name):
        raise HubError(
            "no_version", f"{into}: no version is in force; waybill model pull fetches one"
        )
    return name


def _earlier(into: Path, before: str, to: str | None, noted: frozenset[str]) -> str:
    """The version to go back to. Raises HubError (``no_version``)."""
    there = [name for name in _versions(into) if number(name) < number(before)]
    if to is None:
        there = [name for name in there if name not in noted]
    wanted = to or next(iter(there), "")
    if wanted not in there:
        kept = ", ".join(there) or "none"
        raise HubError(
            "no_version",
            f"{into}: no version{f' {to}' if to else ''} before {before} to go back to (there: "
            f"{kept}); waybill model pull --version fetches one from the source, and "
            "waybill model push FOLDER --repo SOURCE makes a bundle the next version there",
        )
    return wanted


def _note(into: Path, versions: frozenset[str]) -> None:
    """Keep the note; none is left where it would be empty."""
    if not versions:
        (into / _NOTE).unlink(missing_ok=True)
        return
    with writing(str(into / _NOTE)) as file:
        file.write("".join(f"{name}\n" for name in newest_first(versions)).encode())
