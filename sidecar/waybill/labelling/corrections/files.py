"""Files of corrections: NDJSON, one correction a line, one file or all of a folder.

What people bring is read where it is plain what is meant: a byte order mark, CR LF, blank lines,
gzip, UTF-16 with its mark, the same line twice. All else refuses the whole load with file, line and
a code, and what was in force before stays.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import os
import stat
import zlib
from array import array
from collections.abc import Iterable
from pathlib import Path

from waybill.core.correction import Correction, decode_correction
from waybill.core.errors import CorrectionError, CorrectionsError
from waybill.core.files import open_regular, read_small
from waybill.core.filling import FILLING
from waybill.core.letting_go import take_apart
from waybill.core.reasons import CorrectionCode
from waybill.core.text import byte_order_mark, transcoded
from waybill.labelling.corrections.checks import fault_of

__all__ = [
    "MAX_LINES",
    "MAX_TOTAL_BYTES",
    "SUFFIXES",
    "History",
    "correction_files",
    "fingerprint",
    "is_folder",
    "parse_history",
    "read_history",
    "unread_files",
]

SUFFIXES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
#: Names that a folder may hold and that look like corrections in another form.
_OTHER_SUFFIXES = (".csv", ".tsv", ".json", ".txt", ".xlsx", ".yaml", ".yml", ".gz")
#: All files together, inflated: 100,000 corrections have about 25 MB.
MAX_TOTAL_BYTES = 128 << 20
#: Of all files together. So many are in memory with 100 MB, and read in some seconds; each step in
#: which nothing else can run stays below 50 ms (`waybill.core.letting_go`).
MAX_LINES = 200_000
#: Looked at or made in one such step.
_STEP_BYTES = 1 << 20
#: Faults that one load tells; when they are mended, the next load tells the rest.
_MAX_FAULTS = 20
#: Files up to this size are compared by their bytes, larger ones by time and size: it is done again
#: every few seconds.
_HASHED_BYTES = 1 << 20
_SHOWN_CHARS = 60
#: Of a gzip file that was put together from several.
_MAX_MEMBERS = 1000
_TOO_MANY = (
    f"more than {MAX_LINES:,} corrections; keep what still counts: what was taken back, or said "
    "otherwise later, can go, and what training has learnt"
)
_EXAMPLE = '{"id": ..., "mask": "User 0 left", "label": "User Action", "at": ...}'
_WRITE = "waybill correct writes such lines"


class History:
    """Every correction of some files, in order, and where each stands; one that is there twice
    counts once.
    """

    def __init__(self) -> None:
        self.corrections: list[Correction] = []
        self.faults: list[CorrectionError] = []
        self._by_id: dict[str, int] = {}
        self._lines = array("L")
        #: Each file with the index of its first correction.
        self._files: list[tuple[int, str]] = []

    def expect(self, count: int) -> None:
        """So many lines more are to come. Raises CorrectionsError: they are too many."""
        if len(self.corrections) + count > MAX_LINES:
            file = self._files[-1][1] if self._files else ""
            raise CorrectionsError([CorrectionError("too_large", _TOO_MANY, file=file)])

    def clear(self) -> None:
        """Forget everything, in steps: other threads have their turns."""
        take_apart(self.corrections, self._by_id)

    def begin(self, file: str) -> None:
        """What is added from now on is of ``file``."""
        self._files.append((len(self.corrections), file))

    def add(self, correction: Correction, line: int) -> None:
        """One more, of the file that was begun last."""
        first = self._by_id.setdefault(correction.id, len(self.corrections))
        if first == len(self.corrections):
            self.corrections.append(correction)
            self._lines.append(line)
        elif self.corrections[first] != correction:
            file, number = self.place(correction.id)
            text = f"id {correction.id!r} is another correction's, first in {file}:{number}"
            self.fault("duplicate_id", text, line)

    def extend(self, other: History) -> None:
        """All of ``other`` behind what is there. Raises CorrectionsError: an id means two, or both
        are too many.
        """
        self.expect(len(other.corrections))
        for one, line in zip(other.corrections, other._lines, strict=True):
            file = other.place(one.id)[0]
            if not self._files or self._files[-1][1] != file:
                self.begin(file)
            self.add(one, line)
        if self.faults:
            raise CorrectionsError(self.faults)

    def fault(self, code: CorrectionCode, detail: str, line: int) -> None:
        """Note what is wrong in the file that was begun last. Raises CorrectionsError: enough."""
        file = self._files[-1][1]
        self.faults.append(CorrectionError(code, detail, file=file, line=line))
        if len(self.faults) >= _MAX_FAULTS:
            raise CorrectionsError(self.faults)

    def find(self, name: str) -> Correction | None:
        """The correction with that id."""
        index = self._by_id.get(name)
        return None if index is None else self.corrections[index]

    def place(self, name: str) -> tuple[str, int]:
        """File and line of the correction with that id."""
        index = self._by_id[name]
        file = self._files[bisect.bisect_right(self._files, (index, "\U0010ffff")) - 1][1]
        return file, self._lines[index]


def is_folder(path: Path) -> bool:
    """Whether ``path`` is, or is meant to be, a folder of files."""
    return path.is_dir() or not (path.exists() or path.name.endswith(SUFFIXES))


def correction_files(path: Path) -> list[Path]:
    """The files at ``path``, sorted by name; hidden ones (``..data`` of a volume) are left out.

    A file that is not there yet counts as empty: the first correction makes it. Raises OSError.
    """
    if not is_folder(path):
        return [path] if path.exists() else []
    found = [entry for entry in path.iterdir() if _is_read(entry)]
    return sorted(found, key=lambda entry: entry.name)


def unread_files(path: Path) -> list[str]:
    """Sentences about what lies in the folder and looks like corrections, but is not read."""
    if not path.is_dir():
        return []
    found: list[str] = []
    for entry in sorted(path.iterdir()):
        name = entry.name
        if name.startswith(".") or _is_read(entry):
            continue
        if entry.is_dir():
            found.append(f"{entry}: is not read: folders within the folder are left out")
            continue
        if not name.endswith(_OTHER_SUFFIXES):
            continue
        found.append(f"{entry}: is not read: its name does not end in {' or '.join(SUFFIXES[:2])}")
    return found


def fingerprint(paths: Iterable[Path]) -> str:
    """Changes when the files do. Raises OSError while one is exchanged."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for file in correction_files(path):
            status = file.stat()
            digest.update(f"{file}\0{status.st_size}\0".encode(errors="surrogateescape"))
            if status.st_size <= _HASHED_BYTES and stat.S_ISREG(status.st_mode):
                digest.update(read_small(file, _HASHED_BYTES))
            else:
                digest.update(f"{status.st_mtime_ns}\0{status.st_ino}\0".encode())
    return digest.hexdigest()


def read_history(paths: Iterable[Path]) -> History:
    """What the files at ``paths`` hold.

    Raises:
        CorrectionsError: with the first faults found.
    """
    history = History()
    left = MAX_TOTAL_BYTES
    for path in paths:
        for file in _files(path):
            data = _read(file, left)
            left -= len(data)
            _parse(data, str(file), history)
    return _checked(history)


def parse_history(data: bytes, name: str) -> History:
    """`read_history` of bytes that are in no file; ``name`` stands in messages."""
    history = History()
    _parse(data, name, history)
    return _checked(history)


def _checked(history: History) -> History:
    if history.faults:
        raise CorrectionsError(history.faults)
    return history


def _is_read(entry: Path) -> bool:
    is_named = entry.name.endswith(SUFFIXES) and not entry.name.startswith(".")
    return is_named and entry.is_file()


def _files(path: Path) -> list[Path]:
    try:
        return correction_files(path)
    except OSError as error:
        raise _unreadable(error, path) from None


def _unreadable(error: OSError, path: Path) -> CorrectionsError:
    detail = error.strerror or "cannot be read"
    return CorrectionsError([CorrectionError("unreadable", detail, file=str(path))])


def _read(file: Path, most_bytes: int) -> bytes:
    """The bytes of ``file`` as UTF-8. Raises CorrectionsError."""
    try:
        with open_regular(file) as stream:
            # What is too much is not even read: its memory would be taken and freed in one step.
            size = os.fstat(stream.fileno()).st_size
            data = stream.read(most_bytes + 1) if size <= most_bytes else b""
    except OSError as error:
        raise _unreadable(error, file) from None
    if data.startswith(b"\x1f\x8b"):
        data = _inflated(data, str(file), most_bytes)
    if max(size, len(data)) > most_bytes:
        detail = f"with the others more than {MAX_TOTAL_BYTES >> 20} MiB; keep what still counts"
        raise CorrectionsError([CorrectionError("too_large", detail, file=str(file))])
    return _as_utf8(data, str(file))


def _inflated(data: bytes, file: str, most_bytes: int) -> bytes:
    """All members of a gzip file, at most one byte more than ``most_bytes``."""
    whole = io.BytesIO()
    members = 0
    try:
        while data and whole.tell() <= most_bytes:
            members += 1
            if members > _MAX_MEMBERS:  # what is behind each of them is copied
                raise zlib.error(f"it has more than {_MAX_MEMBERS} parts")
            inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            while not inflater.eof and whole.tell() <= most_bytes:
                if not data:
                    raise zlib.error("it ends before its end")
                whole.write(inflater.decompress(data, _STEP_BYTES))
                data = inflater.unconsumed_tail
            data = inflater.unused_data.lstrip(FILLING)
    except zlib.error as error:
        detail = f"the gzip file is damaged: {error}"
        raise CorrectionsError([CorrectionError("unreadable", detail, file=file)]) from None
    return whole.getvalue()


def _as_utf8(data: bytes, file: str) -> bytes:
    """Without its byte order mark; UTF-16 and UTF-32, which have one, as UTF-8."""
    found = byte_order_mark(data)
    if found is None:
        return data
    mark, codec = found
    if codec == "utf-8":
        return data[len(mark) :]
    try:
        return transcoded(data[len(mark) :], codec)
    except UnicodeError:
        detail = f"is not {codec}, as its first bytes say"
        raise CorrectionsError([CorrectionError("not_text", detail, file=file)]) from None


def _parse(data: bytes, file: str, history: History) -> None:
    """Add the corrections of one file."""
    history.begin(file)
    steps = range(0, len(data), _STEP_BYTES)
    history.expect(sum(data.count(b"\n", start, start + _STEP_BYTES) for start in steps))
    for number, line in enumerate(io.BytesIO(data), 1):
        if line.isspace():
            continue
        try:
            correction = decode_correction(line)
        except (ValueError, RecursionError) as error:
            code, detail = _line_fault(line, str(error))
            history.fault(code, detail, number)
            if number == 1 and not line.lstrip().startswith(b"{"):
                return  # a file of another kind: each of its lines would have that fault
            continue
        fault = fault_of(correction)
        if fault is None:
            history.add(correction, number)
        else:
            history.fault(*fault, number)


def _line_fault(line: bytes, detail: str) -> tuple[CorrectionCode, str]:
    """Why a line is not a correction, in words for its author."""
    head = line.lstrip()[:1]
    if head == b"[":
        return "not_json", f"a JSON array; expected NDJSON, one object a line: {_EXAMPLE}"
    if head != b"{":
        shown = line[:_SHOWN_CHARS].decode("utf-8", "replace").rstrip()
        return (
            "not_json",
            f"{shown!r} is not a JSON object; expected NDJSON, one a line: {_EXAMPLE}. {_WRITE}",
        )
    if not line.endswith(b"\n") and "truncated" in detail:
        cut = "the last line is cut off, as by a write that failed; complete it or take it out"
        return "half_line", cut
    if "missing required field" in detail or "Expected" in detail:
        return "not_a_correction", f"{detail}; expected {_EXAMPLE}. {_WRITE}"
    return "not_json", f"no JSON: {detail}"
