"""Writing a long body in runs of records: of a run's pieces only few are there at once."""

from __future__ import annotations

import io
from collections.abc import Callable

#: Records whose pieces are joined at once: 4 MB of ordinary ones.
_RUN = 4096
#: And their bytes: copying more would hold up all threads for milliseconds.
_RUN_BYTES = 4 << 20


def joined_in_runs(count: int, size_bytes: int, pieces: Callable[[int, int], list[bytes]]) -> bytes:
    """All ``pieces(start, stop)`` of ``count`` records, one after another.

    ``size_bytes`` is about what they have together.

    Each record is a bytes object or two on its way out, at 33 bytes beside its own.
    """
    run = max(1, min(_RUN, count * _RUN_BYTES // max(1, size_bytes)))
    if count <= run:
        return b"".join(pieces(0, count))
    written = io.BytesIO()  # grows in place, and gives what it holds without a copy
    for start in range(0, count, run):
        written.write(b"".join(pieces(start, min(start + run, count))))
    return written.getvalue()
