"""From a prediction to a verdict: the one policy that serves, evaluates and explains."""

from __future__ import annotations

import msgspec

from waybill.core.reasons import Reason
from waybill.core.records import Verdict
from waybill.labelling.tier import Scope


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """The best label of one text, before any threshold on ``confidence`` is applied.

    ``confidence`` is the label's probability in [0, 1]; ``distance`` the mean cosine distance in
    [0, 2] to the nearest training templates; ``is_known`` whether that is within the bundle's
    threshold; ``version`` is ``<bundle>@<version>``.
    """

    label: str
    confidence: float
    distance: float
    is_known: bool
    version: str


class AnswerPolicy(msgspec.Struct, frozen=True):
    """Below ``threshold`` a prediction is not sure enough.

    ``fallback`` is the label that says so.
    """

    threshold: float
    fallback: str

    def verdict(self, prediction: Prediction, scope: Scope) -> Verdict:
        """The verdict: the fallback where the best label is unknown, unsure or not permitted."""
        confidence = round(float(prediction.confidence), 4)
        version = prediction.version
        doubt = self._doubt(prediction, scope)
        if doubt is not None:
            guess = prediction.label
            return Verdict(self.fallback, "none", confidence, version, doubt, guess=guess)
        if prediction.label == self.fallback:
            return Verdict(self.fallback, "model", confidence, version, "none_of_these")
        return Verdict(prediction.label, "model", confidence, version)

    def _doubt(self, prediction: Prediction, scope: Scope) -> Reason | None:
        """Why the label of the prediction is not given; None where it is."""
        if not prediction.is_known:
            return "unknown"
        if prediction.confidence < self.threshold:
            return "low_confidence"
        if prediction.label != self.fallback and not scope.permits(prediction.label):
            return "label_not_permitted"
        return None
