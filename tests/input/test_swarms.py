"""Bodies of very many very small records: each costs hundreds of times its bytes on its way
through.
"""

from __future__ import annotations

import json

import msgpack
import pytest

from tests.conftest import Running
from waybill.core import batch
from waybill.core.batch import MAX_RECORDS
from waybill.core.errors import MalformedError
from waybill.settings.sources import load_settings
from waybill.wire import FieldPlan, Wire
from waybill.wire.json import reader as json_reader
from waybill.wire.msgpack import reader as msgpack_reader

#: The limit while bodies of every form are tried; the last test holds the real one.
FEW = 5000
MANY = FEW + 1
SWARMS = {
    "array of objects": ("application/json", b"[" + b",".join([b"{}"] * MANY) + b"]"),
    "array of messages": ("application/json", b"[" + b",".join([b'{"log":"a"}'] * MANY) + b"]"),
    "array with spaces": ("application/json", b"[ " + b" , ".join([b'{"log":"a"}'] * MANY) + b"]"),
    "array of numbers": ("application/json", b"[" + b",".join([b"1"] * (20 * MANY)) + b"]"),
    "broken array": ("application/json", b"[" + b",".join([b"{}"] * MANY) + b",}"),
    "lines": ("application/json", b"{}\n" * MANY),
    "lines of messages": ("application/json", b'{"log":"a"}\n' * MANY),
    "one after another": ("application/json", b"{}" * MANY),
    "msgpack nothing": ("application/msgpack", b"\xc0" * MANY),
    "msgpack events": ("application/msgpack", msgpack.packb([[0, {}], {"log": "a"}]) * MANY),
}


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batch, json_reader, msgpack_reader):
        monkeypatch.setattr(module, "MAX_RECORDS", FEW)
    monkeypatch.setattr(json_reader, "_MOST_COMMAS", 16 * FEW)


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("name", SWARMS)
def test_a_swarm_of_records_is_refused(name: str) -> None:
    kind, body = SWARMS[name]
    wire = Wire(FieldPlan(load_settings(environ={}).fields))
    with pytest.raises(MalformedError) as error:
        wire.decode(body, kind)
    assert error.value.code == "too_many_records"


async def test_a_swarm_is_answered_413_and_a_large_body_is_not(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        status, body, _ = await sidecar.post(b'{"log":"a"}\n' * (MAX_RECORDS + 1))
        assert (status, json.loads(body)["reason"]) == (413, "too_many_records")
        status, body, _ = await sidecar.post(b'{"a":1}\n' * (MAX_RECORDS // 50))
        assert status == 200
        assert body.count(b"target_label") == MAX_RECORDS // 50
