"""The records of one body on their way through Waybill.

``wire`` makes a `Batch` from bytes, ``labelling`` reads only its ``messages`` and ``sources``, and
``wire`` splices the verdicts back into the very same bytes. Most records are ordinary; the few
that are not have an entry in ``specials`` that says how they come out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from waybill.core.errors import NOT_OF_A_RECORD, MalformedError, SlowToReadError
from waybill.core.letting_go import empty_in_turns
from waybill.core.reasons import RecordReason
from waybill.core.records import Verdict

#: Of one body. Full chunks of shippers hold tens of thousands; a body of nothing but `{}` would
#: hold millions, at half a kilobyte each on their way through.
MAX_RECORDS = 250_000
#: What is looked at of a source: no name of a machine, a pod or a service is longer, and who writes
#: records must not choose how much is remembered.
MAX_SOURCE_CHARS = 256


class Passed(msgspec.Struct, gc=False):
    """A record whose bytes pass as they are, without a label; ``reason`` says why.

    ``stop`` is, here as in the other types, the offset behind the record.
    """

    stop: int
    reason: RecordReason


class Spliced(msgspec.Struct, gc=False):
    """A record that gets its label, though it is not quite as others are.

    ``reason`` says why it has no message; it is None where only the record's spelling is special.
    ``taken`` are names of ours that the record uses for itself: they are not added.
    """

    stop: int
    reason: RecordReason | None = None
    taken: frozenset[str] = frozenset()


class Rewritten(msgspec.Struct, gc=False):
    """A record out of which earlier labels were cut; ``data`` stands in for its own bytes.

    ``taken`` are names of ours that stayed in it: those of a labelling that replaces none.
    """

    stop: int
    data: bytes
    reason: RecordReason | None = None
    taken: frozenset[str] = frozenset()


Special = Passed | Spliced | Rewritten


class ScanBudget:
    """How much may be read of a body while others wait for it.

    At most ``records``, and so many bytes by a reader in Python, at up to 0.5 µs each: the fast
    decoders are free, what they refuse is paid for here. A body that costs more is read again on a
    thread, with `UNBOUNDED`.
    """

    __slots__ = ("_left", "records")

    def __init__(self, limit_bytes: float, records: float = math.inf) -> None:
        self._left = limit_bytes
        self.records = records

    def take(self, count: int) -> None:
        """Spend ``count`` bytes.

        Raises:
            SlowToReadError: the budget is spent.
        """
        self._left -= count
        if self._left < 0:
            raise SlowToReadError


#: A budget without an end; it may be shared.
UNBOUNDED = ScanBudget(math.inf)


class Batch:
    """The records of one body, in order, as parallel lists of equal length.

    ``messages[i]`` is None where the record has none that can be read; ``sources[i]`` is ``""``
    where unknown. ``starts[i]`` and ``ends[i]`` are offsets into ``body``: for JSON the opening
    and the closing brace, for msgpack the start and the end of the entry's record. ``specials``
    holds, by index, the few records that need more than a splice; their ``ends`` is their ``stop``.
    """

    __slots__ = (
        "body",
        "budget",
        "ends",
        "fault",
        "head_bytes",
        "messages",
        "sources",
        "specials",
        "starts",
        "tag",
        "tail_bytes",
    )

    def __init__(self, body: bytes, tag: str = "", budget: ScanBudget = UNBOUNDED) -> None:
        self.body = body
        self.tag = tag
        self.budget = budget
        self.messages: list[str | None] = []
        self.sources: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.specials: dict[int, Special] = {}
        #: What stands before the first record and is of none: the head of a list around all.
        self.head_bytes = 0
        #: How far an ordinary record reaches beyond its ``ends``: over the closing brace in JSON.
        self.tail_bytes = 0
        #: The first exception for which a record was set aside.
        self.fault: Exception | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def weight(self) -> int:
        """What it takes of memory beside its body, in records."""
        return len(self)

    async def end(self) -> None:
        """Let go of the records in turns, when nobody needs them any more: 250,000 of them take the
        event loop 30 ms where they go at once.
        """
        texts, self.messages = [self.messages], []
        await empty_in_turns(texts)
        offsets, self.starts, self.ends = [self.starts, self.ends], [], []
        await empty_in_turns(offsets)

    def data(self, i: int) -> bytes:
        """The bytes of record ``i`` (an ordinary JSON record without its closing brace)."""
        return self.body[self.starts[i] : self.ends[i]]

    def kept(self, i: int) -> bytes:
        """What goes out of record ``i`` beside what is added: `data`, but for what was cut out."""
        special = self.specials.get(i)
        return special.data if isinstance(special, Rewritten) else self.data(i)

    def begin(self, i: int) -> int:
        """Where what belongs to record ``i`` begins: behind the one before it."""
        return self.ends[i - 1] if i else self.head_bytes

    def alone(self, i: int) -> Batch:
        """A batch of record ``i`` only, with nothing of the others."""
        at = self.begin(i)
        stop = self.ends[i] + self.tail_bytes
        one = Batch(self.body[at:stop], self.tag)
        one.tail_bytes = self.tail_bytes
        one.starts = [self.starts[i] - at]
        one.ends = [self.ends[i] - at]
        self._copy_reading(i, one)
        return one

    def _copy_reading(self, i: int, one: Batch) -> None:
        one.messages = [self.messages[i]]
        one.sources = [self.sources[i]]
        if i in self.specials:
            one.specials = {0: self.specials[i]}

    def set_aside(self, i: int, error: Exception) -> None:
        """Let record ``i`` pass as it came, for handling it raised ``error``."""
        if i not in self.specials:
            self.ends[i] += self.tail_bytes
        self.specials[i] = Passed(self.ends[i], "record_failed")
        self.messages[i] = None
        self.fault = self.fault or error

    def is_set_aside(self, i: int) -> bool:
        """Whether record ``i`` passes because handling it raised."""
        special = self.specials.get(i)
        return special is not None and special.reason == "record_failed"

    def add_with(self, read: Callable[[Batch, int, int], object], start: int, stop: int) -> None:
        """Have ``read(batch, start, stop)`` add the record ``body[start:stop]`` to this batch.

        Whatever that raises costs this record its label, and no other. Raises only what is not
        about the record: `NOT_OF_A_RECORD`.
        """
        count = len(self)
        try:
            read(self, start, stop)
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - kept in the batch: counted and logged
            self._give_up(count, start, stop, error)

    def _give_up(self, i: int, start: int, stop: int, error: Exception) -> None:
        """Let ``body[start:stop]``, the record ``i`` to be, pass as it is: reading it raised."""
        for values in (self.starts, self.ends, self.messages, self.sources):
            del values[i:]
        self.specials.pop(i, None)
        self.add_special(start, Passed(stop, "record_failed"))
        self.fault = self.fault or error

    def check_room(self, more: int) -> None:
        """Make sure that ``more`` records are not too many.

        Raises:
            SlowToReadError: they are more than the budget has.
            MalformedError: ``too_many_records``.
        """
        count = len(self.starts) + more
        if count > MAX_RECORDS:
            raise MalformedError("too_many_records", f"more than {MAX_RECORDS}")
        if count > self.budget.records:
            raise SlowToReadError

    def is_all_malformed(self) -> bool:
        """Whether there are records and not one of them could be read."""
        if not 0 < len(self) == len(self.specials):
            return False
        return all(special.reason == "malformed_record" for special in self.specials.values())

    def has_foreign(self) -> bool:
        """Whether something among the records is not an object."""
        foreign = ("malformed_record", "not_an_object")
        return any(special.reason in foreign for special in self.specials.values())

    def add(self, start: int, end: int, message: str | None, source: str | None) -> None:
        """Append an ordinary record. Raises as `check_room`."""
        self.check_room(1)
        self.starts.append(start)
        self.ends.append(end)
        self.messages.append(message)
        self.sources.append(source or "")

    def add_special(
        self, start: int, special: Special, message: str | None = None, source: str | None = None
    ) -> None:
        """Append a record that needs more than a splice. Raises as `add`."""
        self.specials[len(self.starts)] = special
        self.add(start, special.stop, message, source)


def explain_specials(
    batch: Batch,
    verdicts: list[Verdict],
    passed: Mapping[RecordReason, Verdict],
    specials: Iterable[int],
) -> None:
    """Give records without a readable message, of those in ``specials``, the reason that decoding
    found.

    ``passed`` are the verdicts of records that are not labelled, by reason.
    """
    for i in specials:
        special = batch.specials[i]
        if special.reason is not None and batch.messages[i] is None:
            verdicts[i] = passed[special.reason]
