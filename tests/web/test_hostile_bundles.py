"""A bundle whose graph is hostile costs its own comparison: the workbench answers meanwhile, and after."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from tests.hub.light import light_bundle
from tests.web.conftest import Client, opened, pattern, settings_for
from waybill.core.child import Ended
from waybill.web import model_trial

_FLOATS, _INTS = TensorProto.FLOAT, TensorProto.INT64
#: 64 TiB of numbers.
_GIANT = [1 << 22, 1 << 22]
_COMPARE = "/models/compare?a=v1.0&b=v1.1"


def graph(nodes: Sequence[onnx.NodeProto], *constants: onnx.TensorProto) -> bytes:
    """An encoder of these nodes, whose result is called ``pooled``."""
    tokens = [
        helper.make_tensor_value_info(name, _INTS, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    pooled = helper.make_tensor_value_info("pooled", _FLOATS, None)
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("stranger", 1)]
    whole = helper.make_graph(nodes, "hostile", tokens, [pooled], constants)
    made: onnx.ModelProto = helper.make_model(whole, ir_version=10, opset_imports=opset)
    return bytes(made.SerializeToString())


def endless() -> bytes:
    """A loop of as many turns as a number of 63 bits counts."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["again"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", _INTS, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", _FLOATS, []),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", _FLOATS, []),
        ],
    )
    loop = helper.make_node("Loop", ["turns", "go", "zero"], ["pooled"], body=body)
    return graph(
        [loop],
        helper.make_tensor("turns", _INTS, [], [(1 << 63) - 1]),
        helper.make_tensor("go", TensorProto.BOOL, [], [True]),
        helper.make_tensor("zero", _FLOATS, [], [0.0]),
        helper.make_tensor("one", _FLOATS, [], [1.0]),
    )


def giant() -> bytes:
    filled = helper.make_node("ConstantOfShape", ["shape"], ["pooled"])
    return graph([filled], helper.make_tensor("shape", _INTS, [2], _GIANT))


def hungry() -> bytes:
    """16 GB, which a machine may have."""
    filled = helper.make_node("ConstantOfShape", ["shape"], ["pooled"])
    return graph([filled], helper.make_tensor("shape", _INTS, [2], [1 << 16, 1 << 16]))


def outside() -> bytes:
    """Its numbers stand in a file of the machine."""
    numbers = onnx.TensorProto(name="numbers", data_type=_FLOATS, dims=[1, 4])
    numbers.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "../../../../../etc/passwd", "length": "16"}.items():
        numbers.external_data.add(key=key, value=value)
    return graph([helper.make_node("Identity", ["numbers"], ["pooled"])], numbers)


def strange() -> bytes:
    node = helper.make_node("RunThis", ["input_ids"], ["pooled"], domain="stranger")
    return graph([node])


HOSTILE = {
    "giant": giant(),
    "hungry": hungry(),
    "outside": outside(),
    "strange": strange(),
    "no graph": b"\x08\x0a" * 1000,
    "empty": b"",
}


def put_version(folder: Path, encoder: bytes | None = None) -> None:
    """A version; with this ``encoder`` in place of a good one."""
    shutil.copytree(light_bundle(), folder)
    if encoder is None:
        return
    (folder / "encoder.onnx").write_bytes(encoder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["sha256"]["encoder.onnx"] = hashlib.sha256(encoder).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(name="client")
async def _client(tmp_path: Path) -> AsyncIterator[Client]:
    settings = settings_for(tmp_path)
    put_version(tmp_path / "versions" / "v1.0")
    follow = replace(
        settings.model.follow, source=str(tmp_path / "versions"), into=str(tmp_path / "followed")
    )
    model = replace(settings.model, follow=follow, path=str(tmp_path / "versions" / "v1.0"))
    async with opened(replace(settings, model=model)) as client:
        await client.put(pattern("User <id> logged in"))
        yield client


async def test_two_good_bundles_are_compared(client: Client, tmp_path: Path) -> None:
    put_version(tmp_path / "versions" / "v1.1")
    status, text = await client.get(_COMPARE)
    assert status == 200
    assert "0 of 100 records a day change their label with v1.1" in text


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_graph_costs_its_own_comparison(
    client: Client, tmp_path: Path, kind: str
) -> None:
    put_version(tmp_path / "versions" / "v1.1", HOSTILE[kind])
    status, text = await client.get(_COMPARE)
    assert status == 200
    banner = html.unescape(text[text.index('class="banner bad"') :])
    said = banner[: banner.index("</p>")]
    assert "versions/v1.1: " in said
    assert said.endswith("[encoder]")
    assert "root:" not in text
    status, _ = await client.get("/models")
    assert status == 200


async def test_a_graph_that_never_ends_is_ended(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_trial, "_SECS", 5.0)
    put_version(tmp_path / "versions" / "v1.1", endless())
    asked = asyncio.create_task(client.get(_COMPARE))
    for path in ("/models", "/", "/patterns"):
        status, _ = await client.get(path)
        assert status == 200
    assert not asked.done()
    status, text = await asked
    assert status == 200
    assert "took more than 5 s and was ended" in text


def test_a_graph_that_crashes_is_told() -> None:
    told = model_trial.why(Ended(-11, b"", b"Fatal Python error: Segmentation fault\n"))
    assert "cannot be run: the comparison was ended by SIGSEGV" in told
    assert model_trial.why(Ended(2, b"", b"")) == "waybill backtest ended with code 2"
