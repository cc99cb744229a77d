"""``/v1/corrections``: say that a label is wrong, and read what was said."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec
from aiohttp import web

from waybill.api.answers import Questions, as_json, in_turn, no_such
from waybill.api.labellings import of_labelling, read_with_labelling
from waybill.core.correction import encode_correction, moment
from waybill.core.errors import CorrectError, CorrectionsError, MalformedError
from waybill.core.reasons import CorrectCode
from waybill.labelling.corrections.desk import CorrectionRequest, Desk, Taken
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.table import CorrectionTable

__all__ = ["NDJSON", "Backend", "routes"]

NDJSON = "application/x-ndjson"
_WANTED = ", ".join(CorrectionRequest.__struct_fields__)
#: What a correction that is not taken is answered with; all others with 400.
_STATUS: dict[CorrectCode, int] = {
    "mixed": 409,
    "unknown_id": 404,
    "no_path": 409,
    "not_writable": 409,
    "damaged": 409,
    "no_space": 503,
    "busy": 503,
    "too_many": 409,
}


class Backend(msgspec.Struct, frozen=True):
    """What the endpoints need of one labelling: ``reload`` brings what was written in force at
    once, ``in_force`` gives what is, ``count`` counts how each try ended, ``refused`` says why
    files are not taken.
    """

    desk: Desk
    source: CorrectionSource
    reload: Callable[[], Awaitable[None]]
    in_force: Callable[[], CorrectionTable]
    refused: Callable[[], list[str]]
    count: Callable[[str], None]


def routes(questions: Questions, backends: Mapping[str, Backend]) -> list[web.RouteDef]:
    """Both endpoints; ``backends`` by the name of the labelling, the first one's is ``""``."""

    async def correct(request: web.Request) -> web.Response:
        """Say what the label of a message is, or take back what was said."""
        asked = _request_of(await read_with_labelling(questions, request))
        backend = of_labelling(asked.labelling, backends)
        try:
            taken = await backend.desk.take(asked)
        except CorrectError as error:
            backend.count(error.code)
            return _refusal(_with_labelling(error, asked, backends))
        backend = backends.get(taken.correction.labelling, backend)  # of what is taken back
        backend.count("accepted" if taken.is_new else "known")
        await backend.reload()
        return as_json(_describe(taken, backend), 201 if taken.is_new else 200)

    async def export(request: web.Request) -> web.Response:
        """Everything that was said, as NDJSON, or what was said after ``since``."""
        since = _since(request)
        tag = _tag(backends)
        if since is None and request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        try:
            body = await asyncio.to_thread(_export, backends[""].source, since)
        except CorrectionsError as error:
            return _refusal(CorrectError("damaged", str(error.errors[0])))
        headers = {"ETag": tag} if since is None else {}
        return web.Response(body=body, content_type=NDJSON, headers=headers)

    return [web.post("/v1/corrections", correct), web.get("/v1/corrections", in_turn(export))]


def _tag(backends: Mapping[str, Backend]) -> str:
    """An ETag of everything that was said, for whatever labelling."""
    versions = [backend.in_force().history_version for backend in backends.values()]
    return f'"{"-".join(versions)}"'


def _request_of(asked: dict[str, object]) -> CorrectionRequest:
    """Raises MalformedError (``fields``)."""
    unknown = [name for name in asked if name not in CorrectionRequest.__struct_fields__]
    if unknown:
        raise no_such(unknown[0], CorrectionRequest.__struct_fields__)
    try:
        return msgspec.convert(asked, CorrectionRequest)
    except msgspec.ValidationError as error:
        raise MalformedError("fields", f"{error}; expected texts in {_WANTED}") from None


def _with_labelling(
    error: CorrectError, asked: CorrectionRequest, backends: Mapping[str, Backend]
) -> CorrectError:
    """``error``, and of a label that another labelling has, which one that is."""
    if error.code != "label":
        return error
    for name, backend in backends.items():
        if name and backend.desk.knows(asked.label):
            text = f'{error.detail}. It is one of the labelling {name}: add "labelling": "{name}"'
            return CorrectError("label", text, error.more)
    return error


def _refusal(error: CorrectError) -> web.Response:
    status = _STATUS.get(error.code, 400)
    answer = as_json({"reason": error.code, "detail": error.detail, **error.more}, status)
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _describe(taken: Taken, backend: Backend) -> dict[str, object]:
    """The correction, whether it decides here already, and what it takes the place of."""
    one = taken.correction
    table = backend.in_force()
    found = table.find(one.mask, one.source)
    is_in_force = found is not None and found.rule == one.id
    if one.withdraws is not None:
        is_in_force = found is None or found.rule != one.withdraws
    return {
        **msgspec.structs.asdict(one),
        "in_force": is_in_force,
        "refused": backend.refused(),
        "is_disputed": one.id in table.disputed,
        "overrules": msgspec.to_builtins(taken.overrules),
    }


def _since(request: web.Request) -> datetime | None:
    """Raises MalformedError (``fields``)."""
    given = request.query.get("since")
    if given is None:
        return None
    try:
        # A + in a query that nobody has quoted is a blank.
        return moment(given.replace(" ", "+"))
    except ValueError as error:
        detail = f"since: {given[:60]!r} is not a time such as 2026-11-26T10:00:00Z: {error}"
        raise MalformedError("fields", detail) from None


def _export(source: CorrectionSource, since: datetime | None) -> bytes:
    """It blocks, and no other thread for long."""
    history = source.history()
    whole = io.BytesIO()
    for one in history.corrections:
        if since is None or moment(one.at) > since:
            whole.write(encode_correction(one))
    history.clear()
    return whole.getvalue()
