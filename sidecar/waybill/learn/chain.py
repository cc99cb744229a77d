"""The structs that the training steps hand to each other: lines, examples, training set, candidate.

file -> Line -> Example -> TrainingSet -> Candidate -> bundle
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from waybill.labelling.masking import mask

if TYPE_CHECKING:
    from waybill.learn.arrays import Booleans, Features, Floats, Strings

__all__ = [
    "Candidate",
    "Estimator",
    "Example",
    "Fitted",
    "Labelled",
    "Line",
    "Prepared",
    "Regression",
    "TrainingSet",
    "labels_of",
    "masks_of",
]


class Line(NamedTuple):
    """One record of a message file.

    ``message`` is None where the record has none that can be read; ``row`` counts the file's
    records from 1; ``members`` are the record's own columns or members by name.
    """

    message: str | None
    source: str
    label: str | None
    row: int
    members: Mapping[str, object]


class Labelled(Protocol):
    """Whatever has a label."""

    @property
    def label(self) -> str:
        """The label's name."""
        ...


class Example(NamedTuple):
    """One line, its label, the group that a split must not tear apart, and the software
    it is of; it counts as ``weight`` lines when a classifier is fitted. ``folder`` counts the
    folders of the corpus; 0 is the first, and what is of no folder.
    """

    text: str
    label: str
    group: str
    software: str
    weight: float = 1.0
    folder: int = 0


def labels_of(items: Iterable[Labelled]) -> list[str]:
    """The label of each example or verdict, in order."""
    return [item.label for item in items]


def masks_of(examples: Iterable[Example]) -> list[str]:
    """The masked text of each example, in order: what the model reads."""
    return [mask(example.text) for example in examples]


class TrainingSet(NamedTuple):
    """What is trained on, what is only measured on, and where both came from (for the manifest)."""

    examples: list[Example]
    test: list[Example]
    made: dict[str, object]


class Estimator(Protocol):
    """A scikit-learn classifier, as far as it is used here."""

    classes_: Strings

    def fit(
        self, features: Features, labels: Strings, sample_weight: Floats | None = None
    ) -> Estimator:
        """Learn, and give itself."""
        ...

    def predict_proba(self, features: Features) -> Floats:
        """Probabilities, shape (rows, classes)."""
        ...


class Regression(Estimator, Protocol):
    """A logistic regression: shape (classes, columns) and (classes,)."""

    coef_: Floats
    intercept_: Floats


class Prepared(NamedTuple):
    """A training set as arrays of equal length; ``texts`` are masked. ``weights`` say how many
    lines a row counts as, shape (fits, rows): the coefficients of so many fits are averaged.

    ``unseen`` tells the rows of software that the encoder was not tuned on; None where it was not
    tuned at all, or nobody knows.
    """

    texts: list[str]
    embeddings: Floats
    features: Features
    labels: Strings
    templates: Strings
    software: Strings
    weights: Floats
    unseen: Booleans | None


class Fitted(NamedTuple):
    """An estimator with calibrated ``predict_proba``; ``again`` makes unfitted ones like it.

    ``strength`` is the C that was chosen, None for a classifier with parameters of its own.
    """

    estimator: Estimator
    again: Callable[[], Estimator]
    strength: float | None
    macro_f1_by_strength: dict[str, float]


class Candidate(NamedTuple):
    """A fitted classifier that is not yet a bundle.

    ``farthest`` is the cosine distance above which a text is unknown, ``least_confidence`` the
    probability below which it is. ``reference`` are the rows kept as examples of what is known.
    """

    estimator: Estimator
    classifier: str
    farthest: float
    least_confidence: float
    reference: list[int]
    metrics: dict[str, object]
