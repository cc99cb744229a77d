"""What was appended to files of corrections since they were read: nothing else is read again.

The bytes that were there are compared by their hash, which takes 20 ms for 100,000 corrections;
reading them takes seconds beside a running service. A file that was rewritten, cut, exchanged or
packed is no appended one, and neither is one whose new lines have a fault: all is read anew then.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from waybill.core.correction import Correction, Settled, decode_correction, settle
from waybill.core.errors import CorrectionsError
from waybill.core.files import read_small
from waybill.core.letting_go import take_apart
from waybill.core.text import BOMS
from waybill.labelling.corrections.files import MAX_TOTAL_BYTES, correction_files, parse_history

__all__ = ["Appended", "Key", "Snapshot", "appended_since", "settle_again", "take_snapshot"]

#: More lines than these are read with all others: each is looked for in all bytes.
_MOST_LINES = 200
#: Looked through in one step, in which no other thread runs.
_STEP_BYTES = 1 << 20
_PACKED = (b"\x1f\x8b", *(mark for mark, _ in BOMS))

#: Mask and source of a correction.
Key = tuple[str, str]


class Snapshot(NamedTuple):
    """The bytes that were read: of each file its size and their hash."""

    files: tuple[tuple[Path, int, bytes], ...]


class Appended(NamedTuple):
    """New lines, and the bytes of all files with them; ``snapshot`` is of those."""

    lines: list[Correction]
    data: list[bytes]
    snapshot: Snapshot

    def is_known(self, name: str) -> bool:
        """Whether an id stands in what was there before: a guess that may be wrong by a yes."""
        sought = name.encode()
        found = 0
        for data in self.data:
            for start in range(0, len(data), _STEP_BYTES):
                # Each place is counted in the step that it begins in.
                found += data.count(sought, start, start + _STEP_BYTES + len(sought) - 1)
        return found > 1

    def find(self, name: str) -> Correction | None:
        """The correction with that id: only lines that hold it are decoded."""
        sought = name.encode()
        for data in self.data:
            at = _find(data, sought, 0)
            while at >= 0:
                begin, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
                line = data[begin:end] if end >= 0 else data[begin:]
                one = decode_correction(line)
                if one.id == name:
                    return one
                at = _find(data, sought, begin + len(line))
        return None

    def everything(self) -> Iterator[Correction]:
        """Every line there is, in order, not checked again, each id once."""
        met: set[str] = set()
        for data in self.data:
            for line in io.BytesIO(data):
                if line.isspace():
                    continue
                one = decode_correction(line)
                if one.id not in met:
                    met.add(one.id)
                    yield one
        take_apart(met)


def take_snapshot(paths: Sequence[Path]) -> Snapshot | None:
    """What the files hold now; None where one is packed, or cannot be read."""
    try:
        read = _read(paths)
    except OSError:
        return None
    for _, data in read:
        if data.startswith(_PACKED):
            return None
    return _snapshot(read)


def appended_since(paths: Sequence[Path], before: Snapshot) -> Appended | None:
    """What was appended since ``before``; None where something else happened, too.

    It blocks, and no other thread for longer than it takes to decode some lines.
    """
    try:
        read = _read(paths)
    except OSError:
        return None
    if len(read) != len(before.files):
        return None
    lines: list[Correction] = []
    for (file, data), (known, size, digest) in zip(read, before.files, strict=True):
        if file != known or len(data) < size or _hash(memoryview(data)[:size]) != digest:
            return None
        tail = data[size:]
        if tail and (_is_cut(data, size) or tail.count(b"\n") > _MOST_LINES):
            return None
        try:
            lines += parse_history(tail, str(file)).corrections
        except CorrectionsError:
            return None  # told with its line number where all is read
    return Appended(lines, list(map(_data, read)), _snapshot(read))


def settle_again(found: Appended, labelling: str, is_standing: bool) -> dict[Key, Settled | None]:
    """What stands for each mask and source that the new lines speak of; None where nothing does.

    ``is_standing``: whether something stands for one of them already. No id of a new line was there
    before.
    """
    mine = [one for one in found.lines if one.labelling == labelling]
    if not mine:
        return {}
    lines = mine
    keys = set(map(_key, mine))
    if is_standing or any(map(_withdraws, found.lines)):
        everything = list(found.everything())
        keys = _spoken_of(mine, everything, labelling)
        lines = []
        for one in everything:
            if one.labelling == labelling and (_withdraws(one) or _key(one) in keys):
                lines.append(one)
        take_apart(everything)
    again: dict[Key, Settled | None] = dict.fromkeys(keys)
    for settled in settle(lines):
        again[_key(settled.correction)] = settled
    return again


def _find(data: bytes, sought: bytes, start: int) -> int:
    """As ``data.find``, in steps: other threads wait for each."""
    for begin in range(start, len(data), _STEP_BYTES):
        at = data.find(sought, begin, begin + _STEP_BYTES + len(sought) - 1)
        if at >= 0:
            return at
    return -1


def _key(one: Correction) -> Key:
    return one.mask, one.source


def _withdraws(one: Correction) -> bool:
    return one.withdraws is not None


def _data(read: tuple[Path, bytes]) -> bytes:
    return read[1]


def _spoken_of(
    new: Iterable[Correction], everything: Iterable[Correction], labelling: str
) -> set[Key]:
    """Mask and source of new lines, and of all that they take back, one through the other."""
    by_id: dict[str, Correction] = {}
    for said in everything:
        if said.labelling == labelling:
            by_id[said.id] = said
    keys: set[Key] = set()
    for line in new:
        one: Correction | None = line
        met: set[str] = set()
        while one is not None and one.id not in met:
            met.add(one.id)
            keys.add(_key(one))
            one = by_id.get(one.withdraws or "")
    take_apart(by_id)
    return keys


def _read(paths: Sequence[Path]) -> list[tuple[Path, bytes]]:
    """Raises OSError; one of them is that they are too large to be read."""
    read: list[tuple[Path, bytes]] = []
    left = MAX_TOTAL_BYTES
    for path in paths:
        for file in correction_files(path):
            data = read_small(file, left)
            left -= len(data)
            read.append((file, data))
    return read


def _snapshot(read: Iterable[tuple[Path, bytes]]) -> Snapshot:
    return Snapshot(tuple((file, len(data), _hash(data)) for file, data in read))


def _hash(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _is_cut(data: bytes, size: int) -> bool:
    """Whether the last line that was read goes on in what was appended."""
    return size > 0 and data[size - 1 : size] != b"\n" and data[size : size + 1] != b"\n"
