"""Embeddings are computed once per encoder and text, and kept whatever happens to the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from waybill.core.errors import TierUnavailable
from waybill.core.reasons import TierCode
from waybill.learn import embedding_cache
from waybill.learn.embedding_cache import embed_cached


class Counting:
    """Gives the length of a text and remembers what it was asked."""

    def __init__(
        self,
        identity: str = "one",
        *,
        failures: int = 0,
        code: TierCode = "encoder_rate_limited",
    ) -> None:
        self.identity, self.failures, self.code = identity, failures, code
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if self.failures or "poison" in texts:
            self.failures -= 1
            raise TierUnavailable("model", self.code)
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_text_is_embedded_once_and_the_order_is_that_of_the_question(tmp_path: Path) -> None:
    cache, encoder = tmp_path / "deep" / "cache.sqlite", Counting()
    vectors = embed_cached(encoder, ["bb", "a", "bb"], cache)
    assert vectors.tolist() == [[2, 1], [1, 1], [2, 1]]
    assert vectors.dtype == np.float32
    assert embed_cached(encoder, ["a", "ccc", "bb"], cache).tolist() == [[1, 1], [3, 1], [2, 1]]
    assert encoder.asked == ["bb", "a", "ccc"]


def test_another_encoder_is_asked_for_itself(tmp_path: Path) -> None:
    embed_cached(Counting("one"), ["a"], tmp_path / "cache")
    other = Counting("two")
    embed_cached(other, ["a"], tmp_path / "cache")
    assert other.asked == ["a"]


@pytest.mark.parametrize("has_cache", [True, False])
def test_no_texts_give_no_rows(tmp_path: Path, has_cache: bool) -> None:
    assert len(embed_cached(Counting(), [], tmp_path / "cache" if has_cache else None)) == 0


def test_without_a_cache_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert embed_cached(Counting(), ["a", "a"], None).tolist() == [[1, 1], [1, 1]]
    assert list(tmp_path.iterdir()) == []


def test_what_was_done_is_kept_when_the_rest_fails(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(100)] + ["poison"]
    with pytest.raises(TierUnavailable):
        embed_cached(Counting(code="encoder_refused"), texts, tmp_path / "cache", 1)
    encoder = Counting()
    embed_cached(encoder, texts[:-1], tmp_path / "cache", 1)
    assert encoder.asked == texts[64:100]


def test_a_service_gets_time_to_come_back(tmp_path: Path) -> None:
    pauses: list[float] = []
    assert embed_cached(
        Counting(failures=3), ["a"], tmp_path / "cache", sleep=pauses.append
    ).tolist() == [[1, 1]]
    assert len(pauses) == 3
    with pytest.raises(TierUnavailable):
        embed_cached(Counting(failures=10_000), ["b"], tmp_path / "cache", sleep=pauses.append)
    assert sum(pauses) < 800


def test_the_oldest_rows_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_cache, "MOST_ROWS", 3)
    for text in "abcde":
        embed_cached(Counting(), [text], tmp_path / "cache")
    encoder = Counting()
    embed_cached(encoder, list("edcba"), tmp_path / "cache")
    assert encoder.asked == ["b", "a"]


@pytest.mark.parametrize(
    "content", [b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_bytes(content)
    assert embed_cached(Counting(), ["a"], tmp_path / "cache").tolist() == [[1, 1]]
    with sqlite3.connect(tmp_path / "cache") as store:
        assert store.execute("SELECT count(*) FROM vectors").fetchone() == (1,)
    store.close()


@pytest.mark.parametrize("place", ["folder", "file/cache"])
def test_a_place_that_cannot_be_written_ends_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert embed_cached(Counting(), ["a", "bb"], tmp_path / place).tolist() == [[1, 1], [2, 1]]
    assert "nothing is kept" in caplog.text
