"""What is done with a file of ``/csv``: settings, start, cancel, its patterns, download."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urlencode

from aiohttp import web

from waybill.core.correction import new_correction
from waybill.core.errors import MalformedError
from waybill.ops.streaming import write_within
from waybill.web.context import bench_of, user_of
from waybill.web.job import Job, Options
from waybill.web.rendering import page
from waybill.web.sample import choice_of
from waybill.web.spreadsheet import made_safe
from waybill.web.store.corrections import add_correction
from waybill.web.store.queries import one_pattern
from waybill.web.views.forms import read_form, see
from waybill.web.views.tables import find_job, most_often, said_labels
from waybill.wire.table.columns import DETAILS
from waybill.wire.table.faults import KINDS, parse_policy

#: How long a piece of an answer may wait to be read.
_READ_SECS = 60.0
_CHUNK_BYTES = 1 << 18
_PLAIN = (
    "form",
    "delimiter",
    "quote",
    "encoding",
    "head",
    "sheet",
    "message",
    "source",
    "source_text",
    "label",
    "known",
)


async def choose(request: web.Request) -> web.Response:
    """Keep how the file is to be read; the preview follows."""
    form = await read_form(request, "review")
    found = await find_job(request)
    fault = await _keep(request, found, form)
    raise see(request, f"/csv/{found.id}", urlencode({"change": "1", "fault": fault}))


async def run(request: web.Request) -> web.Response:
    """Label the file, as the form says if it says anything."""
    form = await read_form(request, "review")
    found = await find_job(request)
    if "has_details" in form:
        fault = await _keep(request, found, form, is_checked=False)
        if fault:
            raise see(request, f"/csv/{found.id}", urlencode({"change": "1", "fault": fault}))
    await bench_of(request).jobs.start(found)
    raise see(request, f"/csv/{found.id}")


async def cancel(request: web.Request) -> web.Response:
    """Stop labelling it."""
    await read_form(request, "review")
    found = await find_job(request)
    await bench_of(request).jobs.cancel(found)
    raise see(request, f"/csv/{found.id}")


async def pattern(request: web.Request) -> web.Response:
    """One of the patterns that were left without a label; the sidecars need not know it."""
    bench = bench_of(request)
    found = await find_job(request)
    one = await _pattern(request, found)
    known = await bench.database.read(lambda store: one_pattern(store, str(one["id"])))
    state = "No event" if one["kind"] == "no_event" else "Undecided"
    title = f"{state}: {str(one['mask'])[:60]} · {found.name}"
    fault = request.query.get("fault", "")
    return await page(
        request,
        "csv_pattern.html",
        title,
        job=found,
        is_known=known is not None,
        fault=fault,
        one=one,
    )


async def correct(request: web.Request) -> web.Response:
    """Record what somebody says about such rows."""
    form = await read_form(request, "review")
    bench = bench_of(request)
    found = await find_job(request)
    one = await _pattern(request, found)
    label = form.get("label", "") or form.get("chosen", "")
    if label not in bench.taxonomy:
        where = f"/csv/{found.id}/patterns/{one['id']}"
        raise see(request, where, urlencode({"fault": "No label was chosen."}))
    note = form.get("note", "")[:300]
    line = new_correction(str(one["mask"]), label, by=user_of(request).name, note=note)
    await bench.database.write(lambda store: add_correction(store, line))
    words = f"Recorded: {label}. Run again with corrections to have it in the file."
    raise see(request, f"/csv/{found.id}", urlencode({"said": words}))


async def delete(request: web.Request) -> web.Response:
    """Remove the file and what came of it."""
    await read_form(request, "review")
    await bench_of(request).jobs.delete(await find_job(request))
    raise see(request, "/csv", urlencode({"said": "The file was deleted."}))


async def result(request: web.Request) -> web.StreamResponse:
    """The labelled file; of a job that was cancelled what there is, under a name that says so."""
    found = await find_job(request)
    target = bench_of(request).jobs.target(found)
    if not target.exists() or found.state in ("waiting", "running"):
        raise web.HTTPNotFound(text="There is no labelled file: it is unfinished or deleted.\n")
    name = _labelled_name(found)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Content-Type": "application/octet-stream",
    }
    if request.query.get("safe") and await bench_of(request).jobs.is_table(found):
        return await _send(request, made_safe(target, found.options), headers)
    return web.FileResponse(target, headers=headers, chunk_size=_CHUNK_BYTES)


async def _send(
    request: web.Request, pieces: AsyncIterator[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    answer = web.StreamResponse(headers=headers)
    await answer.prepare(request)
    async for piece in pieces:
        await write_within(request, answer, piece, _READ_SECS)
    await answer.write_eof()
    return answer


async def _keep(
    request: web.Request, found: Job, form: Mapping[str, str], *, is_checked: bool = True
) -> str:
    """Keep the settings of a form; a sentence where they cannot be read."""
    values = {name: form.get(name, "")[:200] for name in _PLAIN}
    wanted = [name for name in DETAILS if form.get(f"detail_{name}")]
    if len(wanted) < len(DETAILS) and "has_details" in form:
        values["details"] = ",".join(wanted) or "none"
    before = parse_policy(found.options.on_error).kinds
    chosen: list[str] = []
    for kind in KINDS:
        done = form.get(f"on_{kind}", before.get(kind, "pass"))
        if done != "pass":
            chosen.append(f"{kind}={done}")
    values["on_error"] = ",".join(chosen)
    options = Options(**values)
    try:
        choice_of(options)
        parse_policy(options.on_error)
    except MalformedError as error:
        return str(error)
    if found.state in ("waiting", "running"):
        return "The file is being labelled: cancel that first."
    if options != found.options:
        found.options = options
        await bench_of(request).jobs.save(found)
        if is_checked:
            await bench_of(request).jobs.check(found)
    return ""


async def _pattern(request: web.Request, found: Job) -> dict[str, object]:
    said = await said_labels(bench_of(request))
    for one in most_often(found, said, "undecided") + most_often(found, said, "no_event"):
        if one["id"] == request.match_info["id"]:
            return one
    raise web.HTTPNotFound(text="This file has no such pattern among its ten most frequent.\n")


def _labelled_name(found: Job) -> str:
    stem, dot, suffix = found.name.partition(".")
    suffix = suffix.removesuffix(".gz").removesuffix(".zst").replace("xlsx", "csv")
    part = ".part" if found.state == "cancelled" else ""
    return f"{stem}.labelled{dot}{suffix}{part}"
