"""Records as Fluent entries: ``[time, record]`` or ``[[time, metadata], record]``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgpack

from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.wire.codec import Codec, Encoding
from waybill.wire.event import Event, Record, wrapped
from waybill.wire.moments import event_time, split_seconds
from waybill.wire.msgpack.entries import drop_metadata
from waybill.wire.msgpack.scan import is_map
from waybill.wire.rendered import Context, Rendered

#: What msgpack can hold.
_INTEGERS = range(-(2**63), 2**64)
#: Texts beyond it are put in place by a copy that lets other threads run.
_LARGE_CHARS = 1 << 20


class EntryForm:
    """A stream of entries; without ``metadata`` in the older shape ``[time, record]``."""

    native = frozenset((Encoding.MSGPACK,))
    family = native

    def __init__(self, *, metadata: bool = True) -> None:
        self._metadata = metadata

    def keep(
        self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict], at: Context
    ) -> Rendered:
        """Entries, spliced.

        A value that is not an entry goes as text in one, a record without a time with that of now.
        """
        entries = codec.split(batch, verdicts)
        for i in codec.unfit(batch):
            entries[i] = _text_entry(entries[i], verdicts[i], at)
        if any(is_map(entry[0]) for entry in entries):
            time = event_time(split_seconds(at.now()))
            head = msgpack.packb([time, {}])[:-1]
            entries = [head + entry if is_map(entry[0]) else entry for entry in entries]
        if not self._metadata:
            entries = [drop_metadata(entry) for entry in entries]
        return _rendered(entries, verdicts, at)

    def convert(self, events: Iterable[Event], at: Context) -> Rendered:
        """Each event as an entry; its time is now where it has none."""
        entries: list[bytes] = []
        verdicts: list[Verdict] = []
        for event in events:
            entries.append(at.counted(entry_of(event, at)))
            verdicts.append(event.verdict)
        return _rendered(entries, verdicts, at)


def _rendered(entries: list[bytes], verdicts: Sequence[Verdict], at: Context) -> Rendered:
    return Rendered(
        "application/msgpack",
        [len(entry) for entry in entries],
        lambda start, stop: b"".join(entries[start:stop]),
        lambda i: _text_entry(entries[i], verdicts[i], at),
    )


def entry_of(event: Event, at: Context) -> bytes:
    """``event`` as one entry."""
    moment = event.moment
    if moment is None:
        moment = split_seconds(at.now())
    if event.record is not None:
        try:
            return _pack(moment, event.record)
        except (ValueError, RecursionError):  # nested deeper than the encoder goes
            pass
    return _pack_text(moment, wrapped(event.original, at.plan, event.verdict))


def _text_entry(data: bytes, verdict: Verdict, at: Context) -> bytes:
    return _pack_text(split_seconds(at.now()), wrapped(data, at.plan, verdict))


def _pack_text(moment: tuple[int, int], record: Record) -> bytes:
    """As `_pack`. A record that goes as text may be large, and an encoder copies it in one call."""
    pack = msgpack.Packer().pack
    pieces: list[bytes] = []
    for name, value in record.items():
        pieces.append(pack(name))
        if isinstance(value, str) and len(value) > _LARGE_CHARS:
            text = value.encode()
            pieces += b"\xdb%b" % len(text).to_bytes(4), text
        else:
            pieces.append(pack(_packable(value)))
    head = pack([event_time(moment), {}])[:-1] + msgpack.Packer().pack_map_header(len(record))
    return b"".join((head, *pieces))


def _pack(moment: tuple[int, int], record: Record) -> bytes:
    return bytes(msgpack.packb([event_time(moment), _packable(record)]))


def _packable(value: object) -> object:
    """``value`` with integers that msgpack cannot hold written as strings."""
    if isinstance(value, dict):
        return {key: _packable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_packable(item) for item in value]
    if isinstance(value, int) and value not in _INTEGERS:
        return str(value)
    return value
