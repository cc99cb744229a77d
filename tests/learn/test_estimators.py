"""Joblib files: every listed classifier comes back as it was, and no hostile file runs or harms
anything.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from waybill.core.errors import BundleError
from waybill.learn.estimators.stream import open_joblib
from waybill.learn.estimators.unpickler import load_estimator

RNG = np.random.default_rng(1)
FEATURES = np.abs(RNG.normal(size=(90, 6))).astype(np.float32)
LABELS = np.array(["Error", "User Action", "Security Alert"] * 30)

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: LogisticRegression(random_state=np.random.RandomState(3)),
    "stochastic": lambda: SGDClassifier(loss="log_loss"),
    "sigmoid": lambda: CalibratedClassifierCV(LinearSVC(), cv=3),
    "isotonic": lambda: CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=3),
    "forest": lambda: RandomForestClassifier(4, random_state=1),
    "extra trees": lambda: ExtraTreesClassifier(4, random_state=1),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=3, random_state=1),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=3, random_state=1),
    "adaptive": lambda: AdaBoostClassifier(n_estimators=3, random_state=1),
    "bagging": lambda: BaggingClassifier(n_estimators=3, random_state=1),
    "tree": lambda: DecisionTreeClassifier(max_depth=3),
    "network": lambda: MLPClassifier(5, max_iter=5),
    "bayes": GaussianNB,
    "neighbours": lambda: KNeighborsClassifier(algorithm="brute"),
    "pipeline": lambda: make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
    "one against rest": lambda: OneVsRestClassifier(LogisticRegression()),
    "voting": lambda: VotingClassifier(
        [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], voting="soft"
    ),
    "stacking": lambda: StackingClassifier(
        [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], cv=2
    ),
}


def fitted(name: str, labels: np.ndarray[Any, Any] = LABELS) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rounds are enough here
        return CLASSIFIERS[name]().fit(FEATURES, labels)


@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_a_classifier_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    for labels in (LABELS, LABELS.astype(object)):
        model = fitted(name, labels)
        for protocol in (2, 4, 5):
            joblib.dump(model, tmp_path / "m.joblib", protocol=protocol)
            read: Any = load_estimator(tmp_path / "m.joblib")
            assert np.array_equal(read.predict_proba(FEATURES), model.predict_proba(FEATURES))
            assert read.classes_.tolist() == model.classes_.tolist()


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_compressed_file_is_read(tmp_path: Path, compression: str) -> None:
    joblib.dump(fitted("bayes"), tmp_path / "m", compress=(compression, 3))
    assert load_estimator(tmp_path / "m")


def test_sparse_coefficients_are_read(tmp_path: Path) -> None:
    model = fitted("logistic regression").sparsify()
    joblib.dump(model, tmp_path / "m.joblib")
    read: Any = load_estimator(tmp_path / "m.joblib")
    assert np.array_equal(read.predict_proba(FEATURES), model.predict_proba(FEATURES))


# Hostile files, written instruction by instruction.


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def list_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"l"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def program(*parts: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + b"".join(parts) + b"."


MODEL = name("sklearn.linear_model._logistic", "LogisticRegression")
NEW = MODEL + b")\x81"
SHELL = (text("/bin/sh"), text("-c"), text("touch RAN"))

ATTACKS: dict[str, bytes] = {
    "dotted name of a type": call(
        name("numpy.testing._private.extbuild", "subprocess.Popen"), list_of(*SHELL)
    ),
    "shared object": call(name("numpy.ctypeslib", "ctypes.CDLL"), text("./evil.so")),
    "memory map that empties a file": call(
        name("numpy", "memmap"), text("victim"), text("uint8"), text("w+"), b"K\x00", tuple_of(b"K\x10")
    ),
    "os.system": call(name("os", "system"), text("touch RAN")),
    "posix.system, the old spelling": program(b"cposix\nsystem\n", tuple_of(text("touch RAN")), b"R"),
    "builtins.eval": call(name("builtins", "eval"), text("open('RAN','w')")),
    "builtins.getattr": call(name("builtins", "getattr"), MODEL, text("fit")),
    "dotted name below an allowed class": name(
        "sklearn.linear_model._logistic", "LogisticRegression.fit"
    ),
    "function of an allowed module": call(name("sklearn.calibration", "clone"), NEW),
    "class that an allowed module only imports": name("sklearn.calibration", "Parallel") + b")\x81",
    "numpy.load": call(name("numpy", "load"), text("x.npy")),
    "class with numpy's fromfile": call(name("numpy", "fromfile"), text("victim")),
    "functools.partial": call(name("functools", "partial"), name("os", "system")),
    "joblib's own loader": call(name("joblib", "load"), text("victim")),
    "joblib's cache": name("joblib.memory", "Memory") + b")\x81",
    "a callable transformer": name("sklearn.preprocessing._function_transformer", "FunctionTransformer")
    + b")\x81",
    "INST": b"(" + text("touch RAN") + b"ios\nsystem\n",
    "OBJ": b"(" + name("os", "system") + text("touch RAN") + b"o",
    "NEWOBJ_EX": name("builtins", "object") + b")}\x92",
    "extension registry": b"\x82\x01",
    "persistent reference": text("x") + b"Q",
    "out-of-band buffer": b"\x97",
    "call of a listed class": call(MODEL, text("x")),
    "listed class with arguments": MODEL + tuple_of(text("x")) + b"\x81",
    "call of what was made": NEW + b")R",
    "state for a class": MODEL + b"}" + text("fit") + b"K\x01s" + b"b",
    "slots of a class": MODEL + b"N}" + text("fit") + b"K\x01s" + b"\x86b",
    "slots of an object": NEW + b"N}" + text("coef_") + b"K\x01s" + b"\x86b",
    "attribute in the place of a method": NEW + b"}" + text("predict_proba") + b"K\x01s" + b"b",
    "dunder attribute": NEW + b"}" + text("__class__") + MODEL + b"s" + b"b",
    "function as an attribute": NEW + b"}" + text("coef_") + name("numpy", "dtype") + b"s" + b"b",
    "append to an object": NEW + b"K\x01a",
    "items of an object": NEW + b"K\x01K\x01s",
    "array of a class of its own": call(
        name("numpy._core.multiarray", "_reconstruct"), MODEL, tuple_of(b"K\x00"), b"C\x01b"
    ),
    "generator constructor of another": call(
        name("numpy.random._pickle", "__bit_generator_ctor"), name("os", "abort")
    ),
    "scalar of objects": call(
        name("numpy._core.multiarray", "scalar"),
        call(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88"),
        NEW,
    ),
    "dtype of commas": call(name("numpy", "dtype"), text("O,O"), b"\x89", b"\x88"),
    "dtype of a class": call(name("numpy", "dtype"), MODEL, b"\x89", b"\x88"),
}  # fmt: skip


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_hostile_file_runs_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("victim").write_bytes(b"precious")
    body = ATTACKS[attack]
    Path("x.joblib").write_bytes(body if body[:1] == b"\x80" else program(body))
    before = dict(vars(LogisticRegression))
    with pytest.raises(BundleError) as caught:
        load_estimator(Path("x.joblib"))
    assert caught.value.code == "pickle"
    assert Path("victim").read_bytes() == b"precious"
    assert sorted(path.name for path in Path().iterdir()) == ["victim", "x.joblib"]
    assert dict(vars(LogisticRegression)) == before


class Runs:
    """What a pickle of it does when it is loaded by pickle itself."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return (os.system, ("touch RAN",))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_protocol_of_a_pickle_that_runs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.array([Runs()], dtype=object)
    model = fitted("bayes")
    model.theta_ = values  # an array of objects holds a pickle of its own
    for found in (Runs(), [Runs()], values, model):
        joblib.dump(found, "x.joblib", protocol=protocol)
        with pytest.raises(BundleError):
            load_estimator(Path("x.joblib"))
    assert not Path("RAN").exists()


def broken_tree(change: Callable[[Any], None]) -> Any:
    model = fitted("tree")
    state = model.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    change(state["nodes"])
    kind, arguments, _ = model.tree_.__reduce__()
    model.tree_ = kind(*arguments)
    model.tree_.__setstate__(state)
    return model


def circle(nodes: Any) -> None:
    nodes["left_child"][0] = 0


def far_child(nodes: Any) -> None:
    nodes["right_child"][0] = 1 << 40


def far_feature(nodes: Any) -> None:
    nodes["feature"][0] = 1 << 40


@pytest.mark.parametrize("change", [circle, far_child, far_feature])
def test_a_tree_that_leads_out_of_its_memory_is_refused(
    tmp_path: Path, change: Callable[[Any], None]
) -> None:
    joblib.dump(broken_tree(change), tmp_path / "x.joblib")
    with pytest.raises(BundleError, match="a tree"):
        load_estimator(tmp_path / "x.joblib")


def test_indices_that_compiled_code_trusts_are_checked(tmp_path: Path) -> None:
    neighbours = fitted("neighbours")
    neighbours._y = neighbours._y + 1000
    coefficients = fitted("logistic regression").sparsify()
    coefficients.coef_.indices[0] = 1 << 20
    histograms = fitted("histograms")
    histograms._predictors[0][0].nodes["feature_idx"] = 77
    for model in (neighbours, coefficients, histograms):
        joblib.dump(model, tmp_path / "x.joblib")
        with pytest.raises(BundleError):
            load_estimator(tmp_path / "x.joblib")


@pytest.mark.parametrize("holds_itself", [False, True])
def test_lists_of_the_same_list_are_as_large_as_they_become(
    tmp_path: Path, holds_itself: bool
) -> None:
    estimator = fitted("logistic regression")
    shared: list[object] = [1.0]
    if holds_itself:
        shared.append(shared)
    for _ in range(40):
        shared = [shared, shared]
    estimator.coef_ = shared
    joblib.dump(estimator, tmp_path / "a.joblib")
    with pytest.raises(BundleError, match="becomes too large"):
        load_estimator(tmp_path / "a.joblib")


def test_a_file_does_not_choose_how_many_threads_there_are(tmp_path: Path) -> None:
    forest = fitted("forest")
    forest.n_jobs = 1_000_000
    joblib.dump(forest, tmp_path / "a.joblib")
    assert getattr(load_estimator(tmp_path / "a.joblib"), "n_jobs", 0) is None


def test_a_type_that_hides_object_pointers_is_refused(tmp_path: Path) -> None:
    """Flags that deny the object inside would let bytes be read as pointers."""
    dtype = call(name("numpy", "dtype"), text("V8"), b"\x89", b"\x88")
    objects = call(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
    fields = b"}" + text("a") + tuple_of(objects, b"K\x00") + b"s"
    state = tuple_of(
        b"K\x03", text("|"), b"N", tuple_of(text("a")), fields, b"K\x08", b"K\x01", b"K\x00"
    )
    (tmp_path / "x.joblib").write_bytes(program(dtype, state, b"b"))
    with pytest.raises(BundleError, match="object"):
        load_estimator(tmp_path / "x.joblib")


def test_a_file_that_unpacks_to_a_giant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.joblib").write_bytes(gzip.compress(b"\0" * 1_000_000))
    with pytest.raises(BundleError, match="larger than"):
        open_joblib(tmp_path / "x.joblib", most=100_000)
    with pytest.raises(BundleError, match="larger than"):
        open_joblib(tmp_path / "x.joblib", most=100)


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    joblib.dump(fitted("forest"), whole)
    data = whole.getvalue()
    for at in range(0, len(data) - 1, max(1, len(data) // 60)):
        (tmp_path / "x.joblib").write_bytes(data[:at])
        with pytest.raises(BundleError):
            load_estimator(tmp_path / "x.joblib")


def test_changed_bytes_give_a_classifier_or_a_refusal(tmp_path: Path) -> None:
    whole = io.BytesIO()
    joblib.dump(fitted("logistic regression"), whole)
    chance = np.random.default_rng(7)
    for _ in range(400):
        data = bytearray(whole.getvalue())
        for _ in range(int(chance.integers(1, 4))):
            data[int(chance.integers(len(data)))] = int(chance.integers(256))
        (tmp_path / "x.joblib").write_bytes(data)
        try:
            load_estimator(tmp_path / "x.joblib")
        except BundleError as error:
            assert error.code in {"pickle", "classifier"}


def test_what_is_no_classifier_is_named(tmp_path: Path) -> None:
    for found in (StandardScaler().fit(FEATURES), LogisticRegression(), [1, 2], "text", None):
        joblib.dump(found, tmp_path / "x.joblib")
        with pytest.raises(BundleError, match="not a fitted classifier") as caught:
            load_estimator(tmp_path / "x.joblib")
        assert caught.value.code == "classifier"
    (tmp_path / "x.joblib").write_bytes(pickle.dumps(sparse.csr_matrix((2, 2))))
    with pytest.raises(BundleError):
        load_estimator(tmp_path / "x.joblib")
