"""The default bundle predicts sanely, and no tampered bundle loads."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.taxonomies import TEN, UNCLASSIFIED
from waybill.core.errors import BundleError
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle, fingerprint, load_bundle
from waybill.labelling.model.encoders.opening import Encoders

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(ROOT / "models" / "default", taxonomy=TEN)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refuse(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder, taxonomy=TEN)
    return caught.value.code


@pytest.mark.parametrize(
    ("message", "label"),
    [
        (
            "Failed password for invalid user test from 203.0.113.9 port 41022 ssh2",
            "Security Alert",
        ),
        (
            '203.0.113.9 - - [20/Nov/2026:10:00:00 +0000] "GET /shop HTTP/1.1" 200 512',
            "HTTP Status",
        ),
        ("Out of memory: Killed process 4711 (java) total-vm:8123456kB", "Critical Error"),
        ("Disk usage on /var is 91 %", "Resource Usage"),
        ("DeprecationWarning: foo() is deprecated, use bar()", "Deprecation Warning"),
        ("session opened for user alice by (uid=0)", "User Action"),
    ],
)
def test_the_default_bundle_knows_common_messages(bundle: Bundle, message: str, label: str) -> None:
    (prediction,) = bundle.predict([mask(message)])
    assert (prediction.label, prediction.is_known) == (label, True)
    assert prediction.version == bundle.version
    assert prediction.confidence > 0.5


def test_prose_is_unclassified_and_far(bundle: Bundle) -> None:
    (prediction,) = bundle.predict(["my grandmother told stories about whales by the sea"])
    assert (prediction.label, prediction.is_known) == (UNCLASSIFIED, False)


def test_a_prediction_does_not_depend_on_its_batch(bundle: Bundle) -> None:
    texts = ["disk full", "connection to <ip> refused after 0 attempts " * 4, "ok", ""]
    together = bundle.embed(texts)
    assert together.dtype == np.float32
    for row, text in zip(together, texts, strict=True):
        assert np.array_equal(row, bundle.embed([text])[0])
    assert bundle.classify(together, texts) == [bundle.predict([text])[0] for text in texts]


def test_an_empty_batch_gives_nothing(bundle: Bundle) -> None:
    assert bundle.predict([]) == []


def test_nearest_are_sorted_training_templates(bundle: Bundle) -> None:
    (embedding,) = bundle.embed([mask("Failed password for root from 203.0.113.9 port 22 ssh2")])
    near = bundle.nearest(embedding, 3)
    assert [item.distance for item in near] == sorted(item.distance for item in near)
    assert near[0].label == "Security Alert"


@pytest.mark.parametrize(
    "name",
    ["encoder.onnx", "tokenizer.json", "classifier.onnx", "classifier.joblib", "reference.npy"],
)
def test_a_changed_file_is_refused(bundle_copy: Path, name: str) -> None:
    content = bytearray((bundle_copy / name).read_bytes())
    (bundle_copy / name).write_bytes(content[:-1])
    assert refuse(bundle_copy) == "hash"
    content[len(content) // 2] ^= 1
    (bundle_copy / name).write_bytes(content)
    assert refuse(bundle_copy) == "hash"
    (bundle_copy / name).unlink()
    assert refuse(bundle_copy) == "missing_file"


def test_an_extra_file_is_refused_but_dot_entries_are_not_seen(bundle_copy: Path) -> None:
    (bundle_copy / "..data").mkdir()
    assert load_bundle(bundle_copy, taxonomy=TEN).manifest.name == "default"
    (bundle_copy / "notes.txt").write_text("hello")
    assert refuse(bundle_copy) == "extra_file"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: m["labels"].__setitem__(0, "Made Up"), "labels"),
        (lambda m: m["labels"].__setitem__(0, m["labels"][1]), "labels"),
        (lambda m: m["labels"].reverse(), "golden"),
        (lambda m: m["labels"].pop(), "classifier"),
        (lambda m: m["golden"][0].update(label=m["golden"][-1]["label"]), "golden"),
        (lambda m: m.update(golden=[]), "golden"),
        (lambda m: m["classifier"].update(file="classifier.joblib"), "pickle"),
        (lambda m: m["classifier"].update(file="../classifier.onnx"), "manifest"),
        *[
            (lambda m, name=name: m["sha256"].update({name: "0" * 64}), "manifest")
            for name in ("", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "a" * 61, ".cache")
        ],
        (lambda m: m["encoder"].update(shared="../x"), "manifest"),
        (lambda m: m["encoder"].update(shared="/x"), "manifest"),
        (lambda m: m["encoder"].update(shared="a\0"), "manifest"),
        (lambda m: m["sha256"].pop("encoder.onnx"), "manifest"),
        (lambda m: m["sha256"].pop("classifier.joblib"), "extra_file"),
        (lambda m: m["encoder"].update(dimensions=7), "manifest"),
        (lambda m: m["encoder"].update(kind="remote"), "encoder"),
        (lambda m: m["encoder"].update(pooling="cls"), "encoder"),
        (lambda m: m.update(surprise=1), "manifest"),
        (lambda m: m.pop("version"), "manifest"),
    ],
)
def test_a_changed_manifest_is_refused(
    bundle_copy: Path, change: Callable[[dict[str, Any]], object], code: str
) -> None:
    edit_manifest(bundle_copy, change)
    assert refuse(bundle_copy) == code


def test_an_encoder_that_is_open_does_not_hide_what_a_manifest_asks_of_it(
    bundle_copy: Path,
) -> None:
    encoders = Encoders()
    bundle = load_bundle(bundle_copy, taxonomy=TEN, encoders=encoders)
    assert load_bundle(bundle_copy, taxonomy=TEN, encoders=encoders).encoder is bundle.encoder
    edit_manifest(bundle_copy, lambda m: m["encoder"].update(pooling="cls"))
    with pytest.raises(BundleError, match="unknown pooling 'cls'"):
        load_bundle(bundle_copy, taxonomy=TEN, encoders=encoders)


def test_a_manifest_says_whether_the_order_of_members_is_read(bundle_copy: Path) -> None:
    texts = ["event=login outcome=denied user=jane id=<id>"]
    swapped = ["id=<id> user=jane event=login outcome=denied"]
    encoders = Encoders()
    edit_manifest(bundle_copy, lambda m: m["encoder"].update(telling_first=False, reading=0))
    as_it_stands = load_bundle(bundle_copy, taxonomy=TEN, encoders=encoders)
    as_it_stands_vectors = as_it_stands.embed(texts + swapped)
    edit_manifest(bundle_copy, lambda m: m["encoder"].update(telling_first=True, reading=0))
    telling_first = load_bundle(bundle_copy, taxonomy=TEN, encoders=encoders)
    assert telling_first.encoder_hash != as_it_stands.encoder_hash
    one, other = telling_first.embed(texts + swapped)
    assert one.tolist() == other.tolist() == as_it_stands_vectors[0].tolist()
    edit_manifest(bundle_copy, lambda m: m["encoder"].update(reading=2))
    said = load_bundle(bundle_copy, taxonomy=TEN, encoders=encoders)
    assert said.encoder_hash not in (telling_first.encoder_hash, as_it_stands.encoder_hash)
    assert said.embed(texts).tolist() != [one.tolist()]
    assert said.embed(["outcome=denied a=0 user=jane b=-"]).tolist() == (
        as_it_stands.embed(["outcome=denied a=0 user=jane"]).tolist()
    )
    assert as_it_stands_vectors[0].tolist() != as_it_stands_vectors[1].tolist()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_refused(bundle_copy: Path, content: bytes) -> None:
    (bundle_copy / "manifest.json").write_bytes(content)
    assert refuse(bundle_copy) == "manifest"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("encoder.onnx", "encoder"),
        ("tokenizer.json", "encoder"),
        ("classifier.onnx", "classifier"),
        ("reference.npy", "manifest"),
        ("reference.json", "manifest"),
    ],
)
def test_garbage_with_a_right_hash_is_refused(bundle_copy: Path, name: str, code: str) -> None:
    (bundle_copy / name).write_bytes(b"garbage")
    digest = hashlib.sha256(b"garbage").hexdigest()
    edit_manifest(bundle_copy, lambda manifest: manifest["sha256"].update({name: digest}))
    assert refuse(bundle_copy) == code


def test_what_is_no_bundle_of_this_version_says_what_it_may_be(tmp_path: Path) -> None:
    file = tmp_path / "bundle"
    file.write_text("hello")
    with pytest.raises(BundleError, match=r"bundle is not a folder; expected"):
        load_bundle(file, taxonomy=TEN)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(BundleError, match=r"`format`; it may be of a newer Waybill"):
        load_bundle(tmp_path, taxonomy=TEN)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refuse(tmp_path / "nowhere") == "missing_file"


class Poison:
    """Creates a marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("name", ["classifier.joblib", "reference.npy"])
def test_a_poisoned_pickle_is_never_run_not_even_with_the_right_hash(
    bundle_copy: Path, name: str
) -> None:
    marker = bundle_copy.parent / "marker"
    poison = pickle.dumps(Poison(marker))
    (bundle_copy / name).write_bytes(poison)
    digest = hashlib.sha256(poison).hexdigest()
    edit_manifest(bundle_copy, lambda manifest: manifest["sha256"].update({name: digest}))
    if name == "classifier.joblib":
        load_bundle(bundle_copy, taxonomy=TEN)
    else:
        assert refuse(bundle_copy) == "manifest"
    assert not marker.exists()


def test_each_file_is_read_once_so_a_swap_after_the_check_changes_nothing(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Path.open

    def counted(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened.append(self.name)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counted)
    # The mark by which a change is noticed is taken before, from a look of its own.
    monkeypatch.setattr("waybill.labelling.model.bundle.fingerprint", lambda _: "")
    load_bundle(bundle_copy, taxonomy=TEN)
    ours = [name for name in opened if (bundle_copy / name).exists()]
    assert len(ours) == len(set(ours))


def test_the_serving_path_imports_no_training_library_and_unpickles_nothing() -> None:
    script = """
import pickle, sys
def refuse(*args, **kwargs): raise AssertionError("unpickled")
pickle.load = pickle.loads = pickle.Unpickler = refuse
from pathlib import Path
import waybill.labelling.model.tier
from waybill.labelling.model.bundle import load_bundle
from tests.taxonomies import TEN
load_bundle(Path("models/default"), taxonomy=TEN).predict(["disk full"])
heavy = {"torch", "sklearn", "joblib", "scipy", "transformers", "onnx", "cloudpickle", "skl2onnx"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_fingerprint_changes_with_manifest_and_files_and_never_raises(
    bundle_copy: Path,
) -> None:
    marks = {fingerprint(bundle_copy), fingerprint(bundle_copy)}
    edit_manifest(bundle_copy, lambda manifest: manifest.update(version="other"))
    marks.add(fingerprint(bundle_copy))
    (bundle_copy / "classifier.onnx").write_bytes(b"x")
    marks.add(fingerprint(bundle_copy))
    (bundle_copy / "manifest.json").unlink()
    marks.add(fingerprint(bundle_copy))
    marks.add(fingerprint(bundle_copy / "manifest.json"))
    assert len(marks) >= 4
