"""The default bundle with an encoder of 100 KB in place of 23 MB, for who only carries bundles."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.taxonomies import TEN
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.manifest import read_bundle_files

__all__ = ["light_bundle"]

_DEFAULT = Path(__file__).parents[2] / "models" / "default"
_ROWS, _DIMENSIONS = 64, 384


@functools.cache
def light_bundle() -> Path:
    """The folder of the bundle, made once; not to be written to."""
    folder = Path(tempfile.mkdtemp(prefix="waybill-light-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    leave_out = shutil.ignore_patterns("encoder.onnx")
    shutil.copytree(_DEFAULT, folder, dirs_exist_ok=True, ignore=leave_out)
    encoder = _encoder()
    (folder / "encoder.onnx").write_bytes(encoder)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    manifest["sha256"]["encoder.onnx"] = hashlib.sha256(encoder).hexdigest()
    _write(folder, manifest)
    manifest["golden"] = _answered(folder, [one["text"] for one in manifest["golden"]])
    _write(folder, manifest)
    return folder


def _write(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _encoder() -> bytes:
    """The mean of a row for each token."""
    table = np.random.default_rng(1).normal(size=(_ROWS, _DIMENSIONS)).astype(np.float32)
    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    pooled = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", _DIMENSIONS])
    nodes = [
        helper.make_node("Mod", ["input_ids", "rows"], ["row"]),
        helper.make_node("Gather", ["table", "row"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["weight"]),
        helper.make_node("Mul", ["vectors", "weight"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "tokens_axis"], ["pooled"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array(_ROWS), "rows"),
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1]), "tokens_axis"),
    ]
    graph = helper.make_graph(nodes, "light", tokens, [pooled], constants)
    opset = [helper.make_opsetid("", 18)]
    made: onnx.ModelProto = helper.make_model(graph, ir_version=10, opset_imports=opset)
    return bytes(made.SerializeToString())


def _answered(folder: Path, texts: list[str]) -> list[dict[str, str]]:
    """The golden messages, as this bundle answers them."""
    manifest, files = read_bundle_files(folder)
    bundle = Bundle(manifest, files, folder=folder, mark="", fallback=TEN.fallback, encoders=None)
    masked = [mask(text) for text in texts]
    found = bundle.classify(bundle.embed(masked), masked)
    return [{"text": text, "label": one.label} for text, one in zip(texts, found, strict=True)]
