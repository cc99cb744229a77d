"""What an encoder is tuned on, what is left out of that, and what is measured then."""

from __future__ import annotations

from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from tests.learn.tiny import DEFAULT_BUNDLE
from tests.taxonomies import TEN, UNCLASSIFIED
from waybill.cli.main import run
from waybill.core.errors import WaybillError
from waybill.core.labels import read_taxonomy
from waybill.labelling.model.bundle import load_bundle
from waybill.learn.candidate import prepare
from waybill.learn.chain import Prepared
from waybill.learn.corpus.entries import Corpus, load_corpus
from waybill.learn.fitting import folds_of, held_out, logistic_regression, rows_tested
from waybill.learn.plan import CORPUS, FURTHER, DataPlan, TrainingPlan, TuningPlan
from waybill.learn.training_set import gather
from waybill.learn.tuning_lines import (
    Part,
    own_part,
    pack_part,
    seen_names,
    split_off,
    tuning_epochs,
)

BANKING = Path(__file__).parents[2] / "packs" / "banking"
NAMES = ("", "banking")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(TEN, CORPUS, FURTHER)


def test_every_fifth_software_is_left_out_with_all_its_templates(corpus: Corpus) -> None:
    split = split_off(corpus, 5)
    assert len(split.tuned) + len(split.left) == len(corpus.entries)
    seen = seen_names(Part(corpus, split.tuned, 1))
    left = seen_names(Part(corpus, split.left, 1))
    assert not seen & left
    assert len(left) / len(seen | left) == pytest.approx(0.2, abs=0.01)
    assert {entry.label for entry in split.left} == {entry.label for entry in corpus.entries}


def test_nothing_is_left_out_when_nothing_is_to_be(corpus: Corpus) -> None:
    assert split_off(corpus, 0).left == []


def test_each_epoch_has_other_lines_and_a_plan_always_the_same(corpus: Corpus) -> None:
    entries = corpus.entries[::40]
    plan = TuningPlan()
    part = Part(corpus, entries, plan.per_template)
    epochs = tuning_epochs([part], plan)
    assert epochs == tuning_epochs([part], plan)
    texts = [line.text for lines in epochs for line in lines]
    assert len(texts) == len(set(texts))
    assert len(epochs[0]) <= len(entries) * plan.per_none
    assert {line.label for line in epochs[0]} == {entry.label for entry in entries}


def test_each_run_has_other_lines(corpus: Corpus) -> None:
    entries = corpus.entries[::40]
    plan = TuningPlan(epochs=2, runs=2)
    part = Part(corpus, entries, plan.per_template)
    first, second = (tuning_epochs([part], plan, run) for run in range(plan.runs))
    same = {line.text for line in first[0]} & {line.text for line in second[0]}
    assert 2 * len(same) < len(first[0])


def test_lines_of_the_fallback_have_no_frame(corpus: Corpus) -> None:
    none = [entry for entry in corpus.entries if entry.label == UNCLASSIFIED]
    (lines,) = tuning_epochs([Part(corpus, none[:5], 2)], TuningPlan(epochs=1))
    assert not [line for line in lines if "INFO" in line.text or "level=" in line.text]


def test_a_pack_is_learned_in_a_labelling_of_its_own(corpus: Corpus) -> None:
    plan = TuningPlan(epochs=1, packs=(BANKING,))
    pack = pack_part(BANKING, plan)
    (lines,) = tuning_epochs([own_part(corpus, plan), pack], plan)
    by_labelling = {
        name: {line.label for line in lines if line.labelling == name} for name in NAMES
    }
    assert by_labelling[""] == set(TEN.names)
    assert by_labelling["banking"] == set(read_taxonomy(BANKING / "labels.yaml").names)
    left = {entry.software for entry in pack.corpus.entries} - seen_names(pack)
    assert len(left) > 20
    assert not left & {entry.software for entry in pack.entries if entry.label != UNCLASSIFIED}


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
        (["--tune", "--tune-epochs", "0"], "--tune-epochs 0: expected 1 or more"),
        (
            ["--extra-weight", "0"],
            "--extra-weight 0: expected numbers from 0 on, one of them above 0",
        ),
        (["--extra-weight", "1", "1,2,3"], "--extra-weight 1,2,3: expected one number, or one for"),
        (["--ngram-weight", "nan"], "--ngram-weight nan: expected a number above 0"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused(tmp_path: Path, options: list[str], told: str) -> None:
    with pytest.raises(WaybillError, match=told):
        run(["model", "train", "--output", str(tmp_path / "x"), *options])


def test_what_would_be_missing_after_an_hour_is_said_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned: list[object] = []
    monkeypatch.setattr(
        "waybill.learn.training_encoder.tune", lambda *_args, **_named: tuned.append(1)
    )
    command = ["model", "train", "--tune", "--output"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "importlib.util.find_spec",
            lambda name, *rest: None if name == "onnxscript" else ModuleSpec(name, None),
        )
        with pytest.raises(WaybillError, match=r"^onnxscript is missing; .*\[train\]"):
            run([*command, str(tmp_path / "x")])
        patch.setattr("importlib.util.find_spec", lambda name, *rest: ModuleSpec(name, None))
        (tmp_path / "file").touch()
        for output in (tmp_path / "file", tmp_path / "file" / "x"):
            with pytest.raises(WaybillError, match=rf"^{output}: .* needs a folder"):
                run([*command, str(output)])
    assert not tuned


def test_lines_of_further_folders_count_for_less(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text('shop:\n  Error:\n    - "till {n} is stuck"\n')
    folders = (FURTHER[0], tmp_path)
    weights = ((0.25, 0.0), (0.5,))
    plan = TrainingPlan("x", DataPlan(per_label=20, corpus_extra=folders, extra_weights=weights))
    data = gather(plan.data, TEN, 42)
    assert data.made["extra_weights"] == [[0.25, 0.0], [0.5]]
    found = {example.folder: example for example in data.examples}
    rows = [found[folder] for folder in range(3)]
    encoder = load_bundle(DEFAULT_BUNDLE, taxonomy=TEN).encoder
    given = prepare(rows, encoder, plan, UNCLASSIFIED).weights
    assert given.tolist() == [[1.0, 0.25, 0.0], [1.0, 0.5, 0.5]]
    assert prepare(rows[:1], encoder, plan, UNCLASSIFIED).weights.tolist() == [[1.0]]


def test_several_weights_give_the_geometric_mean_of_a_fit_with_each() -> None:
    rng = np.random.default_rng(7)
    weights = np.stack([np.ones(60, np.float32), np.repeat(np.array([1, 0.01], np.float32), 30)])
    features = rng.normal(size=(60, 4)).astype(np.float32)
    labels = rng.choice(["Error", "HTTP Status", "User Action"], 60)
    names = np.array([f"g{row}" for row in range(60)])
    data = Prepared([], features, features, labels, names, names, weights, None)
    folds = folds_of(names)
    make = partial(logistic_regression, 1.0, 42)
    each = [held_out(make, data._replace(weights=one[None]), folds) for one in weights]
    mean = np.sqrt(each[0] * each[1])
    expected = mean / mean.sum(axis=1, keepdims=True)
    assert np.abs(each[0] - each[1]).max() > 0.05
    np.testing.assert_allclose(held_out(make, data, folds), expected, atol=1e-4)
