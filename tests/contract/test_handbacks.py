"""What every handback keeps to: done means handed back, and what fails says why.

A further one that pushes joins by one line in `tests.contract.receivers.PUSHES`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.contract.encodings import KINDS, Kind, Record
from tests.contract.receivers import PUSHES, Receiver, open_body
from waybill.core.errors import HandbackError
from waybill.core.names import HandbackName, words
from waybill.core.records import Verdict
from waybill.handback import push
from waybill.handback.handback import Handback
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")
FROM = pytest.mark.parametrize("kind", KINDS, ids=[kind.encoding.value for kind in KINDS])
NAMES = pytest.mark.parametrize("name", PUSHES)


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "RETRY_SECS", 0.01)


@pytest.fixture(name="receiver")
async def _receiver(name: str) -> AsyncIterator[Receiver]:
    receiver = PUSHES[name][1]()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture(name="handback")
async def _handback(name: str, receiver: Receiver) -> AsyncIterator[Handback]:
    handback = PUSHES[name][0](receiver.url, 5.0)
    yield handback
    await handback.close()


async def hand_back(
    handback: Handback, records: Sequence[Record | bytes], kind: Kind = KINDS[0]
) -> bytes | None:
    codec, batch = WIRE.decode(kind.pack(records), kind.content_type, "kube.pod")
    return await handback.hand_back(codec, batch, [VERDICT] * len(batch))


def test_every_handback_has_its_contract() -> None:
    assert {"body", *(name.split()[0] for name in PUSHES)} == set(words(HandbackName))
    for name, (opened, _) in PUSHES.items():
        assert opened("http://127.0.0.1:1/", 1.0).name == name.split()[0]


@FROM
@NAMES
async def test_every_record_arrives_once_in_order_with_its_label(
    handback: Handback, receiver: Receiver, kind: Kind
) -> None:
    records: list[Record | bytes] = [{"log": f"line {i}"} for i in range(20)]
    assert await hand_back(handback, records, kind) is None
    assert [record["log"] for record in receiver.records] == [f"line {i}" for i in range(20)]
    assert all(record["target_label"] == "Error" for record in receiver.records)


@FROM
async def test_the_answer_has_every_record_in_the_encoding_in_which_it_came(kind: Kind) -> None:
    body = await hand_back(open_body("", 1.0), [{"log": "a"}, {"log": "b"}], kind)
    assert body is not None
    assert [(r["log"], r["target_label"]) for r in kind.unpack(body)] == [
        ("a", "Error"),
        ("b", "Error"),
    ]


@FROM
@NAMES
async def test_an_empty_batch_is_done_at_once(
    handback: Handback, receiver: Receiver, kind: Kind
) -> None:
    receiver.trouble = 1
    codec, batch = WIRE.decode(b"", kind.content_type)
    await handback.hand_back(codec, batch, [])
    assert (receiver.trouble, receiver.records) == (1, [])


@NAMES
async def test_passing_trouble_is_waited_out_and_nothing_comes_twice(
    handback: Handback, receiver: Receiver
) -> None:
    receiver.trouble = 3
    await hand_back(handback, [{"log": "a"}, {"log": "b"}])
    assert [record["log"] for record in receiver.records] == ["a", "b"]


@NAMES
async def test_trouble_that_lasts_is_told_with_its_first_and_last_cause(
    name: str, receiver: Receiver
) -> None:
    handback = PUSHES[name][0](receiver.url, 0.3)
    receiver.trouble = 10_000
    with pytest.raises(HandbackError) as caught:
        await hand_back(handback, [{"log": "a"}])
    await handback.close()
    assert caught.value.code in ("unavailable", "closed")
    assert "failed attempts within 0.3 s" in caught.value.detail
    if name != "forward":
        assert caught.value.detail.startswith("the receiver answered 503: still starting; ")


@NAMES
async def test_a_receiver_that_is_not_there_is_told(name: str, receiver: Receiver) -> None:
    url = receiver.url.replace(receiver.url.rstrip("/").rsplit(":", 1)[1], "1")
    handback = PUSHES[name][0](url, 0.2)
    with pytest.raises(HandbackError) as caught:
        await hand_back(handback, [{"log": "a"}])
    await handback.close()
    assert caught.value.code == "connect"
    assert "Error" in caught.value.detail


@NAMES
async def test_it_may_be_closed_before_it_was_used_and_twice(name: str) -> None:
    handback = PUSHES[name][0]("http://127.0.0.1:1/", 1.0)
    await handback.close()
    await handback.close()
    await open_body("", 1.0).close()
