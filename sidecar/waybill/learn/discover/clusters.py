"""Masks that mean the same, by the density of their embeddings, and lines of one form in each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from waybill.core.errors import WaybillError
from waybill.labelling.llm.errors import PrivacyError
from waybill.labelling.llm.privacy import MAX_CHARS, Privacy
from waybill.learn.arrays import Floats
from waybill.learn.discover.families import Families
from waybill.learn.discover.forms import Form, form_of, merged
from waybill.learn.discover.seen import Seen

__all__ = ["Group", "groups_of"]

#: Two masks are near up to this cosine distance. Of 2,400 lines of services, masks of one template
#: lie within 0.1, those of different ones mostly above 0.2.
_NEAR = 0.15
#: Forms that are compared with a new one, the latest first.
_MOST_COMPARED = 200


class Group:
    """Lines of one form: the indexes of their masks, the forms, and the records of each form."""

    def __init__(self, cluster: int, index: int, form: Form, records: int) -> None:
        self.cluster = cluster
        self.members = [index]
        self.forms = [form]
        self.records = [records]
        self._merged = form

    def takes(self, index: int, form: Form, records: int) -> bool:
        """Take a line in, if one pattern can stand for it and all others."""
        together = merged(self._merged, form)
        if together is None:
            return False
        self._merged = together
        self.forms.append(form)
        self.records.append(records)
        if self.members[-1] != index:
            self.members.append(index)
        return True


def groups_of(families: Families, vectors: Floats, at_least: int, privacy: Privacy) -> list[Group]:
    """Clusters of families with ``at_least`` records, cut where their lines have different forms.

    ``vectors`` are unit vectors float32[n, dimensions], one for each family. Lines are cleaned by
    ``privacy`` before anything is made of them: a pattern spells no secret.

    Raises:
        WaybillError: scikit-learn is not there.
    """
    by_cluster: dict[int, list[int]] = {}
    clusters = list(_clusters(families.records, vectors, at_least))
    for index, family in enumerate(families.family):
        cluster = clusters[family]
        if cluster >= 0:
            by_cluster.setdefault(cluster, []).append(index)
    groups: list[Group] = []
    for cluster, members in by_cluster.items():
        groups += _cut(cluster, members, families.seen, privacy)
    return groups


def _clusters(records: Sequence[int], vectors: Floats, at_least: int) -> Iterable[int]:
    """The cluster of each family, -1 for none: a family counts as often as it was seen."""
    try:
        from sklearn.cluster import DBSCAN
    except ModuleNotFoundError:
        raise WaybillError(
            "scikit-learn is missing, which finds the clusters; install it with: "
            "pip install 'waybill-sidecar[train]', or use --by llm"
        ) from None
    # On unit vectors the euclidean distance follows from the cosine distance.
    found = DBSCAN(eps=(2 * _NEAR) ** 0.5, min_samples=at_least, algorithm="brute")
    labels: list[int] = found.fit(vectors, sample_weight=list(records)).labels_.tolist()
    return labels


def _cut(
    cluster: int, members: Sequence[int], seen: Sequence[Seen], privacy: Privacy
) -> list[Group]:
    groups: list[Group] = []
    by_length: dict[int, list[Group]] = {}
    for index in members:
        for form in dict.fromkeys(_forms(seen[index], privacy)):
            alike = by_length.setdefault(len(form), [])
            records = seen[index].count
            if not any(group.takes(index, form, records) for group in alike[-_MOST_COMPARED:]):
                alike.append(Group(cluster, index, form, records))
                groups.append(alike[-1])
    return groups


def _forms(one: Seen, privacy: Privacy) -> Iterator[Form]:
    for text in one.texts:
        with contextlib.suppress(PrivacyError):
            yield form_of(privacy.clean(text), is_cut=len(text) > MAX_CHARS)
