"""Bundles that somebody hostile made: their files are valid, and their hashes are right."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the train extra is not installed")

from onnx import NodeProto, TensorProto, helper, numpy_helper  # noqa: E402

from tests.hub.light import light_bundle  # noqa: E402
from tests.taxonomies import TEN  # noqa: E402
from waybill.core.errors import BundleError  # noqa: E402
from waybill.hub.pull import pull  # noqa: E402
from waybill.labelling.model.batcher import Batcher  # noqa: E402
from waybill.labelling.model.bundle import load_bundle  # noqa: E402
from waybill.labelling.model.encoders import graph  # noqa: E402
from waybill.labelling.model.encoders.sentence import SentenceEncoder  # noqa: E402
from waybill.labelling.model.encoders.tokens import Tokens  # noqa: E402

TOKENIZER = "tokenizer.json"


def bundle_with(folder: Path, **files: bytes) -> Path:
    """The light bundle in ``folder`` with other files, listed as they are."""
    shutil.copytree(light_bundle(), folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name, content in files.items():
        file = name.replace("__", ".")
        (folder / file).write_bytes(content)
        manifest["sha256"][file] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def refused(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder, taxonomy=TEN)
    return caught.value


def classifier(nodes: Sequence[NodeProto], **constants: Any) -> bytes:
    """The classifier of the light bundle; ``nodes`` make ``more``, which its chances get."""
    model = onnx.load(str(light_bundle() / "classifier.onnx"))
    chances = model.graph.output[-1].name
    model.graph.node.extend([*nodes, helper.make_node("Add", [chances, "more"], ["changed"])])
    for name, value in constants.items():
        tensor = numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        model.graph.initializer.append(tensor)
    model.graph.output.append(helper.make_tensor_value_info("changed", TensorProto.FLOAT, None))
    return bytes(model.SerializeToString())


def tokenizer(**changes: Any) -> bytes:
    source = json.loads((light_bundle() / TOKENIZER).read_bytes())
    return json.dumps(source | changes).encode()


def endless() -> bytes:
    """A classifier that counts for ever."""
    scalars = [
        helper.make_tensor_value_info(name, kind, [])
        for name, kind in (("i", TensorProto.INT64), ("on", TensorProto.BOOL))
    ]
    ends = [
        helper.make_tensor_value_info("on_out", TensorProto.BOOL, []),
        helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, []),
    ]
    carried = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["on_out"]),
            helper.make_node("Identity", ["sum"], ["sum_out"]),
        ],
        "body",
        [*scalars, carried],
        ends,
    )
    loop = helper.make_node("Loop", ["times", "yes", "zero"], ["more"], body=body)
    return classifier(
        [loop], times=np.array(1 << 62), yes=np.array(True), zero=np.array(0, np.float32)
    )


# ------------------------------------------------------------------------------------------ graphs


@pytest.mark.parametrize(
    "place", ["weights", "../weights", "{folder}/weights", "pipe", "/dev/zero"]
)
def test_a_graph_has_no_weights_but_those_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for name in ("weights", "../weights"):
        Path(name).write_bytes(bytes(4096))
    os.mkfifo("pipe")
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", place.format(folder=tmp_path / "cwd")),
        ("offset", "0"),
        ("length", "4"),
    ):
        outside.external_data.add(key=key, value=value)
    nodes = [helper.make_node("Identity", ["w"], ["more"])]
    folder = bundle_with(tmp_path / "bundle", classifier__onnx=classifier(nodes, w=outside))
    assert refused(folder).code == "classifier"


def test_a_graph_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_TEXT_SECS", 0.05)
    folder = bundle_with(tmp_path / "bundle", classifier__onnx=endless())
    assert refused(folder).code == "classifier"


@pytest.mark.parametrize("more", [np.nan, np.inf, -np.inf, 1.0, -1.0])
def test_what_is_no_probability_is_none(tmp_path: Path, more: float) -> None:
    nodes = [helper.make_node("Identity", ["w"], ["more"])]
    changed = classifier(nodes, w=np.array(more, np.float32))
    folder = bundle_with(tmp_path / "bundle", classifier__onnx=changed)
    assert refused(folder).code == "classifier"


def test_a_bundle_that_takes_far_more_memory_than_it_has_bytes_is_not_pulled(
    tmp_path: Path,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["more"], keepdims=0),
    ]
    greedy = classifier(nodes, shape=np.array([3 << 28]))  # 3 GB
    (tmp_path / "source").mkdir()
    bundle_with(tmp_path / "source" / "v1.1", classifier__onnx=greedy)
    bundle_with(tmp_path / "source" / "v1.0")
    pulled = pull(str(tmp_path / "source"), tmp_path / "into")
    assert (pulled.version, pulled.refused["v1.1"].code) == ("v1.0", "classifier")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


# --------------------------------------------------------------------------------------- tokenizers


BERT = json.loads((light_bundle() / TOKENIZER).read_bytes())["normalizer"]
ISOLATED = {"type": "Split", "behavior": "Isolated", "invert": False}
SPECIAL = {"SpecialToken": {"id": "[X]", "type_id": 0}}
PANICS = {
    "charsmap": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAAAQAAAP8="}},
    "merges": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}, "added_tokens": []},
    "template": {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [SPECIAL],
            "pair": [],
            "special_tokens": {},
        }
    },
    "unknown": {"model": {"type": "Unigram", "unk_id": None, "vocab": []}, "added_tokens": []},
}


@pytest.mark.parametrize("changes", PANICS.values(), ids=PANICS)
def test_a_tokenizer_at_which_its_library_panics_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = bundle_with(tmp_path / "bundle", tokenizer__json=tokenizer(**changes))
    assert refused(folder).code == "encoder"


def replaces(old: str, new: str, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: old}, "content": new}


def in_turn(*normalizers: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(normalizers)}


@pytest.mark.parametrize(
    "normalizer",
    [
        in_turn(*[replaces("x", "x" * 8)] * 5),
        in_turn(*[in_turn(*[replaces(".", "xx", "Regex")] * 5)] * 2),
        in_turn(*[replaces("", "ab")] * 8),
        in_turn(*[{"type": "Prepend", "prepend": "x" * 100}] * 2),
        in_turn(*[{"type": "ByteLevel"}] * 20),
        in_turn(*[BERT] * 20),
        {"pattern": {"String": "x"}, "content": "x" * 5000},  # an older form
    ],
    ids=["strings", "nested", "empty", "prepend", "bytes", "bert", "untyped"],
)
def test_a_tokenizer_that_makes_much_of_a_text_is_refused(normalizer: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="4096 times as long"):
        Tokens(tokenizer(normalizer=normalizer), 128)


@pytest.mark.parametrize(
    "normalizer",
    [
        None,
        {"type": "Prepend", "prepend": "\u2581"},
        replaces(" {2,}", " ", "Regex"),
        in_turn(
            replaces("``", '"'),
            replaces("''", '"'),
            {"type": "NFKD"},
            {"type": "StripAccents"},
            {"type": "Lowercase"},
        ),
    ],
    ids=["none", "llama", "spaces", "albert"],
)
def test_the_tokenizers_of_well_known_models_are_taken(normalizer: dict[str, Any] | None) -> None:
    assert Tokens(tokenizer(normalizer=normalizer), 128).of("a text")


def test_a_text_has_no_more_tokens_than_the_manifest_says() -> None:
    source = json.loads((light_bundle() / TOKENIZER).read_bytes())["post_processor"]
    source["single"] = [source["single"][0]] * 300 + source["single"][1:]
    with pytest.raises(ValueError, match="128 at most"):
        Tokens(tokenizer(post_processor=source), 128).of("a text")


def test_other_threads_run_while_a_text_becomes_tokens() -> None:
    slow = Tokens(tokenizer(normalizer=replaces("x", "x" * 4000)), 128)
    worker = threading.Thread(target=slow.of, args=["x" * 2000])
    worker.start()
    turns = 0
    while worker.is_alive():
        worker.join(0.001)
        turns += 1
    assert turns > 10


async def test_a_text_at_which_the_tokenizer_panics_costs_its_batch_and_no_more(
    tmp_path: Path,
) -> None:
    """Its search gives up after ten million steps: which a line can bring about."""
    slow = ISOLATED | {"pattern": {"Regex": "(x+x+)+y"}}
    before = json.loads((light_bundle() / TOKENIZER).read_bytes())["pre_tokenizer"]
    both = {"type": "Sequence", "pretokenizers": [slow, before]}
    folder = bundle_with(tmp_path / "bundle", tokenizer__json=tokenizer(pre_tokenizer=both))
    batcher = Batcher(load_bundle(folder, taxonomy=TEN))
    (failed,) = batcher.submit(["x" * 200])
    with pytest.raises(Exception, match="failed"):
        await failed
    (answered,) = batcher.submit(["disk full"])
    assert (await answered).label in TEN
    await batcher.close()


# -------------------------------------------------------------------------------------- other files


def array(shape: tuple[int, ...], descr: str = "|i1", data: bytes = b"\1" * 384) -> bytes:
    file = io.BytesIO()
    head = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    return file.getvalue() + data


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones((1, 384), np.int8))
    return file.getvalue()


ARRAYS: dict[str, Callable[[], bytes]] = {
    "too_large": lambda: array((10**15,)),
    "overflow": lambda: array((1 << 62, 4)),
    "negative": lambda: array((-1, 384)),
    "objects": lambda: array((1, 384), "|O"),
    "floats": lambda: array((1, 96), "<f4"),
    "archive": archive,
    "empty": bytes,
    "nested": lambda: b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000,
    "long_head": lambda: b"\x93NUMPY\x03\x00\xff\xff\xff\x7f(",
    "cut": lambda: array((4090, 384)),
}


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS)
def test_a_reference_set_that_is_none_is_refused(
    tmp_path: Path, content: Callable[[], bytes]
) -> None:
    folder = bundle_with(tmp_path / "bundle", reference__npy=content())
    assert refused(folder).code == "manifest"


# ------------------------------------------------------------------------------ a library's folders


class Library:
    """In the place of sentence-transformers."""

    class SentenceTransformer:
        def __init__(self, *_: object, **__: object) -> None:
            raise AssertionError("it was asked to load the folder")


@pytest.mark.parametrize("kind", ["mine.Evil", "acme/evil--mine.Evil", "os.Evil", "", None, {}])
def test_a_folder_of_a_model_runs_no_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: object
) -> None:
    """The library imports what such a file names, also from the folder or another repository."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", Library)
    modules = [{"idx": 0, "type": "sentence_transformers.models.Transformer"}, {"type": kind}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BundleError, match=r"modules\.json"):
        SentenceEncoder(str(tmp_path), 128)


def test_a_folder_of_a_model_whose_list_is_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", Library)
    os.mkfifo(tmp_path / "modules.json")
    with pytest.raises(BundleError, match="regular file"):
        SentenceEncoder(str(tmp_path), 128)
