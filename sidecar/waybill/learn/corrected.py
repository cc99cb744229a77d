"""Corrections as lines to train on: one for each mask that people settled.

A model reads no sources, so a mask has one label here: that of the correction for every source,
else that on which all its sources agree.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from waybill.core.correction import ANY_SOURCE, Correction, settle
from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.corrections.files import read_history
from waybill.learn.chain import Example

__all__ = ["CORRECTED", "CORRECTED_GROUP", "Corrected", "as_examples", "choose", "read_corrected"]

#: The ``software`` of examples that corrections gave.
CORRECTED = "corrections"
#: How their groups begin: they are trained on, and measured apart.
CORRECTED_GROUP = "\0corrected "


class Corrected(NamedTuple):
    """The label of each corrected mask, and what was left out, by the reason.

    ``contradicting``: masks for whose sources people said different labels. ``other_labels``: masks
    with a label that the taxonomy lacks. ``sha256`` is over masks and labels.
    """

    labels: Mapping[str, str]
    contradicting: int = 0
    other_labels: int = 0

    @property
    def sha256(self) -> str:
        """64 hexadecimal digits that change with what is trained on."""
        digest = hashlib.sha256()
        for mask, label in sorted(self.labels.items()):
            digest.update(f"{mask}\0{label}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def note(self, weight: int) -> dict[str, object]:
        """What a manifest says of it: no text of any line."""
        return {
            "masks": len(self.labels),
            "weight": weight,
            "contradicting": self.contradicting,
            "other_labels": self.other_labels,
            "sha256": self.sha256,
        }


def read_corrected(paths: Sequence[Path], taxonomy: Taxonomy, labelling: str = "") -> Corrected:
    """What stands in the files (or folders) of corrections at ``paths``.

    Raises CorrectionsError for files that cannot be read, WaybillError for one that is not there.
    """
    for path in paths:
        _check_is_there(path)
    history = read_history(paths).corrections
    standing = [one.correction for one in settle(history) if one.correction.labelling == labelling]
    return choose(standing, taxonomy)


def _check_is_there(path: Path) -> None:
    """A file that is not there counts as empty when serving, but here it was named."""
    if not path.exists():
        raise WaybillError(f"{path}: there is no such file or folder of corrections")


def choose(corrections: Iterable[Correction], taxonomy: Taxonomy) -> Corrected:
    """The label of each mask; ``corrections`` stand, one for a mask and source."""
    by_mask: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for one in corrections:
        by_mask[one.mask][one.source] = one.label
    labels: dict[str, str] = {}
    contradicting = 0
    other_labels = 0
    for mask, by_source in by_mask.items():
        said = set(by_source.values())
        if ANY_SOURCE in by_source:
            said = {by_source[ANY_SOURCE]}
        if len(said) > 1:
            contradicting += 1
        elif not said <= set(taxonomy.names):
            other_labels += 1
        else:
            labels[mask] = said.pop()
    return Corrected(labels, contradicting, other_labels)


def as_examples(corrected: Corrected, weight: int) -> list[Example]:
    """``weight`` examples of each mask; they are a group of their own."""
    found: list[Example] = []
    for mask, label in corrected.labels.items():
        found += [Example(mask, label, CORRECTED_GROUP + mask, CORRECTED)] * weight
    return found
