"""OTLP's messages as tables, and by them from protobuf to JSON and back.

Field numbers and names as in opentelemetry-proto's logs.proto, common.proto and resource.proto.
Every field that OTLP defines is kept with its value; what it does not define has no name in the
other encoding and is left out. Of a resource and a scope the children are left out as well:
`waybill.wire.convert.otlp_frames` puts them in.
"""

from __future__ import annotations

import re

import msgspec

from waybill.wire.allowance import Allowance
from waybill.wire.otlp import protobuf, scalars
from waybill.wire.otlp.protobuf import LENGTH
from waybill.wire.otlp.scalars import Scalar

#: Messages in one another at most. Protobuf readers give up at 100, and a record is the fourth.
_MAX_DEPTH = 96
_TOO_DEEP = "values are nested too deep"


class Member(msgspec.Struct):
    """A field: its name in JSON, what it holds, and whether it may stand more than once."""

    name: str
    holds: Scalar | Message
    is_repeated: bool = False

    @property
    def wire(self) -> int:
        """Its wire type."""
        return self.holds.wire if isinstance(self.holds, Scalar) else LENGTH


class Message(msgspec.Struct):
    """A message's fields by number; of those of a ``oneof`` only the last counts."""

    members: dict[int, Member] = {}
    is_oneof: bool = False
    numbers: dict[str, int] = {}

    def fill(self, members: dict[int, Member]) -> Message:
        """This message with ``members``; names are known in both spellings."""
        self.members = members
        for number, member in members.items():
            self.numbers[member.name] = number
            self.numbers[re.sub("([A-Z])", r"_\1", member.name).lower()] = number
        return self


_ANY_VALUE = Message(is_oneof=True)
_KEY_VALUE = Message().fill({1: Member("key", scalars.TEXT), 2: Member("value", _ANY_VALUE)})
_ANY_VALUE.fill(
    {
        1: Member("stringValue", scalars.TEXT),
        2: Member("boolValue", scalars.BOOL),
        3: Member("intValue", scalars.INT64),
        4: Member("doubleValue", scalars.DOUBLE),
        5: Member("arrayValue", Message().fill({1: Member("values", _ANY_VALUE, True)})),
        6: Member("kvlistValue", Message().fill({1: Member("values", _KEY_VALUE, True)})),
        7: Member("bytesValue", scalars.BASE64),
    }
)
_ENTITY = Message().fill(
    {
        1: Member("schemaUrl", scalars.TEXT),
        2: Member("type", scalars.TEXT),
        3: Member("idKeys", scalars.TEXT, True),
        4: Member("descriptionKeys", scalars.TEXT, True),
    }
)
_RESOURCE = Message().fill(
    {
        1: Member("attributes", _KEY_VALUE, True),
        2: Member("droppedAttributesCount", scalars.UINT32),
        3: Member("entityRefs", _ENTITY, True),
    }
)
_SCOPE = Message().fill(
    {
        1: Member("name", scalars.TEXT),
        2: Member("version", scalars.TEXT),
        3: Member("attributes", _KEY_VALUE, True),
        4: Member("droppedAttributesCount", scalars.UINT32),
    }
)
#: ResourceLogs and ScopeLogs without their children, which are field 2 of both.
RESOURCE_LOGS = Message().fill(
    {1: Member("resource", _RESOURCE), 3: Member("schemaUrl", scalars.TEXT)}
)
SCOPE_LOGS = Message().fill({1: Member("scope", _SCOPE), 3: Member("schemaUrl", scalars.TEXT)})
LOG_RECORD = Message().fill(
    {
        1: Member("timeUnixNano", scalars.TIME),
        2: Member("severityNumber", scalars.SEVERITY),
        3: Member("severityText", scalars.TEXT),
        5: Member("body", _ANY_VALUE),
        6: Member("attributes", _KEY_VALUE, True),
        7: Member("droppedAttributesCount", scalars.UINT32),
        8: Member("flags", scalars.FLAGS),
        9: Member("traceId", scalars.ID),
        10: Member("spanId", scalars.ID),
        11: Member("observedTimeUnixNano", scalars.TIME),
        12: Member("eventName", scalars.TEXT),
    }
)


def to_members(data: bytes, message: Message) -> dict[str, object]:
    """The ``message`` in protobuf as the members of its JSON object.

    Raises:
        ValueError: it cannot be read, is nested too deep, or holds too many values.
    """
    return _ToMembers(data).read(0, len(data), message, _MAX_DEPTH)


class _ToMembers:
    """One `to_members`: reads where things are, for a copy at each level would add up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._allowance = Allowance()

    def read(self, start: int, end: int, message: Message, depth: int) -> dict[str, object]:
        if not depth:
            raise ValueError(_TOO_DEEP)
        found: dict[str, object] = {}
        repeated: dict[str, list[object]] = {}
        for number, wire, _, at, stop in protobuf.fields(self._data, start, end):
            member = message.members.get(number)
            if member is None or member.wire != wire:
                continue
            value = self._value(at, stop, member.holds, depth)
            if member.is_repeated:
                repeated.setdefault(member.name, []).append(value)
                continue
            if message.is_oneof:
                found.clear()
            found[member.name] = value
        return found | repeated

    def _value(self, at: int, stop: int, holds: Scalar | Message, depth: int) -> object:
        self._allowance.take()
        if isinstance(holds, Scalar):
            return holds.read(self._data[at:stop])
        return self.read(at, stop, holds, depth - 1)


def to_protobuf(members: object, message: Message, depth: int = _MAX_DEPTH) -> bytes:
    """The JSON object ``members`` as ``message`` in protobuf.

    Raises:
        ValueError: it is not an object, has a value of another type, or is nested too deep.
    """
    if not depth:
        raise ValueError(_TOO_DEEP)
    if not isinstance(members, dict):
        raise ValueError("not an object")
    pieces: list[bytes] = []
    for name, value in members.items():
        number = message.numbers.get(name)
        if number is None or value is None:
            continue
        member = message.members[number]
        values = value if member.is_repeated else [value]
        if not isinstance(values, list):
            raise ValueError(f"{name} is not a list")
        pieces += [_write(number, one, member.holds, depth) for one in values]
    return b"".join(pieces)


def _write(number: int, value: object, holds: Scalar | Message, depth: int) -> bytes:
    if not isinstance(holds, Scalar):
        return protobuf.pack_field(number, to_protobuf(value, holds, depth - 1))
    payload = holds.write(value)
    if holds.wire == LENGTH:
        return protobuf.pack_field(number, payload)
    return protobuf.pack_varint(number << 3 | holds.wire) + payload
