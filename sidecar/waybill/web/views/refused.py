"""The page of a request that was refused: it leads on, where a line of text would not."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from waybill.web.kept_forms import SENT_FORM, STALE_FORM, keep_form
from waybill.web.rendering import page
from waybill.web.views.forms import see

_HEADINGS = {
    400: "This cannot be read",
    403: "This is not allowed",
    404: "There is no such page",
    405: "This address only takes forms",
    409: "Something else was faster",
    413: "This is too large",
    415: "This comes in the wrong form",
    500: "Something failed here",
    503: "This does not work now",
}
#: What is refused only for now: the form is kept, and can be sent again.
_NOT_NOW = 503
_SENTENCES = {
    404: "The link may be old, or was cut off. What is kept for a time may have aged out.",
    405: "Open the page that the form is on, and send it from there.",
}


async def refused(request: web.Request, status: int, words: str) -> web.Response:
    """The page for a refusal with this status; ``words`` say why, where somebody wrote it."""
    kept = request.get(STALE_FORM)
    heading = "This form is from before you logged in"
    if status == _NOT_NOW and SENT_FORM in request:
        kept = keep_form(request.path_qs, list(request[SENT_FORM].items()))
        heading = f"Not done: {words.strip()}"
    if kept is not None:
        return await page(
            request,
            "resend.html",
            "Not sent yet",
            status,
            to=kept.to,
            kept=kept.fields,
            heading=heading,
        )
    words = words.strip()
    # A refusal without words of ours says only its status.
    if not words or words.startswith(str(status)):
        words = _SENTENCES.get(status, f"The answer is {status}.")
    heading = _HEADINGS.get(status, "This does not work")
    return await page(
        request,
        "message.html",
        heading,
        status,
        heading=heading,
        sentence=words,
        is_refused=True,
    )


async def by_name(request: web.Request) -> web.Response:
    """``/rules/ID``, ``/sources/NAME``, ``/nodes/NAME``: its patterns."""
    kind = request.match_info["kind"].removesuffix("s")
    raise see(request, "/patterns", urlencode({kind: request.match_info["name"]}))
