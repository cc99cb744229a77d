"""Records that tell all at a glance, and others among them, are read as each would be alone."""

from __future__ import annotations

import itertools
import random

import msgpack
import orjson
import pytest

from waybill.core.batch import Batch
from waybill.settings.schema import FieldSettings
from waybill.wire import Codec, FieldPlan, JsonCodec, MsgpackCodec

PLAIN: dict[str, object] = {"log": "disk full", "source": "db", "n": 1}
OTHERS: list[dict[str, object]] = [
    {"log": "no source", "kubernetes": {"container_name": "web"}},
    {"log": "far source", "host": "h1"},
    {"log": " ", "message": "blank first", "source": "db"},
    {"message": "second path", "source": "db"},
    {"log": "\u00e9clair", "source": "\u00fc"},
    {"log": 5, "msg": "a number first", "source": 7, "service": "s"},
    {"log": "", "source": ""},
    {"source": "mute"},
    {"log": ["a", "list"], "message": "behind a list"},
    {"log": "labelled", "target_label": "Error"},
]
TIME = b"\xd7\x00" + bytes(8)


def bodies_of(records: list[dict[str, object]]) -> dict[str, bytes]:
    """The records in every form that is read list by list, or line by line."""
    texts = [orjson.dumps(record) for record in records]
    entries = [b"\x92" + TIME + msgpack.packb(record) for record in records]
    return {
        "array": b"[%b]" % b",".join(texts),
        "spaced": b"[ %b ]" % b" , ".join(texts),
        "lines": b"\n".join(texts),
        "msgpack": b"".join(entries),
    }


def new_codec(form: str) -> Codec:
    plan = FieldPlan(FieldSettings())
    return MsgpackCodec(plan) if form == "msgpack" else JsonCodec(plan)


def read(batch: Batch) -> list[tuple[str | None, str, str | None]]:
    found: list[tuple[str | None, str, str | None]] = []
    for i, message in enumerate(batch.messages):
        special = batch.specials.get(i)
        found.append((message, batch.sources[i], None if special is None else special.reason))
    return found


@pytest.mark.parametrize("form", ["array", "spaced", "lines", "msgpack"])
def test_records_among_others_are_read_as_alone(form: str) -> None:
    dice = random.Random(3)
    codec = new_codec(form)
    for share in (0.0, 0.1, 0.9):
        for _ in range(20):
            records = [
                dice.choice(OTHERS) if dice.random() < share else PLAIN
                for _ in range(dice.randrange(1, 12))
            ]
            alone = [read(new_codec(form).decode(bodies_of([one])[form])) for one in records]
            together = codec.decode(bodies_of(records)[form])
            assert read(together) == list(itertools.chain.from_iterable(alone))


@pytest.mark.parametrize("form", ["array", "lines", "msgpack"])
def test_ends_are_those_of_the_records(form: str) -> None:
    records = [PLAIN, OTHERS[0], PLAIN, OTHERS[3]]
    bodies = bodies_of(records)
    batch = new_codec(form).decode(bodies[form])
    tail = b"" if form == "msgpack" else b"}"
    found = [batch.data(i) + tail for i in range(len(batch))]
    decode = msgpack.unpackb if form == "msgpack" else orjson.loads
    assert [decode(one) for one in found] == records
