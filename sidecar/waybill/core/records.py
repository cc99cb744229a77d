"""What travels through Waybill: a batch of records in, one verdict per record out.

``wire`` makes a `Batch` from bytes, ``labelling`` reads only its ``messages`` and ``sources`` and
gives a `Verdict` for each, ``wire`` splices the verdicts back into the very same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from waybill.core.errors import LaboriousError, MalformedError
from waybill.core.names import DecidedBy
from waybill.core.reasons import Reason, RecordReason

UNCLASSIFIED = "Unclassified"

#: The closed label set, in the order in which it is documented; the first that fits wins.
LABELS: tuple[str, ...] = (
    "Security Alert",
    "HTTP Status",
    "Critical Error",
    "Resource Usage",
    "Deprecation Warning",
    "Workflow Error",
    "User Action",
    "Error",
    "System Notification",
    UNCLASSIFIED,
)


class Verdict(msgspec.Struct, eq=False, gc=False, dict=False):
    """What was decided about one record, and by whom. Treat as immutable; hashed by identity.

    ``confidence`` is a probability in [0, 1] (a rule is certain: 1.0), None when nothing was
    estimated. ``rule`` is the rule's id, or ``<bundle>@<version>`` of the model. ``reason`` is a
    bounded code, set when the label is ``Unclassified``. ``fields`` are extra fields that the rule
    adds to the record.
    """

    label: str
    tier: DecidedBy
    confidence: float | None = None
    rule: str | None = None
    reason: Reason | None = None
    fields: Mapping[str, object] | None = None


def unclassified(
    reason: Reason,
    tier: DecidedBy = "none",
    *,
    confidence: float | None = None,
    rule: str | None = None,
) -> Verdict:
    """A verdict that says: we do not know, and why."""
    return Verdict(UNCLASSIFIED, tier, confidence, rule, reason)


class Odd(msgspec.Struct, gc=False):
    """A record that cannot be spliced the ordinary way.

    ``reason`` says what is wrong with it; None when only its spelling is odd. ``stop`` is the offset
    behind the record.
    """

    stop: int
    reason: RecordReason | None = None
    #: False: the bytes pass as they are, no label is added.
    is_spliced: bool = True
    #: True: an object without members, so nothing to put a comma behind.
    is_bare: bool = False
    #: False: a strict parser would refuse these bytes.
    is_strict: bool = True
    #: Names of ours that the record already uses for itself.
    taken: frozenset[str] = frozenset()
    #: Stands in for the record's own bytes (when old labels were cut out of it).
    data: bytes | None = None


#: Of one body. Full chunks of shippers hold tens of thousands; a body of nothing but `{}` would hold millions,
#: at half a kilobyte each on their way through.
MAX_RECORDS = 250_000


class Batch:
    """The records of one body, in order, as parallel lists of equal length.

    ``messages[i]`` is None where the record has none that can be read; ``sources[i]`` is ``""``
    where unknown. ``starts[i]`` and ``ends[i]`` are offsets into ``body``: for JSON the opening
    and the closing brace, for msgpack the start and the end of the entry. ``odd`` holds the few
    records that need more than a splice. ``care_bytes`` bounds what may be read with care (`take_care`).
    """

    __slots__ = ("_care_left", "body", "ends", "messages", "odd", "sources", "starts", "tag")

    def __init__(self, body: bytes, tag: str = "", care_bytes: float = math.inf) -> None:
        self.body, self.tag, self._care_left = body, tag, care_bytes
        self.messages: list[str | None] = []
        self.sources: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.odd: dict[int, Odd] = {}

    def __len__(self) -> int:
        return len(self.starts)

    def check(self, more: int) -> None:
        """Raise MalformedError (``too_many_records``) when ``more`` records were too many."""
        if len(self.starts) + more > MAX_RECORDS:
            raise MalformedError("too_many_records", f"more than {MAX_RECORDS}")

    def take_care(self, count: int) -> None:
        """Note that ``count`` bytes go through a reader in Python, up to 0.5 µs each.

        Raises:
            LaboriousError: more than ``care_bytes`` of them.
        """
        self._care_left -= count
        if self._care_left < 0:
            raise LaboriousError

    def is_hopeless(self) -> bool:
        """Whether there are records and not one of them could be read."""
        odd = self.odd.values()
        return 0 < len(self) == len(odd) and all(one.reason == "malformed_record" for one in odd)

    def add(self, start: int, end: int, message: str | None, source: str | None) -> None:
        """Append an ordinary record. Raises MalformedError (``too_many_records``)."""
        self.check(1)
        self.starts.append(start)
        self.ends.append(end)
        self.messages.append(message)
        self.sources.append(source or "")

    def add_odd(
        self, start: int, odd: Odd, message: str | None = None, source: str | None = None
    ) -> None:
        """Append a record that needs `Odd` treatment."""
        self.odd[len(self.starts)] = odd
        self.add(start, odd.stop, message, source)
