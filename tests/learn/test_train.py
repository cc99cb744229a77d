"""A tiny training run, what stands in for its parts, and the corpus it would be made of."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from tests.learn.tiny import DEFAULT_BUNDLE, Tiny, train_tiny, write_tiny
from tests.taxonomies import LABELS, TEN, UNCLASSIFIED
from waybill.cli.main import make_parser, run
from waybill.cli.model_train import plan_of
from waybill.core.errors import BundleError, WaybillError
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import load_bundle
from waybill.learn.bundling import write_classifier
from waybill.learn.chain import Estimator
from waybill.learn.corpus.entries import Balance, load_corpus
from waybill.learn.corpus.expand import expand
from waybill.learn.corpus.generate import NONE_WEIGHT, generate
from waybill.learn.estimators.unpickler import load_estimator
from waybill.learn.fitting import fit_cutoffs, sharpened, temperature
from waybill.learn.training_set import gather


@pytest.fixture
def tiny_corpus(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "corpus")


@pytest.fixture
def trained(tiny: Tiny) -> Path:
    return tiny.bundle


def test_a_tiny_run_gives_a_bundle_that_loads_twice_alike(
    tiny_corpus: Path, tiny: Tiny, tmp_path: Path
) -> None:
    one = json.loads((tiny.bundle / "manifest.json").read_bytes())
    two = train_tiny(tiny_corpus, tmp_path / "two", "--name", "tiny", "--cache", str(tiny.cache))
    assert (one["version"], one["sha256"]) == (two["version"], two["sha256"])
    assert one["metrics"] == two["metrics"]
    bundle = load_bundle(tiny.bundle, taxonomy=TEN)
    assert set(bundle.manifest.labels) == {"Error", "User Action", UNCLASSIFIED}
    (prediction,) = bundle.predict([mask("user alpha logged in from 10.0.0.9")])
    assert prediction.label == "User Action"


def test_what_is_trained_on_an_encoder_reads_as_that_does(
    tiny_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for reading, is_first in ((0, False), (1, True), (2, True)):
        manifest["encoder"]["telling_first"] = is_first
        manifest["encoder"]["reading"] = reading if reading > 1 else 0
        (folder / "manifest.json").write_text(json.dumps(manifest))
        made = train_tiny(tiny_corpus, tmp_path / str(reading), "--encoder", str(folder))
        assert cast("dict[str, object]", made["encoder"])["reading"] == reading


def test_files_are_trained_on_split_and_kept_apart(
    tiny_corpus: Path, tiny: Tiny, tmp_path: Path
) -> None:
    rows = [
        {"log": f"{name} is slow", "target_label": "Error", "kind": "a"}
        for name in ("disk", "tape", "link", "bus")
    ]
    rows += [
        {"log": f"{name} went home", "target_label": "User Action", "kind": "a"}
        for name in ("Al", "Bo", "Cy", "Di")
    ]
    rows += [{"log": "ignored", "target_label": "Error", "kind": "b"}]
    data = tmp_path / "mine.ndjson"
    data.write_text("\n".join(map(json.dumps, rows)))
    gold = tmp_path / "gold.csv"
    lines = [
        f'"cannot reach {thing}, giving up",Error\n'
        for thing in ("alpha", "beta", "gamma", "delta")
    ]
    gold.write_text("log,target_label\n" + "".join(lines))
    manifest = train_tiny(
        tiny_corpus, tmp_path / "mine", "--data", str(data), "--where", "kind=a", "--test-share", "0.25",
        "--keep-apart", str(gold), "--cache", str(tiny.cache),
    )  # fmt: skip
    made = manifest["made"]
    assert made["test"]["lines"] == 2  # type: ignore[index]
    assert made["kept_apart"] >= 1  # type: ignore[index]
    assert manifest["metrics"]["test"]["lines"] == 2  # type: ignore[index]


def test_rows_are_read_where_the_settings_say(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("app,said,kind\nshop,till is shut,Error\n")
    line = [
        "model", "train", "--output", str(tmp_path / "out"), "--data", str(file), "--no-corpus",
        "--keep-apart", str(file),
        "--set", "fields.message=[said]", "--set", "fields.source=[app]",
        "--set", "fields.label=kind",
    ]  # fmt: skip
    given = make_parser().parse_args(line)
    given.command_line = ""
    data = plan_of(given).data
    apart = gather(data, TEN, 1)
    assert (apart.examples, apart.made["kept_apart"]) == ([], 1)
    (example,) = gather(msgspec.structs.replace(data, keep_apart=()), TEN, 1).examples
    assert (example.text, example.label) == (mask("till is shut"), "Error")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["a,till is shut,Error", "a,Jo went home,User Action"], "take more lines"),
        (["a,till is shut,Error", "b,Jo went home,User Action"], "of several sources"),
        (
            ["a,till is shut,Error", "a,no paper,Error", "b,Jo left,User Action"],
            "of several sources",
        ),
    ],
)
def test_too_few_lines_are_told_so(rows: list[str], told: str, tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("\n".join(["source,log,target_label", *rows, ""]))
    line = ["--output", str(tmp_path / "out"), "--data", str(file), "--no-corpus", "--no-cache"]
    with pytest.raises(WaybillError, match=told):
        run(["model", "train", *line])
    assert not (tmp_path / "out").exists()


def test_another_classifier_is_trained_and_answers(
    tiny_corpus: Path, tiny: Tiny, tmp_path: Path
) -> None:
    manifest = train_tiny(
        tiny_corpus, tmp_path / "bayes", "--no-ngrams", "--classifier", "sklearn.naive_bayes.GaussianNB",
        "--cache", str(tiny.cache),
    )  # fmt: skip
    assert manifest["classifier"] == {"file": "classifier.onnx", "ngrams": None}
    (prediction,) = load_bundle(tmp_path / "bayes", taxonomy=TEN).predict(
        [mask("beta crashed with exit code 9")]
    )
    assert prediction.label == "Error"


@pytest.mark.parametrize("name", ["sklearn.svm.LinearSVC", "os.system", "nowhere.Nothing"])
def test_a_classifier_without_probabilities_is_refused(
    tiny_corpus: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(WaybillError, match="--classifier"):
        train_tiny(tiny_corpus, tmp_path / "odd", "--classifier", name)


def test_lines_of_one_label_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "one.csv"
    data.write_text("log,target_label\na,Error\nb,Error\n")
    output = tmp_path / "x"
    named = ["--data", str(data), "--output", str(output), "--encoder", str(DEFAULT_BUNDLE)]
    with pytest.raises(WaybillError, match="two labels"):
        run(["model", "train", "--no-corpus", *named])
    assert not output.exists()


def test_temperature_calms_an_estimator_that_is_too_sure() -> None:
    rng = np.random.default_rng(1)
    labels = np.array(["a", "b"] * 500)
    right = rng.random(1000) < 0.7
    says_a = (labels == "a") == right
    chances = np.where(says_a[:, None], [[0.99, 0.01]], [[0.01, 0.99]]).astype(np.float32)
    factor = temperature(chances, labels, np.unique(labels))
    assert factor < 0.5
    assert sharpened(chances, factor).max(axis=1).mean() == pytest.approx(0.7, abs=0.05)


def test_cutoffs_let_99_of_100_known_lines_pass() -> None:
    labels = np.array(["Error"] * 100 + [UNCLASSIFIED] * 20)
    chances = np.zeros((120, 2), np.float32)
    chances[:100, 0], chances[100:, 1] = np.linspace(0.51, 1, 100), 1
    chances[:, 0] = np.where(chances[:, 1] > 0, 0, chances[:, 0])
    distances = np.linspace(0.1, 0.5, 120).astype(np.float32)
    best = np.array(["Error", UNCLASSIFIED])[chances.argmax(axis=1)]
    cutoffs = fit_cutoffs(best, chances, labels, distances, UNCLASSIFIED)
    assert cutoffs.confidence == 0.5
    assert (distances[:100] <= cutoffs.distance).mean() >= 0.99


@pytest.mark.parametrize(("far", "passes"), [("Error", True), (UNCLASSIFIED, False)])
def test_a_border_that_costs_more_than_it_finds_is_loosened(far: str, passes: bool) -> None:
    labels = np.array(["Error"] * 1000 + [far] * 4)
    best = np.array(["Error"] * 1004)
    distances = np.concatenate([np.linspace(0.1, 0.5, 1000), np.full(4, 0.7)]).astype(np.float32)
    chances = np.full((1004, 2), [0.9, 0.1], np.float32)
    cutoffs = fit_cutoffs(best, chances, labels, distances, UNCLASSIFIED)
    assert (cutoffs.distance > 0.69) is passes


@pytest.mark.parametrize(("right", "kept"), [(30, True), (3, False)])
def test_a_guess_pays_from_one_chance_in_three_on(right: int, kept: bool) -> None:
    labels = np.array(["Error"] * 4000 + ["Error"] * right + ["User Action"] * (40 - right))
    best = np.array(["Error"] * 4040)
    sure = np.concatenate([np.full(4000, 0.9), np.full(40, 0.4)])
    chances = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1).astype(np.float32)
    cutoffs = fit_cutoffs(best, chances, labels, np.full(4040, 0.2), UNCLASSIFIED)
    assert (cutoffs.confidence <= 0.4) is kept


# Importing a classifier that somebody trained elsewhere.


def save_classifier(path: Path, labels: list[str], columns: int) -> Path:
    import joblib
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, columns)).astype(np.float32)
    joblib.dump(
        LogisticRegression().fit(features, [labels[i % len(labels)] for i in range(60)]), path
    )
    return path


def test_an_exported_classifier_comes_back_by_import(trained: Path, tmp_path: Path) -> None:
    arguments = [str(trained / "classifier.joblib"), "--base", str(trained)]
    assert run(["model", "import", *arguments, "--output", str(tmp_path / "two")]) == 0
    one, two = (load_bundle(folder, taxonomy=TEN) for folder in (trained, tmp_path / "two"))
    texts = [mask("user alpha logged in from 10.0.0.9"), "cannot reach beta, giving up"]
    assert [(p.label, p.confidence) for p in one.predict(texts)] == [
        (p.label, p.confidence) for p in two.predict(texts)
    ]


def test_a_pickle_that_runs_something_is_refused(tmp_path: Path) -> None:
    import joblib

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    joblib.dump(Evil(), tmp_path / "evil.joblib")
    with pytest.raises(BundleError) as caught:
        load_estimator(tmp_path / "evil.joblib")
    assert caught.value.code == "pickle"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("labels", "columns", "code"),
    [(["Error", "Nonsense"], 384, "labels"), (["Error", "User Action"], 17, "classifier"),
     (["Error", "User Action"], 384, "golden")],
)  # fmt: skip
def test_a_classifier_that_does_not_fit_is_refused(
    tmp_path: Path, labels: list[str], columns: int, code: str
) -> None:
    path = save_classifier(tmp_path / "c.joblib", labels, columns)
    with pytest.raises(BundleError) as caught:
        run(
            [
                "model",
                "import",
                str(path),
                "--base",
                str(DEFAULT_BUNDLE),
                "--output",
                str(tmp_path / "out"),
            ]
        )
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x04."])
def test_what_is_no_joblib_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.joblib").write_bytes(content)
    with pytest.raises(BundleError):
        load_estimator(tmp_path / "x.joblib")


def test_an_estimator_without_a_graph_is_refused(tmp_path: Path) -> None:
    class Odd:
        def predict_proba(self, rows: object) -> object:
            return rows

    with pytest.raises(BundleError) as caught:
        write_classifier(tmp_path, cast("Estimator", Odd()), np.zeros((2, 3), np.float32))
    assert caught.value.code in {"classifier", "pickle"}


def test_no_generated_line_is_there_twice_and_every_label_is() -> None:
    examples = generate(load_corpus(TEN), per_label=60)
    masks = [mask(example.text) for example in examples]
    assert len(masks) == len(set(masks))
    assert {example.label for example in examples} == set(LABELS)


def test_a_line_that_is_no_event_counts_more(tiny_corpus: Path) -> None:
    examples = generate(load_corpus(TEN, tiny_corpus), per_label=60)
    weights = {label: {e.weight for e in examples if e.label == label} for label in LABELS}
    assert weights.pop(UNCLASSIFIED) == {NONE_WEIGHT}
    assert set().union(*weights.values()) == {1.0}


def test_generation_is_repeatable(tiny_corpus: Path) -> None:
    corpus = load_corpus(TEN, tiny_corpus)
    assert generate(corpus, per_label=60) == generate(corpus, per_label=60)


def test_every_slot_of_the_corpus_is_known() -> None:
    corpus = load_corpus(TEN)
    names = {*corpus.slots, "n", "f", "ip"}
    for template in corpus.entries:
        text = expand(template.text, corpus.slots, random.Random(7))
        assert not [name for name in names if "{" + name + "}" in text], template.text


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{a|a} {{b}}", "a {b}"),
        ("{{y|y} z|{y|y} z}", "y z"),
        ("{x}", "y"),
        ("{{{x}}}", "{y}"),
        ("f() {q w}", "f() {q w}"),
    ],
)
def test_a_template_takes_one_of_each_choice_and_keeps_other_braces(
    template: str, expected: str
) -> None:
    assert expand(template, {"x": ["y"]}, random.Random(1)) == expected


def test_an_unknown_label_is_refused(tiny_corpus: Path) -> None:
    (tiny_corpus / "odd.yaml").write_text('shop:\n  Made Up:\n    - "x"\n')
    with pytest.raises(
        WaybillError, match=r"no such label: Made Up; the labels are Security Alert"
    ):
        load_corpus(TEN, tiny_corpus)


def test_a_balance_names_labels_and_what_is_wanted_of_them(tiny_corpus: Path) -> None:
    (tiny_corpus / "balance.yaml").write_text("Error: {share: 2, levels: ERROR}\n")
    corpus = load_corpus(TEN, tiny_corpus)
    assert corpus.balance_of("Error") == Balance(2.0, "ERROR")
    assert corpus.balance_of("User Action").share == 1.0
    (tiny_corpus / "balance.yaml").write_text("Error: {shares: 2}\n")
    with pytest.raises(WaybillError, match=r"balance\.yaml: .*shares"):
        load_corpus(TEN, tiny_corpus)
    (tiny_corpus / "balance.yaml").write_text("Eror: {share: 2}\n")
    with pytest.raises(WaybillError, match="no such label: Eror"):
        load_corpus(TEN, tiny_corpus)
