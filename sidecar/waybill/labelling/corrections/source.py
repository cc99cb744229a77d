"""Where the corrections of one service come from: files, and what was fetched from a server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from waybill.core.correction import Correction
from waybill.core.errors import CorrectionError, CorrectionsError
from waybill.core.labels import Taxonomy
from waybill.labelling.corrections.appended import (
    Appended,
    appended_since,
    settle_again,
    take_snapshot,
)
from waybill.labelling.corrections.files import (
    History,
    fingerprint,
    parse_history,
    read_history,
    unread_files,
)
from waybill.labelling.corrections.table import CorrectionTable, read_table

__all__ = ["CorrectionSource"]

_FETCHED = "corrections.follow"


class CorrectionSource:
    """Reads all there is, and makes the table of it. Its calls block: they are for threads.

    ``paths`` are files and folders; ``labelling`` is the name of the labelling that they are for.
    """

    def __init__(self, paths: Sequence[Path], labelling: str = "") -> None:
        self.paths = tuple(paths)
        self._labelling = labelling
        self._fetched = b""
        self._fetched_mark = ""
        #: Those that held something when they were read last: one that vanishes is a fault.
        self._seen = set(filter(_has_bytes, self.paths))
        self._lock = threading.Lock()
        #: What was made of the bytes that were read last, if more can be read behind them.
        self._last: CorrectionTable | None = None

    @property
    def fetched(self) -> bytes:
        """What was fetched last; empty for nothing."""
        return self._fetched

    def take_fetched(self, data: bytes) -> None:
        """What a server gave, in place of what it gave before; NDJSON, not checked yet.

        It blocks for as long as hashing the bytes takes.
        """
        self._fetched = data
        self._fetched_mark = hashlib.blake2b(data, digest_size=8).hexdigest()

    def history(self) -> History:
        """Every correction there is. Raises CorrectionsError."""
        for path in self._seen:
            _check_still_there(path)
        self._seen = set(filter(_has_bytes, self.paths))
        history = read_history(self.paths)
        if self._fetched:
            history.extend(parse_history(self._fetched, _FETCHED))
        return history

    def load(self, taxonomy: Taxonomy) -> CorrectionTable:
        """What stands; only what was appended since the last load is read, if nothing else
        happened. Raises CorrectionsError.
        """
        with self._lock:
            try:
                mark = self.fingerprint()  # before reading: what changes meanwhile is read again
            except OSError:
                mark = ""
            table = self._load_appended(taxonomy) or self._load_all(taxonomy)
            table.files_mark = mark
            table.tell = self.tell
            return table

    def adopt(self, table: CorrectionTable) -> None:
        """Go on from ``table``, which another source of the same files has loaded."""
        self._last = table

    def _load_all(self, taxonomy: Taxonomy) -> CorrectionTable:
        self._last = None
        fetched = self._fetched_mark
        snapshot = take_snapshot(self.paths)
        history = self.history()
        try:
            table = read_table(history, taxonomy, self._labelling)
        finally:
            history.clear()
        if snapshot is not None and snapshot == take_snapshot(self.paths):
            table.snapshot = snapshot, fetched
            self._last = table
        return table

    def _load_appended(self, taxonomy: Taxonomy) -> CorrectionTable | None:
        """The last table with what was appended; None where all must be read."""
        found = self._look()
        if found is None or self._last is None:
            return None
        table = self._last
        new: list[Correction] = []
        is_standing = False
        for one in found.lines:
            if found.is_known(one.id):
                return None  # there twice, or taken back
            if one.labelling != self._labelling:
                continue
            if one.label not in taxonomy:
                return None
            new.append(one)
            is_standing |= table.stands(one.mask, one.source)
        if new:
            again = settle_again(found, self._labelling, is_standing)
            table = table.changed(again, new)
        table.snapshot = found.snapshot, self._fetched_mark
        self._last = table
        return table

    def _look(self) -> Appended | None:
        """What was appended since all was read; None where something else happened."""
        if self._last is None or self._last.snapshot is None or self._fetched:
            return None
        snapshot, fetched = self._last.snapshot
        return appended_since(self.paths, snapshot) if fetched == self._fetched_mark else None

    def said(self) -> Iterable[Correction]:
        """Every correction there is, as `history` has them, and sooner; to be gone through on the
        same thread. Raises CorrectionsError.
        """
        with self._lock:
            found = self._look()
            if found is None:
                return self.history().corrections
            return found.everything()

    def tell(self, name: str) -> Correction | None:
        """The correction with that id, with all that was said; None where it cannot be read."""
        with self._lock:
            found = self._look()
        if found is not None:
            return found.find(name)
        try:
            history = self.history()
        except CorrectionsError:
            return None
        one = history.find(name)
        history.clear()
        return one

    def fingerprint(self) -> str:
        """Changes when there is something to load again. Raises OSError while a file changes."""
        return f"{fingerprint(self.paths)}{self._fetched_mark}"

    def warnings(self) -> list[str]:
        """Sentences about what lies beside the files and is not read."""
        found: list[str] = []
        for path in self.paths:
            found += unread_files(path)
        return found


def _has_bytes(path: Path) -> bool:
    """Whether there is a file with something in it, or a folder."""
    try:
        return path.is_dir() or path.stat().st_size > 0
    except OSError:
        return False


def _check_still_there(path: Path) -> None:
    """Raises CorrectionsError: what held corrections is gone, or has no byte left."""
    if _has_bytes(path):
        return
    if path.exists():
        detail = "has no byte left, as a file that is being written; a blank line empties it"
        raise CorrectionsError([CorrectionError("emptied", detail, file=str(path))])
    detail = "was there before and is gone"
    raise CorrectionsError([CorrectionError("unreadable", detail, file=str(path))])
