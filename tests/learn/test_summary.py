"""What a page about a bundle says of how it was made, beside its figures."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.learn.tiny import Tiny
from waybill.cli.main import run
from waybill.core.errors import WaybillError
from waybill.labelling.model.manifest import Manifest
from waybill.learn.summary import show_manifest


def page_of(bundle: Path, **made: object) -> str:
    """The page of the bundle, were it made so."""
    manifest = msgspec.json.decode((bundle / "manifest.json").read_bytes(), type=Manifest)
    return show_manifest(msgspec.structs.replace(manifest, made=made))


def test_a_bundle_says_which_labels_it_can_never_give(tiny: Tiny) -> None:
    """The tiny corpus has lines of two labels, and the fallback needs none."""
    manifest = msgspec.json.decode((tiny.bundle / "manifest.json").read_bytes(), type=Manifest)
    page = show_manifest(manifest)
    assert "never given  Security Alert, HTTP Status" in page
    assert "Unclassified: no line of it" not in page
    assert "never given" not in page_of(tiny.bundle, labels_without_lines=[])
    assert "never given" not in page_of(tiny.bundle)  # made before this was noted


def test_lines_that_were_left_out_are_counted_with_the_reason(tiny: Tiny) -> None:
    dropped = {"repeated": 102, "contradicting": 0}
    page = page_of(tiny.bundle, dropped=dropped, kept_apart=18)
    assert "left out     18 lines of --keep-apart" in page
    assert "102 lines that differ from another one in values only" in page
    assert "another label" not in page
    assert "left out" not in page_of(tiny.bundle, dropped={"repeated": 0, "contradicting": 0})


def test_test_lines_that_training_had_but_for_values_are_told(tiny: Tiny) -> None:
    manifest = msgspec.json.decode((tiny.bundle / "manifest.json").read_bytes(), type=Manifest)
    metrics = {**manifest.metrics, "test": {"accuracy": 1.0}}
    made = {"test": {"split": "stratified", "lines": 28, "mask_in_training": 27}}
    page = show_manifest(msgspec.structs.replace(manifest, made=made, metrics=metrics))
    assert "27 of these 28 lines differ from one that was trained on in values only" in page


@pytest.mark.parametrize(
    ("library", "extra"),
    [("sklearn", "retrain"), ("skl2onnx.common", "retrain"), ("torch", "train")],
)
def test_the_smallest_extra_that_brings_a_library_is_named(
    library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **_named: object) -> None:
        raise ModuleNotFoundError(name=library)

    monkeypatch.setattr("waybill.learn.train.train", missing)
    with pytest.raises(WaybillError, match=rf"'waybill-sidecar\[{extra}\]'"):
        run(["model", "train", "--output", str(tmp_path / "x")])
