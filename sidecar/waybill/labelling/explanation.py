"""Why a message gets its label: what `waybill.labelling.explain` finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from waybill.core.correction import Overruled
from waybill.core.names import DecidedBy
from waybill.core.reason_words import REASONS
from waybill.core.reasons import Reason
from waybill.labelling.model.bundle import Neighbour


class RouteTaken(msgspec.Struct, frozen=True):
    """The route of the message's source: which sources take it, which labels may be given (None:
    all), which tiers are asked.
    """

    source: Sequence[str]
    labels: Sequence[str] | None
    tiers: Sequence[str]

    @property
    def asks_rules(self) -> bool:
        """Whether rules have a say."""
        return "rules" in self.tiers


class RuleFound(msgspec.Struct, frozen=True):
    """A rule that matches the message, and where it is written."""

    id: str
    label: str
    file: str
    line: int
    mode: str


class CorrectionFound(msgspec.Struct, frozen=True):
    """The correction that decides; who made it, when and why is None where nobody can say."""

    id: str
    is_disputed: bool
    source: str | None = None
    by: str | None = None
    at: str | None = None
    note: str | None = None
    overrules: Overruled | None = None


class Choice(msgspec.Struct, frozen=True):
    """A label that the model thinks of, and how sure it is."""

    label: str
    confidence: float


class ModelAnswer(msgspec.Struct, frozen=True):
    """What the model says of the message, whatever decided."""

    version: str
    label: str
    confidence: float
    #: What a label needs.
    least_confidence: float
    next_best: Sequence[Choice]
    #: From the message to the nearest lines of the training, on average.
    distance: float
    #: Up to this distance the model knows a message.
    farthest_known: float
    is_known: bool
    nearest: Sequence[Neighbour]


class ModelSilence(msgspec.Struct, frozen=True):
    """Why the model cannot answer."""

    version: str
    reason: Reason


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one labelling decides about a message, and every step on the way."""

    label: str
    tier: DecidedBy
    confidence: float | None
    rule: str | None
    reason: Reason | None
    route: RouteTaken
    #: In their order; the first decides, unless it is in shadow mode or its label not allowed.
    rules: Sequence[RuleFound]
    correction: CorrectionFound | None = None
    model: ModelAnswer | ModelSilence | None = None


class Further(NamedTuple):
    """A further labelling: the field of its label, and what it decides."""

    field: str
    decision: Decision


class Explanation(msgspec.Struct, frozen=True):
    """A message and why it gets its label; ``further`` are further labellings by name."""

    source: str
    message: str
    #: The message as tiers read it.
    masked: str
    decision: Decision
    further: Mapping[str, Further] = {}

    def plain(self) -> dict[str, object]:
        """As ``POST /v1/explain`` and ``waybill explain --json`` give it."""
        found: dict[str, object] = {
            "source": self.source,
            "message": self.message,
            "masked": self.masked,
            **_plain(self.decision),
        }
        if self.further:
            found["labellings"] = {
                name: {"field": one.field, **_plain(one.decision)}
                for name, one in self.further.items()
            }
        return found


def _plain(decision: Decision) -> dict[str, object]:
    """A decision, and its reason in words beside the code."""
    found: dict[str, object] = msgspec.to_builtins(decision)
    if decision.reason is not None:
        found |= REASONS[decision.reason]._asdict()
    return found
