"""Why a message gets its labels: the first labelling's way, and that of each further one."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.labelling.explain import explain
from waybill.service.opening import Labelling

#: What is said once, of the message and not of a labelling.
_OF_MESSAGE = ("source", "message", "masked")


async def explain_all(
    labellings: Sequence[Labelling], source: str, message: str
) -> dict[str, object]:
    """`waybill.labelling.explain.explain` of the first labelling; where there are further ones,
    theirs by name under ``labellings``.
    """
    first, *further = labellings
    answer = await _explain(first, source, message)
    if not further:
        return answer
    found: dict[str, dict[str, object]] = {}
    for labelling in further:
        said = await _explain(labelling, source, message)
        for name in _OF_MESSAGE:
            said.pop(name, None)
        found[labelling.name] = {"field": labelling.settings.fields.label, **said}
    answer["labellings"] = found
    return answer


async def _explain(labelling: Labelling, source: str, message: str) -> dict[str, object]:
    threshold = labelling.settings.model.threshold
    return await explain(labelling.pipeline, labelling.model, source, message, threshold=threshold)
