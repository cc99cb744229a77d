"""Embeddings kept on disk, so that a second training run embeds only what is new.

One SQLite file; the key is the encoder's identity and the text, so another encoder never answers
for it. It is a cache: a file that cannot be read is begun anew.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from waybill.core.errors import TierUnavailable
from waybill.core.retry import retry_blocking
from waybill.core.turns import in_parts
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.learn.arrays import Floats

__all__ = ["embed_cached"]

log = logging.getLogger(__name__)

_PART = 64
#: Rows kept: 500,000 vectors of 384 dimensions are 770 MB; the oldest go first.
MOST_ROWS = 500_000
#: A service that cannot answer now is asked again after so long, and so often: a quota is per
#: minute.
_PAUSE_SECS = 20.0
_ATTEMPTS = 31
_PASSING = ("encoder_rate_limited", "encoder_unreachable")
#: SQLite waits so long for another process that writes.
_LOCK_SECS = 60.0
_CREATE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"


def embed_cached(
    encoder: VectorEncoder,
    texts: Sequence[str],
    cache: Path | None,
    threads: int = 2,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Floats:
    """Unit vectors float32[n, dimensions], in order; from the file ``cache`` where it has them.

    A bar on stderr shows progress on a terminal. What was embedded is kept even if the rest fails.
    An encoder that is a service gets up to ten minutes (``sleep`` is in seconds) to come back.
    Raises TierUnavailable when it does not, and what a local encoder raises.
    """
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return np.empty((0, 0), np.float32)
    if cache is None:
        known = _embed(encoder, distinct, threads, sleep, lambda *_: None)
    else:
        with _opened(cache) as store:
            known = _stored(store, encoder, distinct)
            missing = [text for text in distinct if text not in known]
            known |= _embed(
                encoder, missing, threads, sleep, lambda *rows: _keep(store, encoder, *rows)
            )
            with suppress(sqlite3.OperationalError), store:
                store.execute(
                    "DELETE FROM vectors WHERE rowid <= (SELECT max(rowid) FROM vectors) - ?",
                    (MOST_ROWS,),
                )
    return np.stack([known[text] for text in texts])


@contextmanager
def _opened(cache: Path) -> Iterator[sqlite3.Connection]:
    """The file, or where it cannot be used (a full or read-only disk, a lock) one in memory."""
    try:
        store = _connected(cache)
    except (OSError, sqlite3.OperationalError) as error:
        log.warning("the cache of embeddings is not used, nothing is kept for next time: %s", error)
        store = sqlite3.connect(":memory:")
        store.execute(_CREATE)
    with closing(store):
        yield store


def _connected(cache: Path) -> sqlite3.Connection:
    cache.parent.mkdir(parents=True, exist_ok=True)
    store = sqlite3.connect(cache, timeout=_LOCK_SECS)
    try:
        store.execute(_CREATE)
        store.execute("SELECT key, vector FROM vectors LIMIT 1")
    except sqlite3.OperationalError:  # the file itself may be sound
        store.close()
        raise
    except sqlite3.DatabaseError as error:
        log.warning("the cache of embeddings cannot be read and is begun anew: %s", error)
        store.close()
        cache.unlink()
        store = sqlite3.connect(cache, timeout=_LOCK_SECS)
        store.execute(_CREATE)
    return store


def _stored(
    store: sqlite3.Connection, encoder: VectorEncoder, texts: Sequence[str]
) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for text in texts:
        row = store.execute(
            "SELECT vector FROM vectors WHERE key = ?", (_key(encoder, text),)
        ).fetchone()
        if row is not None:
            found[text] = np.frombuffer(row[0], np.float32)
    return found


def _keep(
    store: sqlite3.Connection, encoder: VectorEncoder, texts: Sequence[str], vectors: Floats
) -> None:
    rows = [
        (_key(encoder, text), vector.tobytes()) for text, vector in zip(texts, vectors, strict=True)
    ]
    with suppress(sqlite3.OperationalError), store:  # of a disk that fills up: not kept
        store.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


def _embed(
    encoder: VectorEncoder,
    texts: Sequence[str],
    threads: int,
    sleep: Callable[[float], None],
    keep: Callable[[Sequence[str], Floats], None],
) -> dict[str, Floats]:
    """The vector of each text; ``keep`` is called with every part as it is done."""

    def ask(part: Sequence[str]) -> Floats:
        return retry_blocking(
            lambda: encoder.embed(part), _pause_secs, attempts=_ATTEMPTS, sleep=sleep
        )

    parts = list(in_parts(texts, _PART))
    known: dict[str, Floats] = {}
    bar = tqdm(
        total=len(texts),
        desc="embedding",
        unit="line",
        disable=not sys.stderr.isatty(),
        leave=False,
    )
    with ThreadPoolExecutor(threads) as pool, bar:
        for part, found in zip(parts, pool.map(ask, parts), strict=True):
            keep(part, found)
            known.update(zip(part, found, strict=True))
            bar.update(len(part))
    return known


def _pause_secs(error: BaseException, _: int) -> float | None:
    """Seconds to wait for an encoder that is away for the time being."""
    if isinstance(error, TierUnavailable) and error.code in _PASSING:
        return _PAUSE_SECS
    return None


def _key(encoder: VectorEncoder, text: str) -> bytes:
    return hashlib.sha256(f"{encoder.identity}\0{text}".encode("utf-8", "surrogatepass")).digest()
