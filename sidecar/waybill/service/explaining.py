"""Why a message gets its labels: the first labelling's way, and that of each further one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waybill.labelling.explain import explain
from waybill.labelling.explanation import Explanation, Further
from waybill.service.opening import Labelling


async def explain_all(labellings: Sequence[Labelling], source: str, message: str) -> Explanation:
    """`waybill.labelling.explain.explain` of the first labelling, with what the further ones decide
    beside it.
    """
    first, *others = labellings
    found = await _explain(first, source, message)
    further: dict[str, Further] = {}
    for labelling in others:
        other = await _explain(labelling, source, message)
        further[labelling.name] = Further(labelling.settings.fields.label, other.decision)
    return msgspec.structs.replace(found, further=further)


async def _explain(labelling: Labelling, source: str, message: str) -> Explanation:
    threshold = labelling.settings.model.threshold
    return await explain(labelling.pipeline, labelling.model, source, message, threshold=threshold)
