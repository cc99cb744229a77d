"""``/csv``: a file is sent, looked at, labelled, taken away."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator

import msgspec
from aiohttp import BodyPartReader, web

from waybill.api.upload import bounded_form, form_faults
from waybill.core.correction import ANY_SOURCE, decode_correction, settle
from waybill.core.errors import MalformedError, UploadError
from waybill.core.pattern import pattern_id
from waybill.web import numbers
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.job import Job
from waybill.web.preview import preview
from waybill.web.rendering import page
from waybill.web.security import FORM_TOKEN
from waybill.web.store.corrections import export
from waybill.web.views.forms import see
from waybill.wire.table.columns import DETAILS
from waybill.wire.table.faults import parse_policy

#: Encodings that the page offers.
ENCODINGS = (
    ("utf-8", "UTF-8"),
    ("utf-8-sig", "UTF-8 with a byte order mark"),
    ("utf-16", "UTF-16"),
    ("cp1252", "Western: cp1252"),
    ("latin-1", "Western: latin-1"),
    ("iso8859-15", "Western: iso8859-15"),
    ("cp850", "Western, DOS: cp850"),
    ("cp1250", "Central European: cp1250"),
    ("cp1253", "Greek: cp1253"),
    ("cp1254", "Turkish: cp1254"),
    ("cp1251", "Cyrillic: cp1251"),
    ("koi8-r", "Cyrillic: koi8-r"),
    ("cp866", "Cyrillic, DOS: cp866"),
    ("shift_jis", "Japanese: shift_jis"),
    ("euc_jp", "Japanese: euc_jp"),
    ("gb18030", "Chinese: gb18030"),
    ("big5", "Chinese: big5"),
    ("euc_kr", "Korean: euc_kr"),
)
DELIMITERS = ((",", "comma"), (";", "semicolon"), ("tab", "tab"), ("|", "pipe"), ("space", "blank"))
_CHUNK_BYTES = 1 << 18
#: A file may wait so long, in seconds; from then on so many bytes a second must come.
_PATIENCE_SECS = 60.0
_LEAST_RATE = 1024.0
#: A form token has 64 characters.
_TOKEN_BYTES = 100


async def show(request: web.Request) -> web.Response:
    """The place to drop a file, and the newest jobs."""
    bench = bench_of(request)
    bench.engine.warm()  # rules and model take seconds; a file takes longer to be found
    return await page(
        request,
        "csv.html",
        "CSV",
        jobs=await bench.jobs.newest(),
        most=bench.settings.workbench.upload_bytes,
        said=request.query.get("said", ""),
        keep_hours=round(bench.jobs.keep_secs / 3600, 1),
        fault=request.query.get("fault", ""),
    )


async def upload(request: web.Request) -> web.Response:
    """Take a file; it is written to disk as it comes."""
    refused = bench_of(request).metrics.upload_refused
    try:
        job = await _taken(request)
    except UploadError as error:
        refused(error.code)
        raise web.HTTPInsufficientStorage(text=f"{error}\n") from None
    except MalformedError as error:
        refused("form")
        raise web.HTTPBadRequest(text=f"The form cannot be read: {error}\n") from None
    except web.HTTPRequestEntityTooLarge:
        refused("too_large")
        raise
    except web.HTTPForbidden:
        refused("scope")
        raise
    except web.HTTPClientError:
        refused("form")
        raise
    raise see(request, f"/csv/{job.id}")


async def _taken(request: web.Request) -> Job:
    """The job of the file that is sent.

    Raises UploadError, MalformedError, web.HTTPException: it is not taken.
    """
    if not user_of(request).may("review"):
        raise web.HTTPForbidden(text="This needs the scope review.\n")
    if not request.content_type.startswith("multipart/"):
        raise web.HTTPUnsupportedMediaType(text="Send the file as a form does.\n")
    bench = bench_of(request)
    _check_size(request.content_length or 0, bench.settings.workbench.upload_bytes)
    bench.jobs.room.check(request.content_length or 0)
    async with bench.jobs.room.place():
        with form_faults():
            return await _received(request)


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
    found = msgspec.structs.replace(await find_job(request))  # it goes on while the page is made
    said = await said_labels(bench)
    looked = None
    if found.state in ("ready", "failed", "cancelled") or request.query.get("change"):
        source = bench.jobs.source(found)
        looked = await preview(bench.engine, source, found.name, found.options, said)
    labels = found.result.get("labels", {})
    words = "Label the file" if found.state == "ready" else "Start again"
    if found.checked_rows and found.check == "done" and found.state == "ready":
        words = f"Label {found.checked_rows:,} rows"
    return await page(
        request,
        "csv_job.html",
        f"{found.state} · {found.name} · CSV",
        job=found,
        place=bench.jobs.place(found),
        looked=looked,
        policy=policy_of(found),
        labels=labels if isinstance(labels, dict) else {},
        undecided=most_often(found, said, "undecided"),
        no_event=most_often(found, said, "no_event"),
        newer=max(0, await _count_said(bench) - found.corrections),
        start_words=words,
        encodings=ENCODINGS,
        delimiters=DELIMITERS,
        details=DETAILS,
        said=request.query.get("said", ""),
        fault=request.query.get("fault", ""),
        zip=zip,
    )


async def checked(request: web.Request) -> web.Response:
    """What is wrong with the file, as far as it was read."""
    bench = bench_of(request)
    found = await find_job(request)
    is_table = await bench.jobs.is_table(found)
    return await page(
        request,
        "csv_check.html",
        f"{found.name} · CSV",
        job=found,
        looked={"is_table": is_table},
        policy=policy_of(found),
        zip=zip,
    )


async def state(request: web.Request) -> web.Response:
    """How far a job is, as JSON: for scripts, and for the page itself."""
    bench = bench_of(request)
    found = await find_job(request)
    return web.json_response(
        {
            "state": found.state,
            "before": bench.jobs.place(found),
            "rows": found.rows,
            "bytes": found.bytes,
            "size": found.size,
            "secs": round(found.secs, 1),
            "done": round(found.done, 4),
            "undecided": found.open,
            "rate": numbers.count(found.rows / found.secs) if found.secs else "",
            "faults": found.faults.counts,
            "failure": found.failure,
        }
    )


async def find_job(request: web.Request) -> Job:
    """The job of the address. Raises web.HTTPNotFound."""
    found = await bench_of(request).jobs.find(request.match_info["job"])
    if found is None:
        raise web.HTTPNotFound(text="This file is no longer kept: it was deleted or too old.\n")
    return found


def policy_of(found: Job) -> dict[str, str]:
    """What is done about rows with faults, by kind."""
    try:
        policy = parse_policy(found.options.on_error)
    except MalformedError:
        return {}
    return dict[str, str](policy.kinds.items())


async def said_labels(bench: Bench) -> dict[str, str]:
    """What people have said about every source, by mask."""

    def read(connection: sqlite3.Connection) -> dict[str, str]:
        found: dict[str, str] = {}
        for settled in settle(map(decode_correction, export(connection).splitlines())):
            one = settled.correction
            if one.source == ANY_SOURCE and not one.labelling:
                found[one.mask] = one.label
        return found

    return await bench.database.read(read)


def most_often(found: Job, said: dict[str, str], what: str) -> list[dict[str, object]]:
    """The most frequent patterns that are ``what`` (``undecided``, ``no_event``), and what was said
    about them since.
    """
    told = found.result.get(what)
    if not isinstance(told, list):
        return []
    return [
        {
            "id": pattern_id(mask),
            "mask": mask,
            "count": count,
            "label": said.get(mask, ""),
            "kind": what,
        }
        for mask, count in told
    ]


async def _count_said(bench: Bench) -> int:
    return await bench.database.read(lambda store: export(store).count(b"\n"))


def _check_size(size: int, most: int) -> None:
    """Refuse before it is sent what cannot be kept. Raises web.HTTPException."""
    slack = 1 << 16  # of the form round it
    if size > most + slack:
        text = _too_large(size, most)
        raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=size, text=text)


def _too_large(size: int, most: int) -> str:
    return (
        f"The file has {size >> 20} MB; workbench.upload_bytes allows {most >> 20} MB. "
        "Compressed (.gz, .zst) it may fit.\n"
    )


async def _chunks(part: BodyPartReader, most: int) -> AsyncIterator[bytes]:
    taken = 0
    begin = time.monotonic()
    while chunk := await _next_chunk(part, _patience(begin, taken)):
        taken += len(chunk)
        if taken > most:
            text = _too_large(taken, most)
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=taken, text=text)
        yield chunk
        await asyncio.sleep(0)


async def _next_chunk(part: BodyPartReader, secs: float) -> bytes:
    """What comes next. Raises web.HTTPRequestTimeout: nothing does within ``secs``."""
    try:
        async with asyncio.timeout(secs):
            return await part.read_chunk(_CHUNK_BYTES)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The file came too slowly.\n") from None


def _patience(begin: float, taken: int) -> float:
    """How long more may take to come, in seconds: one that is slow keeps a place from others."""
    return max(0.0, begin + _PATIENCE_SECS + taken / _LEAST_RATE - time.monotonic())
