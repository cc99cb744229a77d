"""JSON records that bring labels of their own: ours stand beside them, and both are compared.

As with tables: a member ``target_label`` (or the one that ``--label-column`` names) stays, ours is
``predicted_label`` then.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waybill.cli.label_summary import Summary
from waybill.core.batch import Batch, Passed
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Codec, FieldPlan, Wire

__all__ = ["JsonPieces"]

_PREDICTED = "predicted_"


class JsonPieces:
    """Decodes the pieces of one input; the first with records tells whether there are labels."""

    def __init__(
        self,
        fields: FieldSettings,
        summary: Summary,
        label: str | None = None,
        others: Sequence[FieldSettings] = (),
    ) -> None:
        """``label`` is what ``--label-column`` names; ``others`` are of further labellings."""
        self._fields = fields
        self._others = others
        self._summary = summary
        self._label = label
        self._wire = Wire(FieldPlan(fields, *others))
        self._is_settled = False
        self._known: msgspec.json.Decoder[object] | None = None

    def decode(self, piece: bytes) -> tuple[Codec, Batch]:
        """As `Wire.decode`."""
        codec, batch = self._wire.decode(piece, "application/json")
        if self._is_settled or not len(batch):
            return codec, batch
        self._is_settled = True
        ours = self._settle(batch)
        if ours is self._fields:
            return codec, batch
        self._wire = Wire(FieldPlan(ours, *self._others))
        return self._wire.decode(piece, "application/json")

    def compare(self, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Count known labels against ours."""
        if self._known is None:
            return
        for i, verdict in enumerate(verdicts):
            known = _label_of(self._known, batch, i)
            if known is not None and not isinstance(batch.specials.get(i), Passed):
                self._summary.compare(known, verdict.label)

    def _settle(self, batch: Batch) -> FieldSettings:
        """The names of what is added, by what the first records have."""
        fields = self._fields
        name = self._label or fields.label
        if name == fields.label and fields.relabel:
            return fields
        known = msgspec.field(name=name, default=None)
        kind = msgspec.defstruct("Known", [("label", object, known)])
        decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(kind)
        if any(_label_of(decoder, batch, i) is not None for i in range(len(batch))):
            self._known = decoder
            if name != fields.label:
                return fields
            self._summary.say(
                f"records have a {name!r}: ours is {_PREDICTED}label; fields.relabel replaces them"
            )
            return _predicted(fields)
        if self._label is not None:
            return msgspec.structs.replace(fields, label=self._label)
        return fields


def _predicted(fields: FieldSettings) -> FieldSettings:
    """Every field of ours under another name: the records may have these from an earlier run."""
    names: dict[str, str] = {"label": f"{_PREDICTED}label"}
    for name in ("tier", "confidence", "rule", "reason"):
        if getattr(fields, name) is not None:
            names[name] = _PREDICTED + name
    return msgspec.structs.replace(fields, **names)


def _label_of(decoder: msgspec.json.Decoder[object], batch: Batch, i: int) -> str | None:
    """The label that record ``i`` brings; None where it has none or cannot be read."""
    data = batch.data(i)
    if i not in batch.specials:
        data += b"}"
    try:
        label = getattr(decoder.decode(data), "label", None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return label.strip() or None if isinstance(label, str) else None
