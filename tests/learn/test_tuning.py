"""What an encoder is tuned on, what is left out of that, and what is measured then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.taxonomies import TEN, UNCLASSIFIED
from waybill.cli.main import run
from waybill.core.errors import WaybillError
from waybill.learn.corpus.entries import Corpus, load_corpus
from waybill.learn.fitting import folds_of, rows_tested
from waybill.learn.plan import BROAD, CORPUS, DataPlan, TuningPlan
from waybill.learn.training_set import gather
from waybill.learn.tuning_lines import seen_names, split_off, tuning_epochs


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(TEN, CORPUS, [BROAD])


def test_software_is_left_out_whole(corpus: Corpus) -> None:
    split = split_off(corpus, 5)
    assert len(split.tuned) + len(split.left) == len(corpus.entries)
    seen = set(seen_names(split.tuned, corpus.fallback))
    left = set(seen_names(split.left, corpus.fallback))
    assert not seen & left
    assert len(left) / len(seen | left) == pytest.approx(0.2, abs=0.01)
    assert {entry.label for entry in split.left} == {entry.label for entry in corpus.entries}


def test_nothing_is_left_out_when_nothing_is_to_be(corpus: Corpus) -> None:
    assert split_off(corpus, 0).left == []


def test_each_epoch_has_other_lines_and_a_plan_always_the_same(corpus: Corpus) -> None:
    entries = corpus.entries[::40]
    plan = TuningPlan()
    epochs = tuning_epochs(corpus, entries, plan)
    assert epochs == tuning_epochs(corpus, entries, plan)
    texts = [line.text for lines in epochs for line in lines]
    assert len(texts) == len(set(texts))
    assert len(epochs[0]) <= len(entries) * plan.per_none
    assert {line.label for line in epochs[0]} == {entry.label for entry in entries}


def test_each_run_has_other_lines(corpus: Corpus) -> None:
    entries = corpus.entries[::40]
    plan = TuningPlan(epochs=2, runs=2)
    first, second = (tuning_epochs(corpus, entries, plan, run) for run in range(plan.runs))
    same = {line.text for line in first[0]} & {line.text for line in second[0]}
    assert 2 * len(same) < len(first[0])


def test_lines_of_what_is_no_event_have_no_frame(corpus: Corpus) -> None:
    none = [entry for entry in corpus.entries if entry.label == UNCLASSIFIED]
    (lines,) = tuning_epochs(corpus, none[:5], TuningPlan(epochs=1))
    assert not [line for line in lines if "INFO" in line.text or "level=" in line.text]


def test_only_what_was_not_tuned_on_is_tested() -> None:
    groups = np.array(list("aabbccddee"))
    unseen = groups == "b"
    folds = folds_of(groups, unseen)
    assert [(len(train), test.tolist()) for train, test in folds] == [(8, [2, 3])]
    assert rows_tested(folds).tolist() == [2, 3]


@pytest.mark.parametrize("unseen", [None, np.ones(10, bool), np.zeros(10, bool)])
def test_every_group_is_tested_where_the_encoder_knows_none_or_all(
    unseen: np.ndarray[tuple[int], np.dtype[np.bool_]] | None,
) -> None:
    groups = np.array(list("aabbccddee"))
    folds = folds_of(groups, unseen)
    assert rows_tested(folds).tolist() == list(range(10))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tune", "--encoder", "models/default"], "--tune works on --source"),
        (["--tune", "--tune-share", "1.2"], "--tune-share 1.2: expected a number from 0 to 1"),
        (["--tune", "--tune-left-out", "1"], "--tune-left-out 1: expected 2 or more"),
        (["--tune", "--tune-runs", "0"], "--tune-runs 0: expected 1 or more"),
        (["--extra-weight", "0"], "--extra-weight 0.0: expected a number above 0"),
        (["--ngram-weight", "nan"], "--ngram-weight nan: expected a number above 0"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused(tmp_path: Path, options: list[str], told: str) -> None:
    with pytest.raises(WaybillError, match=told):
        run(["model", "train", "--output", str(tmp_path / "x"), *options])


def test_lines_of_further_folders_count_for_less() -> None:
    plan = DataPlan(per_label=20, extra_weight=0.25)
    data = gather(plan, TEN, 42)
    broad = {entry.group for entry in load_corpus(TEN, CORPUS, (BROAD,)).entries if entry.folder}
    weights = {(example.group in broad, example.weight) for example in data.examples}
    assert weights == {(False, 1.0), (True, 0.25)}
    assert data.made["extra_weight"] == 0.25
