"""How much worse a candidate may be. Light: no numpy, no scikit-learn."""

from __future__ import annotations

import msgspec

__all__ = ["Bounds"]


class Bounds(msgspec.Struct, frozen=True):
    """How much worse a candidate may be; shares in [0, 1].

    ``loss``: of accuracy and macro-F1. ``label_loss``: of one label's F1. ``rejection_loss``: of
    the share of generated fragments that stay unclassified. ``known_loss``: more known lines that
    stay unclassified. ``flips``: of the records of stored patterns; ``label_flips``: of those of
    one label.
    """

    loss: float = 0.005
    label_loss: float = 0.03
    rejection_loss: float = 0.02
    known_loss: float = 0.005
    flips: float = 0.02
    label_flips: float = 0.1
