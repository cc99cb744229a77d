"""``make greedy``, the other way round: what servers that Waybill asks make it hold.

    python -m tests.chaos.answering [--secs 8] [SERVER ...]

Answers without an end, compressed ones, those that drip, heads without an end, and no answer at
all. Each server has a Waybill of its own, which asks it again and again. Printed, and the exit code,
are as those of `tests.chaos.greedy`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.chaos.greedy import allow_peak, is_within, wait_until_settled
from tests.chaos.settling import SETTLE_SECS
from tests.ingest.test_doors import LIMIT, Address, raw_whole, request, served
from tests.memory import resident_bytes
from waybill.labelling.corrections.files import MAX_TOTAL_BYTES

_PIECE = 64 << 10
_OFTEN = 0.5
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_ZEROS = gzip.compress(bytes(16 << 20))


class Asked(NamedTuple):
    """A server that is asked: the settings that lead to it, and what makes Waybill ask."""

    settings: tuple[str, ...]
    said: bytes = b""
    speaks_http: bool = True
    #: What its answer may take beside what may be spare.
    most_bytes: int = LIMIT


def asked(folder: Path) -> dict[str, Asked]:
    """Every server by its name; ``@`` in a setting stands for its host and port."""
    often = f"interval_secs={_OFTEN}"
    record = b'{"log":"it failed"}'
    batch = request(b"/v1/label", b"", record)
    return {
        "rules followed": Asked(
            (
                "rules.follow.source=http://@/",
                f"rules.follow.into={folder}/r",
                f"rules.follow.{often}",
            )
        ),
        "corrections followed": Asked(
            ("corrections.follow=http://@/", f"corrections.{often}"), most_bytes=MAX_TOTAL_BYTES
        ),
        "model followed": Asked(
            (
                "model.path=models/default",
                "model.follow.source=a/b",
                "model.follow.endpoint=http://@",
                f"model.follow.into={folder}/m",
                f"model.follow.{often}",
            )
        ),
        "receiver": Asked(("return.type=http", "return.url=http://@/"), batch),
        "otlp receiver": Asked(("return.type=otlp", "return.url=http://@/v1/logs"), batch),
        "forward receiver": Asked(
            ("return.type=forward", "return.url=forward://@"), batch, speaks_http=False
        ),
    }


#: Gives an answer that begins with some head.
Speak = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


async def endless(writer: asyncio.StreamWriter, head: bytes) -> None:
    """An answer as fast as it is taken, without an end."""
    writer.write(head + b"\r\n" if head else b"")
    while True:
        writer.write(b"[" * _PIECE)
        await writer.drain()


async def squeezed(writer: asyncio.StreamWriter, head: bytes) -> None:
    """The same, a thousandth of its size."""
    writer.write(head + b"Content-Encoding: gzip\r\n\r\n" if head else b"")
    while True:
        writer.write(_ZEROS)
        await writer.drain()


async def dripping(writer: asyncio.StreamWriter, head: bytes) -> None:
    """Much at once, then a byte at a time."""
    writer.write(head + b"\r\n" if head else b"")
    writer.write(b"[" * (4 << 20))
    while True:
        await writer.drain()
        writer.write(b" ")
        await asyncio.sleep(0.2)


async def heads(writer: asyncio.StreamWriter, head: bytes) -> None:
    """Header lines, or what looks like the beginning of an answer, without an end."""
    writer.write(head)
    while True:
        writer.write(b"X-A: %b\r\n" % (b"a" * 4000))
        await writer.drain()


async def silent(writer: asyncio.StreamWriter, head: bytes) -> None:
    """Nothing, once asked."""
    del writer, head
    await asyncio.sleep(3600)


WAYS: dict[str, Speak] = {one.__name__: one for one in (endless, squeezed, dripping, heads, silent)}


class Server:
    """Answers whoever asks, in the way that it has at the moment."""

    def __init__(self, speaks_http: bool) -> None:
        self.way: Speak = silent
        self.seen: Counter[str] = Counter()
        self._head = _HEAD if speaks_http else b""
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its host and port."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            server.close()
            self.hang_up()

    def hang_up(self) -> None:
        """End every answer."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen["asked"] += 1
        try:
            await reader.read(4096)
            await self.way(writer, self._head)
        except OSError as error:
            self.seen[type(error).__name__] += 1
        finally:
            writer.transport.abort()


async def _ask(address: Address, said: bytes) -> None:
    """What makes Waybill ask, four at a time."""
    url = f"http://{address[0]}:{address[1]}"

    async def again() -> None:
        while said:
            await raw_whole(url, said)

    await asyncio.gather(*(again() for _ in range(4)))


async def measure(name: str, one: Asked, secs: float) -> bool:
    """Print a line for each way; whether all of them stay within the bounds."""
    server = Server(one.speaks_http)
    is_fine = True
    async with server.listening() as at:
        settings = [setting.replace("@", at) for setting in one.settings]
        with served(*settings, "return.timeout_secs=5") as (address, _, pid):
            await asyncio.sleep(SETTLE_SECS)
            before = resident_bytes(pid)
            for what, way in WAYS.items():
                server.way = way
                server.seen.clear()
                server.hang_up()
                allow_peak(pid)
                asking = asyncio.create_task(_ask(address, one.said))
                await asyncio.sleep(secs)
                asking.cancel()
                server.way = silent
                server.hang_up()
                left = await asyncio.to_thread(wait_until_settled, address, pid, before)
                is_fine &= is_within(
                    f"{name:21}{what:9}", pid, before, left, server.seen, one.most_bytes
                )
    return is_fine


async def measure_all(names: list[str], secs: float) -> bool:
    """Whether all of the servers ``names``, or all there are, stay within the bounds."""
    is_fine = True
    with tempfile.TemporaryDirectory(prefix="waybill-answering-") as folder:
        for name, one in asked(Path(folder)).items():
            if not names or name in names:
                is_fine &= await measure(name, one, secs)
    return is_fine


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="What servers make Waybill hold.")
    parser.add_argument("--secs", type=float, default=8.0)
    parser.add_argument("servers", nargs="*")
    given = parser.parse_args()
    return 0 if asyncio.run(measure_all(given.servers, given.secs)) else 1


if __name__ == "__main__":
    sys.exit(main())
