"""How a change reaches the sidecars: fetched from here, written into a folder or a ConfigMap, or
brought by people.

A change is accepted when it is in the store. One that was being written somewhere else when the
process was killed is finished at the next start, whole, or told as failed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from pathlib import Path
from typing import Protocol

from waybill.core.errors import WaybillError
from waybill.core.output import writing
from waybill.core.text import text_of_file
from waybill.labelling.rules.files import read_rule_files
from waybill.settings.schema import Settings
from waybill.web.configmap import ConfigMap
from waybill.web.labellings import named
from waybill.web.store.changes import (
    CORRECTIONS_FILE,
    Change,
    ChangeState,
    add_change,
    end_change,
    note_version,
    put_all_files,
    put_file,
    stored_files,
    unfinished,
)
from waybill.web.store.corrections import (
    applied_version,
    apply_waiting,
    export_applied,
    waiting_text,
)
from waybill.web.store.database import Database

log = logging.getLogger(__name__)
__all__ = ["NotWrittenError", "Place", "Travel", "own_folder", "place_of"]


_NO_RIGHT = "; the workbench must be able to write there: look at the folder's rights and its mount"
#: What to do about an error of the system.
_TO_DO = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOSPC: "; make room and try again",
    errno.EDQUOT: "; make room and try again",
}


class NotWrittenError(WaybillError):
    """A change that was not written; nothing has changed anywhere."""

    code = "not_written"


class Place(Protocol):
    """Where files are written for sidecars, outside the store."""

    async def read(self) -> dict[str, str]:
        """Name -> text of the rule files there. Raises NotWrittenError."""
        ...

    async def write(self, name: str, before: str | None, after: str | None) -> None:
        """Exchange the file ``name``, in one step; None removes it.

        Raises NotWrittenError: it cannot be, or somebody changed ``before``; nothing was written.
        """
        ...


class FolderPlace:
    """A folder of rule files, and one file of corrections."""

    def __init__(self, folder: Path | None, corrections: Path | None) -> None:
        self._folder = folder
        self._corrections = corrections

    async def read(self) -> dict[str, str]:
        """See `Place`."""
        return await asyncio.to_thread(self._read)

    async def write(self, name: str, before: str | None, after: str | None) -> None:
        """See `Place`."""
        try:
            await asyncio.to_thread(self._write, name, before, after)
        except OSError as error:
            raise NotWrittenError(_why_not(error, self._path(name))) from None

    def _read(self) -> dict[str, str]:
        if self._folder is None or not self._folder.is_dir():
            return {}
        found = {}
        for file in read_rule_files([self._folder]):
            found[Path(file.name).name] = text_of_file(file.data, "replace")
        return found

    def _write(self, name: str, before: str | None, after: str | None) -> None:
        path = self._path(name)
        if name != CORRECTIONS_FILE and self._read().get(name) not in (before, after):
            raise NotWrittenError(f"{name} was changed by somebody else: try again")
        if after is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(str(path)) as file:
            file.write(after.encode("utf-8", "replace"))

    def _path(self, name: str) -> Path:
        path = self._corrections if name == CORRECTIONS_FILE else self._folder
        if path is None:
            setting = "workbench.folder"
            if name == CORRECTIONS_FILE:
                setting = "workbench.corrections_file"
            raise NotWrittenError(f"nowhere to write it: set {setting}")
        return path if name == CORRECTIONS_FILE else path / name


class ConfigMapPlace:
    """One ConfigMap that the sidecars mount: a key for each file."""

    def __init__(self, client: ConfigMap) -> None:
        self._client = client

    async def read(self) -> dict[str, str]:
        """See `Place`."""
        data = (await self._client.read()).data
        return {name: text for name, text in data.items() if name.endswith((".yaml", ".yml"))}

    async def write(self, name: str, before: str | None, after: str | None) -> None:
        """See `Place`."""
        if name == CORRECTIONS_FILE:
            await self._client.put(name, after)
        else:
            await self._client.put(name, after, expected=(before, after))


class Travel:
    """Records changes and lets them travel by ``workbench.apply``.

    ``place`` is None where sidecars fetch from here, and where people bring changes.
    """

    def __init__(
        self, settings: Settings, database: Database, place: Place | None, labelling: str = ""
    ) -> None:
        """``labelling``: the name that corrections carry; empty for the first."""
        self._labelling = labelling
        self.way = settings.workbench.apply
        self._database = database
        self._place = place
        self._lock = asyncio.Lock()
        self._refreshing = asyncio.Lock()
        self._mirror = own_folder(settings)
        self._mirrors = self.way in ("follow", "configmap")

    async def start(self) -> None:
        """Finish what was under way when the process ended, and read what stands outside."""
        for row in await self._database.read(unfinished):
            await self._finish(row["number"], row["file"], row["before"], row["after"])
        await self.refresh()

    async def refresh(self) -> None:
        """Have the own files be those that stand where changes are written."""
        if not self._mirrors or self._mirror is None:
            return
        async with self._refreshing:  # two at once would take each other's files for old ones
            await self._refresh(self._mirror)

    async def _refresh(self, mirror: Path) -> None:
        if self._place is not None:
            try:
                found = await self._place.read()
            except WaybillError:
                return  # what was known stays; writing says why
            if found != await self._database.read(stored_files):
                await self._database.write(lambda store: put_all_files(store, found))
        files = await self._database.read(stored_files)
        try:
            await asyncio.to_thread(_mirror, mirror, files)
        except OSError as error:
            # They are in the store, and sidecars get them; the next round tries again.
            log.error("the copy of the own rules cannot be written", extra={"detail": str(error)})

    async def bring_rules(self, made: Change) -> int:
        """Record a change of a rule file and let it travel; gives its number.

        Raises NotWrittenError: nothing has changed.
        """

        def record(store: sqlite3.Connection) -> int:
            if self.way == "follow":
                if stored_files(store).get(made.file) != made.before:
                    raise NotWrittenError(f"{made.file} was changed by somebody else: try again")
                put_file(store, made.file, made.after)
            return add_change(store, self._begun(made))

        async with self._lock:
            number = await self._database.write(record)
            await self._carry(number, made.file, made.before, made.after)
            await self.refresh()
        return number

    async def bring_corrections(self, made: Change) -> int | None:
        """Let every line that waits travel; gives the number of the change, None without one.

        Raises NotWrittenError: nothing has changed outside; what was said is kept.
        """

        def record(store: sqlite3.Connection) -> int | None:
            lines = waiting_text(store)
            if not lines:
                return None
            lines = named(lines.encode(), self._labelling).decode()
            begun = self._begun(made)._replace(file=CORRECTIONS_FILE, after=lines)
            number = add_change(store, begun)
            apply_waiting(store, number)
            note_version(store, number, applied_version(store))
            return number

        async with self._lock:
            number = await self._database.write(record)
            if number is not None:
                await self._carry(number, CORRECTIONS_FILE, None, None)
        return number

    def _begun(self, made: Change) -> Change:
        state: ChangeState = "written" if self._place is None else "writing"
        return made._replace(way=self.way, state=state)

    async def _carry(self, number: int, name: str, before: str | None, after: str | None) -> None:
        fault = await self._finish(number, name, before, after)
        if fault:
            raise NotWrittenError(fault)

    async def _finish(self, number: int, name: str, before: str | None, after: str | None) -> str:
        """Write what was recorded; why it failed, or nothing."""
        fault = ""
        if self._place is not None:
            if name == CORRECTIONS_FILE:
                applied = await self._database.read(export_applied)
                after = named(applied, self._labelling).decode()
            try:
                await self._place.write(name, before, after)
            except WaybillError as error:
                fault = str(error)
        await self._database.write(lambda store: _end(store, number, name, fault))
        return fault


def _why_not(error: OSError, path: Path) -> str:
    """Why a file is not written, and what to do."""
    to_do = _TO_DO.get(error.errno or 0, "")
    return f"not written, nothing changed: {path}: {error.strerror or error}{to_do}"


def place_of(settings: Settings) -> Place | None:
    """Where changes are written, besides the store. Raises ConfigError."""
    mine = settings.workbench
    if mine.apply == "folder":
        file = mine.corrections_file or settings.corrections.path
        return FolderPlace(own_folder(settings), Path(file) if file is not None else None)
    if mine.apply == "configmap":
        return ConfigMapPlace(ConfigMap(mine))
    return None


def own_folder(settings: Settings) -> Path | None:
    """The folder of the own rule files here; a copy where they stand elsewhere. None: nowhere."""
    mine = settings.workbench
    if mine.apply in ("follow", "configmap"):
        return Path(f"{mine.store}-rules")
    if mine.folder:
        return Path(mine.folder)
    extra = settings.rules.extra_paths
    return Path(extra[0]) if extra else None


def _end(store: sqlite3.Connection, number: int, name: str, fault: str) -> None:
    end_change(store, number, fault)
    if fault and name == CORRECTIONS_FILE:
        # What was said waits again.
        store.execute("UPDATE corrections SET change = NULL WHERE change = ?", (number,))


def _mirror(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name not in files:
            entry.unlink()
    for name, text in files.items():
        path = folder / name
        data = text.encode("utf-8", "replace")
        if not path.exists() or path.read_bytes() != data:
            with writing(str(path)) as file:
                file.write(data)
