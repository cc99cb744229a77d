"""The label of lines of one form: by people, else by rules in force, a sure model, the LLM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from waybill.labelling.model.answer import Prediction
from waybill.learn.discover.seen import Seen

__all__ = ["Named", "Origin", "name_of", "trusted_from"]

#: Who says what the label is.
Origin: TypeAlias = Literal["people", "rules", "model", "llm"]
#: The model is believed if it is so sure on average, and has an answer for so much of the records.
_LEAST_CONFIDENCE = 0.9
#: And from here on where people have not shown from where it can be believed. Without a word of
#: theirs, all that was wrong of 131 families of a synthetic set lay below (6 records).
_UNJUDGED_CONFIDENCE = 0.98
_LEAST_SHARE = 0.8
#: Where people spoke of so many masks, the model must agree with them so often to be believed at
#: all: of 1,900 families of software without rules it did so in 94 % from a confidence of 0.9 on.
_LEAST_JUDGED = 20
_LEAST_AGREEMENT = 0.99
#: Above every confidence.
_NEVER = 2.0


class Named(NamedTuple):
    """A label, who says so, and how sure that is, in [0, 1]."""

    label: str
    origin: Origin
    confidence: float


def name_of(
    members: Sequence[int],
    alike: Iterable[int],
    near: Iterable[int],
    seen: Sequence[Seen],
    predictions: Sequence[Prediction],
    fallback: str,
    trusted: float = _UNJUDGED_CONFIDENCE,
) -> Named | str:
    """The label of ``members``, or the reason for leaving them out.

    ``alike`` are all masks that read like one of them, ``near`` all of their cluster. The model is
    believed from a confidence of ``trusted`` on.
    """
    known = _known(members, seen) or _known(alike, seen)
    if len(known) > 1:
        return "people gave different labels"
    if known:
        return Named(next(iter(known)), "people", 1.0)
    ruled = _ruled(members, seen)
    if len(ruled) > 1:
        return "rules in force give different labels"
    if ruled:
        return Named(ruled.pop(), "rules", 1.0)
    around = _known(near, seen)
    if around:
        # People spoke of their neighbours only: what they said must be what the model thinks.
        best = _best(members, seen, predictions)
        if len(around) == 1 and best in around:
            return Named(best, "people", 1.0)
        return "people gave their neighbours another label"
    guess = _guess(members, seen, predictions, fallback, trusted)
    if guess is not None:
        return guess
    said: set[str | None] = set()
    for index in members:
        said.add(seen[index].llm)
    label = said.pop()
    if not said and label is not None and label != fallback:
        return Named(label, "llm", 1.0)
    return "nobody knows the label"


def trusted_from(said: Iterable[tuple[str, Prediction]]) -> float:
    """The confidence from which on the model agrees with people, who ``said`` the label of some of
    what it has judged; 0.98 where they said too little to tell, 2.0 where it never agrees.
    """
    judged: list[tuple[float, bool]] = []
    for label, prediction in said:
        if prediction.is_known and prediction.confidence >= _LEAST_CONFIDENCE:
            judged.append((prediction.confidence, prediction.label == label))
    if len(judged) < _LEAST_JUDGED:
        return _UNJUDGED_CONFIDENCE
    found = _NEVER
    right = 0
    judged.sort(reverse=True)
    for count, (confidence, agrees) in enumerate(judged, 1):
        right += agrees
        is_last = count == len(judged) or judged[count][0] < confidence
        if is_last and count >= _LEAST_JUDGED and right >= _LEAST_AGREEMENT * count:
            found = confidence
    return found


def _known(members: Iterable[int], seen: Sequence[Seen]) -> Counter[str]:
    known: Counter[str] = Counter()
    for index in members:
        known.update(seen[index].labels)
    return known


def _ruled(members: Iterable[int], seen: Sequence[Seen]) -> set[str]:
    """The labels that rules in force give to them."""
    labels: set[str] = set()
    for index in members:
        ruled = seen[index].ruled
        if ruled is not None:
            labels.add(ruled[0])
    return labels


def _best(members: Sequence[int], seen: Sequence[Seen], predictions: Sequence[Prediction]) -> str:
    """What the model thinks of most records, sure or not."""
    votes: Counter[str] = Counter()
    for index in members:
        votes[predictions[index].label] += seen[index].count
    return votes.most_common(1)[0][0]


def _guess(
    members: Sequence[int],
    seen: Sequence[Seen],
    predictions: Sequence[Prediction],
    fallback: str,
    trusted: float,
) -> Named | None:
    """The label that the model gives to all members that it knows, if it is sure."""
    label = _best(members, seen, predictions)
    records = answered = 0
    confidence = 0.0
    for index in members:
        one, count = predictions[index], seen[index].count
        records += count
        if not one.is_known:
            continue
        if one.label != label:
            return None
        answered += count
        confidence += one.confidence * count
    if label == fallback or answered < _LEAST_SHARE * records:
        return None
    mean = confidence / answered
    return Named(label, "model", round(mean, 3)) if mean >= trusted else None
