"""What comes out of labelling: one verdict per record (the records: `waybill.core.batch`)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from waybill.core.names import DecidedBy
from waybill.core.reasons import Reason


class Verdict(msgspec.Struct, eq=False, gc=False, dict=False):
    """What was decided about one record, and by whom. Treat as immutable; hashed by identity.

    ``confidence`` is a probability in [0, 1] (a rule is certain: 1.0), None when nothing was
    estimated. ``rule`` is the rule's id, or ``<bundle>@<version>`` of the model. ``reason`` is a
    bounded code, set when the label is the fallback. ``fields`` are extra fields that the rule
    adds to the record. ``guess`` is the label that was nearest where nobody decided; ``confidence``
    is then its own. ``pattern`` is the id of the record's pattern, where it is to be written.
    ``beside`` are the verdicts of further labellings, in their order.
    """

    label: str
    tier: DecidedBy
    confidence: float | None = None
    rule: str | None = None
    reason: Reason | None = None
    fields: Mapping[str, object] | None = None
    guess: str | None = None
    pattern: str | None = None
    beside: tuple[Verdict, ...] = ()

    def extra_fields(self) -> Mapping[str, object]:
        """The extra fields of all rules that decided, those of the first labelling first."""
        if not self.beside:
            return self.fields or {}
        found: dict[str, object] = {}
        for verdict in (self, *self.beside):
            for name, value in (verdict.fields or {}).items():
                found.setdefault(name, value)
        return found
