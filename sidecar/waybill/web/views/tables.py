"""``/csv``: a file is sent, looked at, labelled, taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import get_args
from urllib.parse import quote

import msgspec
from aiohttp import BodyPartReader, web

from waybill.api.upload import bounded_form, form_faults
from waybill.core.errors import MalformedError
from waybill.web import numbers
from waybill.web.context import bench_of, user_of
from waybill.web.jobs import Job, Jobs, Options
from waybill.web.preview import preview
from waybill.web.rendering import page
from waybill.web.security import FORM_TOKEN
from waybill.web.store.jobs import list_jobs
from waybill.web.views.forms import read_form, see

#: Encodings that the page offers; others can be written.
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "cp1252",
    "latin-1",
    "iso8859-15",
    "cp1251",
    "shift_jis",
)
DELIMITERS = ((",", "comma"), (";", "semicolon"), ("tab", "tab"), ("|", "pipe"), ("space", "blank"))
_CHUNK_BYTES = 1 << 18
#: A form token has 64 characters.
_TOKEN_BYTES = 100


async def show(request: web.Request) -> web.Response:
    """The place to drop a file, and the jobs of the last day."""
    bench = bench_of(request)
    await bench.jobs.forget_old()
    rows = await bench.database.read(list_jobs)
    jobs = [job for row in rows if (job := await bench.jobs.find(row.id)) is not None]
    most = bench.settings.workbench.upload_bytes
    return await page(
        request,
        "csv.html",
        "CSV",
        jobs=jobs,
        most=most,
        fault=request.query.get("fault", ""),
    )


async def upload(request: web.Request) -> web.Response:
    """Take a file; it is written to disk as it comes."""
    if not user_of(request).may("review"):
        raise web.HTTPForbidden(text="This needs the scope review.\n")
    if not request.content_type.startswith("multipart/"):
        raise web.HTTPUnsupportedMediaType(text="Send the file as a form does.\n")
    try:
        with form_faults():
            job = await _received(request)
    except MalformedError as error:
        raise web.HTTPBadRequest(text=f"The form cannot be read: {error}\n") from None
    raise see(request, f"/csv/{job.id}")


async def _received(request: web.Request) -> Job:
    """The job of the file in a form; the token stands before the file."""
    bench = bench_of(request)
    token = ""
    async for part in bounded_form(request):
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == FORM_TOKEN:
            token = (await part.read_chunk(_TOKEN_BYTES)).decode("utf-8", "replace").strip()
        elif part.name == "file" and part.filename:
            if not bench.door.is_form_token(request, token):
                break
            job = bench.jobs.new(part.filename, user_of(request).name)
            await bench.jobs.receive(job, _chunks(part, bench.settings.workbench.upload_bytes))
            return job
    raise web.HTTPForbidden(text="The form is too old or not ours, or holds no file.\n")


async def job(request: web.Request) -> web.Response:
    """A file: how it is read and what comes of it, or how far it is."""
    bench = bench_of(request)
    found = await _job(request)
    looked = None
    if found.state in ("ready", "failed", "cancelled"):
        looked = await preview(bench.engine, bench.jobs.source(found), found.name, found.options)
    labels = found.result.get("labels", {})
    return await page(
        request,
        "csv_job.html",
        f"{found.state} · {found.name} · CSV",
        job=found,
        looked=looked,
        labels=labels if isinstance(labels, dict) else {},
        encodings=ENCODINGS,
        delimiters=DELIMITERS,
        done=min(1.0, found.bytes / found.size) if found.size else 0.0,
    )


async def choose(request: web.Request) -> web.Response:
    """Keep how the file is to be read; the preview follows."""
    form = await read_form(request, "review")
    found = await _job(request)
    allowed = get_args(msgspec.structs.fields(Options)[-1].type)
    on_error = form.get("on_error", "pass")
    found.options = Options(
        form=form.get("form", ""),
        delimiter=form.get("delimiter", ""),
        encoding=form.get("encoding", ""),
        message=form.get("message", ""),
        source=form.get("source", ""),
        label=form.get("label", ""),
        on_error=on_error if on_error in allowed else "pass",  # type: ignore[arg-type]
    )
    raise see(request, f"/csv/{found.id}")


async def run(request: web.Request) -> web.Response:
    """Label the file."""
    await read_form(request, "review")
    found = await _job(request)
    await bench_of(request).jobs.start(found)
    raise see(request, f"/csv/{found.id}")


async def cancel(request: web.Request) -> web.Response:
    """Stop labelling it."""
    await read_form(request, "review")
    found = await _job(request)
    await bench_of(request).jobs.cancel(found)
    raise see(request, f"/csv/{found.id}")


async def result(request: web.Request) -> web.StreamResponse:
    """The labelled file; of a job that was cancelled what there is, under a name that says so."""
    found = await _job(request)
    jobs: Jobs = bench_of(request).jobs
    target = jobs.target(found)
    if not target.exists():
        raise web.HTTPNotFound(text="There is no labelled file (any more).\n")
    name = _labelled_name(found)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Content-Type": "application/octet-stream",
    }
    return web.FileResponse(target, headers=headers, chunk_size=_CHUNK_BYTES)


async def state(request: web.Request) -> web.Response:
    """How far a job is, as JSON: for scripts, and for the page itself."""
    found = await _job(request)
    return web.json_response(
        {
            "state": found.state,
            "rows": found.rows,
            "bytes": found.bytes,
            "size": found.size,
            "secs": round(found.secs, 1),
            "rate": numbers.count(found.rows / found.secs) if found.secs else "",
        }
    )


async def _job(request: web.Request) -> Job:
    found = await bench_of(request).jobs.find(request.match_info["job"])
    if found is None:
        raise web.HTTPNotFound(text="There is no such file (any more); files are kept for a day.\n")
    return found


async def _chunks(part: BodyPartReader, most: int) -> AsyncIterator[bytes]:
    taken = 0
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        taken += len(chunk)
        if taken > most:
            text = f"The file is larger than workbench.upload_bytes ({most >> 20} MB).\n"
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=taken, text=text)
        yield chunk


def _labelled_name(found: Job) -> str:
    stem, dot, suffix = found.name.partition(".")
    suffix = suffix.removesuffix(".gz").removesuffix(".zst").replace("xlsx", "csv")
    part = ".part" if found.state == "cancelled" else ""
    return f"{stem}.labelled{dot}{suffix}{part}"
