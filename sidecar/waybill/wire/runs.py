"""Writing a long body in runs of records: of a run's pieces only few are there at once."""

from __future__ import annotations

import io
from collections.abc import Callable

#: Records whose pieces are joined at once: 4 MB of ordinary ones.
_RUN = 4096


def joined_in_runs(
    count: int, pieces: Callable[[int, int], list[bytes]], rest: bytes = b""
) -> bytes:
    """All ``pieces(start, stop)`` of ``count`` records, one after another, and ``rest``.

    Each record is a bytes object or two on its way out, at 33 bytes beside its own.
    """
    if count <= _RUN:
        found = pieces(0, count)
        found.append(rest)
        return b"".join(found)
    written = io.BytesIO()  # grows in place, and gives what it holds without a copy
    for start in range(0, count, _RUN):
        written.write(b"".join(pieces(start, min(start + _RUN, count))))
    written.write(rest)
    return written.getvalue()
