"""JSON that somebody else wrote is read or refused, and with one kind of error."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

from tests.test_layers import modules
from waybill.core.correction import decode_correction
from waybill.core.foreign import MAX_LEVELS, check_levels, read_json
from waybill.core.pattern import decode

DEEP = b'{"unknown":' + b"[" * 5000 + b"]" * 5000 + b"}"
#: What is written by ourselves, or read where a list of errors stands with its reason.
OWN = {
    "waybill.core.foreign",
    "waybill.labelling.llm.prompt",
    "waybill.labelling.rules.loading",
    "waybill.web.jobs",
}


@pytest.mark.parametrize("data", [DEEP, b'{"a":"\xff"}', b"", b"{", b"null", b'{"a":1'])
def test_whatever_it_is_there_is_one_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_json(data, dict[str, object])
    with pytest.raises(msgspec.DecodeError):
        decode(data)
    with pytest.raises(msgspec.DecodeError):
        decode_correction(data)


def test_what_is_kept_is_not_nested_deeper_than_its_readers_go() -> None:
    def nested(levels: int) -> object:
        value: object = []
        for i in range(levels - 1):
            value = [value] if i % 2 else {"a": value}
        return value

    check_levels(nested(MAX_LEVELS))
    check_levels({"a": 1})
    for levels in (MAX_LEVELS + 2, 100_000):
        with pytest.raises(msgspec.DecodeError):
            check_levels(nested(levels))


def _decodes(path: Path) -> bool:
    text = path.read_text()
    if "json" not in text:
        return False
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "msgspec.json.decode":
            return True
    return False


def test_nobody_decodes_in_another_way() -> None:
    found = {
        name
        for name, path in modules().items()
        if _decodes(path) and not name.startswith("waybill.wire.")
    }
    assert found <= OWN, "read_json of waybill.core.foreign, or say here why not"
