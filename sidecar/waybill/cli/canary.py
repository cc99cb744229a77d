"""``waybill canary``: numbered records through a running deployment and back, and what became of them.

    waybill canary --to http://waybill:9880/v1/label                       # return.type: body
    waybill canary --to ... --listen 0.0.0.0:9881                          # the agent sends them here
    waybill canary --to ... --loki http://loki:3100                        # or: read them in the store
    waybill canary --to ... --elasticsearch 'http://es:9200/waybill-*'

Records go out as a shipper sends them: a batch is sent again until it is taken. Each is looked for where it
should come out, and counted as missing, duplicate, out of order, altered, unlabelled or late. The idea of
auditing a log pipeline with numbered lines is Loki's canary's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import ssl
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec
import orjson
from aiohttp import web

from waybill.core.errors import WaybillError
from waybill.settings.addresses import split_address

#: A shipper's patience with one answer, and between two attempts.
_ANSWER_SECS, _RETRY_SECS = 60.0, 1.0
#: How often a store is asked, and how many records of it at once.
_ASK_SECS, _ASK_RECORDS = 2.0, 5000
_MESSAGE = "User User{number} logged in."


class Report(msgspec.Struct):
    """What became of a run's records; counts, and latencies in seconds from sending to being seen."""

    run: str
    sent: int = 0
    acknowledged: int = 0
    back: int = 0
    missing: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    altered: int = 0
    unlabelled: int = 0
    late: int = 0
    attempts_refused: int = 0
    last_error: str | None = None
    labels: dict[str, int] = {}
    latency_secs: dict[str, float] = {}

    @property
    def is_fine(self) -> bool:
        """Whether every record came back, labelled and unchanged. Duplicates and order are no fault."""
        return not (self.missing or self.altered or self.unlabelled or self.late) and self.sent > 0


class Ledger:
    """Notes what was sent and what was seen."""

    def __init__(self, message: str, label_field: str, late_secs: float) -> None:
        self.report = Report(secrets.token_hex(6))
        self._message, self._label_field, self._late_secs = message, label_field, late_secs
        self._sent: dict[int, float] = {}
        self._seen: dict[int, float] = {}
        self._highest = -1
        #: Whether all that was sent so far was seen.
        self.is_complete = asyncio.Event()

    def next_batch(self, count: int) -> list[dict[str, Any]]:
        """The next ``count`` records; their clocks start now."""
        first, now = len(self._sent), time.monotonic()
        numbers = range(first, first + count)
        self._sent.update(dict.fromkeys(numbers, now))
        self.report.sent += count
        self.is_complete.clear()
        return [
            {
                "date": round(time.time(), 6),
                "log": self._message.format(number=number),
                "source": "waybill-canary",
                "canary_run": self.report.run,
                "canary_number": number,
            }
            for number in numbers
        ]

    def see(self, record: dict[str, Any], *, is_first_look: bool = True) -> None:
        """A record that came back. A store shows the same one at each look: then only new ones count."""
        number = record.get("canary_number")
        number = int(number) if isinstance(number, str) and number.isdigit() else number
        if (
            record.get("canary_run") != self.report.run
            or not isinstance(number, int)
            or number not in self._sent
        ):
            return
        if number in self._seen:
            self.report.duplicate += is_first_look
            return
        self._seen[number] = secs = time.monotonic() - self._sent[number]
        self.report.back += 1
        if len(self._seen) == len(self._sent):
            self.is_complete.set()
        self.report.out_of_order += number < self._highest
        self._highest = max(number, self._highest)
        self.report.altered += record.get("log") != self._message.format(number=number)
        self.report.late += secs > self._late_secs
        label = record.get(self._label_field)
        self.report.unlabelled += not isinstance(label, str)
        if isinstance(label, str):
            self.report.labels[label] = self.report.labels.get(label, 0) + 1

    def close(self) -> Report:
        """The report, now that nothing more is waited for."""
        self.report.missing = len(self._sent) - len(self._seen)
        if latencies := sorted(self._seen.values()):
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                at = min(len(latencies) - 1, int(share * len(latencies)))
                self.report.latency_secs[name] = round(latencies[at], 4)
        return self.report


class Outlet(Protocol):
    """Where records come out."""

    async def watch(self, ledger: Ledger) -> None:
        """Show the ledger what comes out, until cancelled."""
        ...


class Listener:
    """An HTTP server that the agent's output (Fluent Bit's ``http``, Vector's ``http``) sends the records to."""

    def __init__(self, address: str) -> None:
        self._host, self._port = split_address(address)

    async def watch(self, ledger: Ledger) -> None:
        """Serve until cancelled. Raises OSError when the address is taken."""

        async def take(request: web.Request) -> web.Response:
            for record in _records(await request.read()):
                ledger.see(record)
            return web.Response(status=200)

        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{path:.*}", take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


class Loki:
    """Reads the run's lines back with ``query_range``; ``selector`` chooses the streams."""

    def __init__(self, client: aiohttp.ClientSession, url: str, selector: str) -> None:
        self._client, self._url, self._selector = (
            client,
            f"{url.rstrip('/')}/loki/api/v1/query_range",
            selector,
        )

    async def watch(self, ledger: Ledger) -> None:
        """Ask again and again."""
        start = time.time_ns()
        query = {
            "query": f'{self._selector} |= "{ledger.report.run}"',
            "start": str(start),
            "direction": "forward",
        }
        async for answer in _asking(
            self._client, "GET", self._url, params=query | {"limit": str(_ASK_RECORDS)}
        ):
            for stream in answer["data"]["result"]:
                for value in stream["values"]:
                    for record in _records(value[1].encode()):
                        ledger.see(stream["stream"] | record, is_first_look=False)


class Elasticsearch:
    """Reads the run's documents back with ``_search``; the address ends in the index."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client, self._url = client, f"{url.rstrip('/')}/_search"

    async def watch(self, ledger: Ledger) -> None:
        """Ask again and again, each page after the last number seen."""
        body = {"size": _ASK_RECORDS, "query": {"match": {"canary_run": ledger.report.run}},
                "sort": [{"canary_number": "asc"}]}  # fmt: skip
        async for answer in _asking(self._client, "POST", self._url, json=body):
            hits = answer["hits"]["hits"]
            for hit in hits:
                ledger.see(hit["_source"], is_first_look=False)
            if hits:
                body["search_after"] = hits[-1]["sort"]
            else:  # from the beginning: numbers do not arrive in order
                body.pop("search_after", None)


async def _asking(
    client: aiohttp.ClientSession, method: str, url: str, **what: Any
) -> AsyncIterator[dict[str, Any]]:
    """Answers to the same question. A store that does not answer now may later: what counts is what it has then."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with client.request(method, url, **what) as reply:
                text = await reply.read()
                if reply.status >= 400 and reply.status not in (404, 429) and reply.status < 500:
                    raise WaybillError(
                        f"{url} answers {reply.status}: {text[:300].decode('utf-8', 'replace')}"
                    )
                if reply.status == 200:
                    yield orjson.loads(text)
        await asyncio.sleep(_ASK_SECS)


def _records(body: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON array, of NDJSON, or of objects one after another; what is none of it is none of ours."""
    text, decoder, at = body.decode("utf-8", "replace"), json.JSONDecoder(), 0
    found: list[dict[str, Any]] = []
    while (at := next((i for i in range(at, len(text)) if not text[i].isspace()), len(text))) < len(
        text
    ):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        found += [
            one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)
        ]
    return found


class Sender:
    """Sends batches the way shippers do."""

    def __init__(self, client: aiohttp.ClientSession, given: argparse.Namespace) -> None:
        self._client, self._given = client, given
        self._tls = ssl.create_default_context(cafile=given.ca_file) if given.ca_file else True
        self._headers = {
            "X-Waybill-Tag": given.tag,
            "Fluent-Tag": given.tag,
            "Content-Type": "application/json",
        }
        if given.token_file:
            token = next(
                line
                for line in given.token_file.read_text().splitlines()
                if line.strip() and line[0] != "#"
            )
            self._headers["Authorization"] = f"Bearer {token.strip()}"

    async def send(self, ledger: Ledger, records: Sequence[dict[str, Any]]) -> bool:
        """Until the batch is taken; whether the answer held the records. Raises WaybillError when it is refused."""
        body = orjson.dumps(records)
        while True:
            try:
                async with self._client.post(
                    self._given.to, data=body, headers=self._headers, ssl=self._tls
                ) as reply:
                    answer = await reply.read()
                if reply.status < 300:
                    ledger.report.acknowledged += len(records)
                    found = _records(answer)
                    for record in found:
                        ledger.see(record)
                    return bool(found)
                text = f"answers {reply.status}: {answer[:300].decode('utf-8', 'replace')}"
                if reply.status < 500 and reply.status not in (408, 429):
                    raise WaybillError(f"{self._given.to} {text}, which makes shippers drop")
            except (aiohttp.ClientError, TimeoutError) as error:
                text = str(error) or type(error).__name__
            if ledger.report.last_error != text:
                sys.stderr.write(f"waybill canary: {self._given.to}: {text}; trying again\n")
            ledger.report.last_error = text
            ledger.report.attempts_refused += 1
            await asyncio.sleep(_RETRY_SECS)


async def _give_up(ledger: Ledger, secs: float) -> None:
    """Raise WaybillError when after ``secs`` not one record has been taken: more would tell no more."""
    await asyncio.sleep(secs)
    if not ledger.report.acknowledged:
        raise WaybillError(
            f"nothing was taken in {secs:g} s: {ledger.report.last_error or 'no answer'}"
        )


async def canary(given: argparse.Namespace) -> Report:
    """Send, wait, report.

    Raises:
        WaybillError: the batch is refused for good, or nobody says where the records come out.
    """
    ledger = Ledger(given.message, given.label_field, given.late_secs)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as client:
        outlet = _outlet(client, given)
        try:
            async with (
                asyncio.timeout(given.records / given.rate + given.wait_secs),
                asyncio.TaskGroup() as group,
            ):
                watching = group.create_task(outlet.watch(ledger)) if outlet else None
                deadline = group.create_task(_give_up(ledger, given.connect_secs))
                await _send_all(Sender(client, given), ledger, given, can_see=outlet is not None)
                deadline.cancel()
                if watching is not None:
                    await ledger.is_complete.wait()
                    await asyncio.sleep(given.settle_secs)  # duplicates come late
                    watching.cancel()
        except TimeoutError:
            pass  # what is not back is missing
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
    return ledger.close()


async def _send_all(
    sender: Sender, ledger: Ledger, given: argparse.Namespace, *, can_see: bool
) -> None:
    begin = time.monotonic()
    while (sent := ledger.report.sent) < given.records:
        await asyncio.sleep(begin + sent / given.rate - time.monotonic())
        count = min(given.batch, given.records - sent)
        if not await sender.send(ledger, ledger.next_batch(count)) and not can_see:
            raise WaybillError(
                f"{given.to} has handed the records on; say where they come out: --listen, --loki or --elasticsearch"
            )


def _outlet(client: aiohttp.ClientSession, given: argparse.Namespace) -> Outlet | None:
    if given.listen:
        return Listener(given.listen)
    if given.loki:
        return Loki(client, given.loki, given.selector)
    return Elasticsearch(client, given.elasticsearch) if given.elasticsearch else None


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="waybill canary", description="Audit a running deployment."
    )
    parser.add_argument("--to", default="http://127.0.0.1:9880/v1/label", metavar="URL",
                        help="Waybill, or an agent's HTTP input before it (default: %(default)s)")  # fmt: skip
    out = parser.add_mutually_exclusive_group()
    out.add_argument(
        "--listen", metavar="HOST:PORT", help="serve here; the agent's output sends the records"
    )
    out.add_argument("--loki", metavar="URL", help="read the records back from Loki")
    out.add_argument(
        "--elasticsearch", metavar="URL/INDEX", help="read the records back from Elasticsearch"
    )
    parser.add_argument(
        "--selector", default='{target_label=~".+"}', help="Loki streams (default: %(default)s)"
    )
    parser.add_argument("--records", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=100, help="records a second (default: %(default)s)"
    )
    parser.add_argument(
        "--batch", type=int, default=50, help="records of one batch (default: %(default)s)"
    )
    parser.add_argument("--tag", default="canary", help="tag of the batches (default: %(default)s)")
    parser.add_argument(
        "--message", default=_MESSAGE, help="text, with {number} (default: %(default)s)"
    )
    parser.add_argument("--label-field", default="target_label", help="(default: %(default)s)")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="bearer token, its first line"
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="authorities of the server's certificate"
    )
    parser.add_argument("--connect-secs", type=float, default=60,
                        help="give up when nothing is taken by then (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--late-secs", type=float, default=60, help="later than this is late (default: %(default)s)"
    )
    parser.add_argument("--wait-secs", type=float, default=300,
                        help="what is not back by then is missing (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--settle-secs", type=float, default=2, help="wait for duplicates (default: %(default)s)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; prints the report as JSON, gives 1 when a record is missing, altered, late or unlabelled."""
    report = asyncio.run(canary(make_parser().parse_args(argv)))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 0 if report.is_fine else 1
