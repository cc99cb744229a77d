"""Forward messages out of a byte stream that arrives in pieces."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from enum import Enum
from typing import Final, cast

import msgpack

from waybill.core.errors import MalformedError
from waybill.wire.forward.message import Message, parse_message
from waybill.wire.msgpack import scan
from waybill.wire.strangers import FIRST_BYTES, advice

#: Behind a message of more bytes the unpacker is made anew: it never gives memory back.
_LARGE_BYTES = 1 << 20
_NIL, _NEVER = 0xC0, 0xC1


class _More(Enum):
    """Said by a parser that needs more bytes."""

    MORE = 0


_MORE: Final = _More.MORE


class FrameReader:
    """Finds whole messages in a stream that arrives in pieces.

    What has been walked of a message is remembered, so that nothing is walked again from its start
    for each piece that arrives, be it one big value or one of thousands of entries.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)
        #: Offset in the buffer of the unpacker's own offset 0.
        self._shift = 0
        #: In a value nested deeper than the library goes, which is walked in Python.
        self.is_deep = False
        self._parser = self._parse()

    def feed(self, data: bytes) -> Iterator[Message | None]:
        """The messages that ``data`` completes; None where others should have a turn.

        Raises:
            MalformedError: ``malformed_frame``, ``unsupported_signal``,
                ``unsupported_encoding``, or ``too_large`` when a message exceeds the limit.
        """
        self._buffer += data
        self._unpacker.feed(data)
        while (found := next(self._parser)) is not _MORE:
            yield found
        if len(self._buffer) > self._limit:
            raise MalformedError("too_large", f"a message of more than {self._limit} bytes")

    def close(self) -> None:
        """Let go of what was read. The parser knows its reader: both would wait for the collector,
        which counts objects, not the megabytes in them.
        """
        self._parser = iter(())
        self._buffer = bytearray()
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)

    def _parse(self) -> Iterator[Message | _More | None]:
        """Gives each whole message, None in between, and `_MORE` whenever more bytes are needed."""
        while True:
            yield from self._until(1)
            if self._buffer[0] == _NIL:  # a heartbeat
                yield from self._value()
            elif scan.is_array(self._buffer[0]):
                message = yield from self._message()
                self._forget()
                yield message
                continue
            else:
                told = advice(bytes(self._buffer[:FIRST_BYTES]), "forward")
                raise MalformedError("malformed_frame", told or "a message is an array")
            self._forget()

    def _forget(self) -> None:
        """Let go of what has been passed: a message that is being delivered is held once."""
        size = self._at
        del self._buffer[:size]
        if size > _LARGE_BYTES:
            self._unpacker = msgpack.Unpacker(max_buffer_size=0)
            self._unpacker.feed(self._buffer)
        self._shift = -int(self._unpacker.tell())

    def _message(self) -> Generator[_More | None, None, Message]:
        parts = yield from self._array_header()
        if not 2 <= parts <= 4:
            raise MalformedError("malformed_frame", f"a message of {parts} parts")
        marks = [self._at]
        is_list = False
        for part in range(parts):
            yield from self._until(self._at + 1)
            if part == 1 and scan.is_array(self._buffer[self._at]):
                is_list = True
                marks[1] = yield from self._entries()
            else:
                yield from self._value()
            marks.append(self._at)
        # Read where it is, which a buffer allows as bytes do.
        data = cast("bytes", self._buffer)
        return (yield from parse_message(data, marks, is_list=is_list))

    def _entries(self) -> Generator[_More, None, int]:
        """Pass a list of entries; gives the offset of the first."""
        count = yield from self._array_header()
        if count > self._limit:
            raise MalformedError("too_large", f"{count} entries")
        start = self._at
        for _ in range(count):
            yield from self._value()
        return start

    @property
    def held_bytes(self) -> int:
        """What is in memory of a message that is not whole: twice, as the unpacker has a copy.

        Never more than the limit, so that one message of any size can be counted.
        """
        size = len(self._buffer)
        return max(size, min(2 * size, self._limit))

    @property
    def _at(self) -> int:
        return self._shift + int(self._unpacker.tell())

    def _until(self, size: int) -> Iterator[_More]:
        while len(self._buffer) < size:
            yield _MORE

    def _array_header(self) -> Generator[_More, None, int]:
        while True:
            try:
                return int(self._unpacker.read_array_header())
            except msgpack.OutOfData:
                yield _MORE

    def _value(self) -> Iterator[_More]:
        """Pass one value."""
        start = self._at
        while True:
            try:
                self._unpacker.skip()
            except msgpack.OutOfData:
                yield _MORE
            except msgpack.StackError:
                yield from self._deep_value(start)
                return
            except (ValueError, msgpack.UnpackException) as error:
                raise MalformedError("malformed_frame", type(error).__name__) from None
            else:
                return

    def _deep_value(self, at: int) -> Iterator[_More]:
        """Pass the value at ``at``, nested deeper than the library goes."""
        needed = 1
        self.is_deep = True
        while needed:
            yield from self._until(at + 1)
            data = bytes(self._buffer[at:])
            walked = 0
            while needed and walked < len(data):
                run = scan.run_end(data, walked, needed)
                if run > walked:
                    needed -= run - walked
                    walked = run
                    continue
                try:
                    head, payload, nested = scan.header(data, walked)
                except ValueError:  # cut within its head, or never used
                    break
                walked += head + payload
                needed += nested - 1
            at += walked
            if needed and walked < len(data):
                if data[walked] == _NEVER:
                    raise MalformedError("malformed_frame", "FormatError")
                yield _MORE
        yield from self._until(at)
        self.is_deep = False
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)
        self._unpacker.feed(self._buffer[at:])
        self._shift = at
