"""Embeddings kept on disk, so that a second training run embeds only what is new.

One SQLite file; the key is the encoder's identity and the text, so another encoder never answers for it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from sidecar.labelling.model.encoders import VectorEncoder

__all__ = ["default_cache", "embed_cached"]

Floats = npt.NDArray[np.float32]

_PART = 64
#: Rows kept: 500,000 vectors of 384 dimensions are 770 MB; the oldest go first.
MOST_ROWS = 500_000


def default_cache() -> Path:
    """``embeddings.sqlite`` in the user's cache folder (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "waybill" / "embeddings.sqlite"


def embed_cached(encoder: VectorEncoder, texts: Sequence[str], cache: Path | None, threads: int = 2) -> Floats:
    """Unit vectors float32[n, dimensions], in order; from the file ``cache`` where it has them.

    A bar on stderr shows progress on a terminal. What was embedded is kept even if the rest fails.
    """
    if cache is None:
        return _embed(encoder, texts, threads, lambda *_: None)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache)) as store:
        store.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        known: dict[str, Floats] = {}
        for text in set(texts):
            row = store.execute("SELECT vector FROM vectors WHERE key = ?", (_key(encoder, text),)).fetchone()
            if row is not None:
                known[text] = np.frombuffer(row[0], np.float32)
        missing = list(dict.fromkeys(text for text in texts if text not in known))

        def keep(part: Sequence[str], vectors: Floats) -> None:
            rows = [(_key(encoder, text), vector.tobytes()) for text, vector in zip(part, vectors, strict=True)]
            with store:
                store.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

        known.update(zip(missing, _embed(encoder, missing, threads, keep), strict=True))
        with store:
            store.execute("DELETE FROM vectors WHERE rowid <= (SELECT max(rowid) FROM vectors) - ?", (MOST_ROWS,))
    return np.stack([known[text] for text in texts])


def _embed(
    encoder: VectorEncoder, texts: Sequence[str], threads: int, keep: Callable[[Sequence[str], Floats], None]
) -> Floats:
    parts = [texts[at : at + _PART] for at in range(0, len(texts), _PART)]
    vectors = []
    bar = tqdm(total=len(texts), desc="embedding", unit="line", disable=not sys.stderr.isatty(), leave=False)
    with ThreadPoolExecutor(threads) as pool, bar:
        for part, found in zip(parts, pool.map(encoder.embed, parts), strict=True):
            keep(part, found)
            vectors.append(found)
            bar.update(len(part))
    return np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)


def _key(encoder: VectorEncoder, text: str) -> bytes:
    return hashlib.sha256(f"{encoder.identity}\0{text}".encode("utf-8", "surrogatepass")).digest()
