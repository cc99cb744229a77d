"""Which of several labellings a request is about: ``labelling``, by default the first one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from aiohttp import web

from waybill.api.answers import Questions
from waybill.core.errors import MalformedError

__all__ = ["LABELLING", "of_labelling", "read_with_labelling"]

T = TypeVar("T")
#: The parameter, or the member of a body.
LABELLING = "labelling"


def of_labelling(name: object, by_name: Mapping[str, T]) -> T:
    """What belongs to the labelling ``name``; the first one's name is empty.

    Raises:
        MalformedError: no labelling has that name (``fields``).
    """
    if isinstance(name, str) and name in by_name:
        return by_name[name]
    names = ", ".join(filter(None, by_name)) or "none but the first, which needs no name"
    shown = repr(name[:60]) if isinstance(name, str) else "what is not a string"
    raise MalformedError("fields", f"labelling: {shown} is not one of the labellings here: {names}")


async def read_with_labelling(questions: Questions, request: web.Request) -> dict[str, object]:
    """What is asked; the labelling may stand in the address as well, as it does where nothing else
    is asked.

    Raises:
        MalformedError: as `Questions.read`; both name one, and not the same (``fields``).
    """
    asked = await questions.read(request)
    named = request.query.get(LABELLING)
    if named is not None and asked.setdefault(LABELLING, named) != named:
        raise MalformedError("fields", "labelling: the address names another one than the body")
    return asked
