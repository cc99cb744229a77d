"""Workers ask one another about patterns, over sockets in the folder that they share.

A question and an answer a connection, msgpack both; only processes of this user reach the folder.
What crosses is cleaned already, as everything that leaves a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from waybill.core.pattern import Pattern
from waybill.core.streams import send
from waybill.patterns.node import PatternPart
from waybill.patterns.query import Query, Row
from waybill.patterns.source_report import SourceReport

__all__ = ["Sibling", "answer_siblings", "siblings_of"]

log = logging.getLogger(__name__)
T = TypeVar("T")
#: A worker that is that busy is left out of the answer.
_PATIENCE_SECS = 3.0
#: The largest answer: rows of 500,000 patterns.
_MOST_BYTES = 64 << 20
_encoder = msgspec.msgpack.Encoder()


class _Question(msgspec.Struct):
    """One of three: rows of a query, patterns by number, or (neither) the sources.

    ``labelling`` is the name of the labelling that is asked about; empty for the first.
    """

    query: Query | None = None
    numbers: list[int] | None = None
    labelling: str = ""


_questions = msgspec.msgpack.Decoder(_Question)


def _socket(folder: Path, number: int) -> Path:
    return folder / f"patterns-{number}.sock"


def siblings_of(folder: Path, number: int, count: int, labelling: str) -> list[Sibling]:
    """All workers but ``number``, to be asked about one labelling."""
    others = [one for one in range(count) if one != number]
    return [Sibling(_socket(folder, one), labelling) for one in others]


async def answer_siblings(
    stack: contextlib.AsyncExitStack, folder: Path, number: int, parts: Mapping[str, PatternPart]
) -> None:
    """Answer the other workers, until ``stack`` ends; ``parts`` by the name of the labelling.

    Without a socket they leave this one out.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECS):
                question = _questions.decode(await reader.read())
                await send(writer, await _answer(parts[question.labelling], question))
        except (TimeoutError, OSError, msgspec.DecodeError):
            pass  # who asked has gone, or leaves this worker out
        finally:
            writer.close()

    path = _socket(folder, number)
    path.unlink(missing_ok=True)  # of the one whose place this worker takes
    try:
        server = await asyncio.start_unix_server(answer, path)
    except OSError as error:
        detail = error.strerror or str(error)
        log.warning("other workers cannot ask this one about patterns", extra={"detail": detail})
        return
    stack.callback(server.close)


async def _answer(part: PatternPart, question: _Question) -> bytes:
    if question.query is not None:
        return _encoder.encode(await part.rows(question.query))
    if question.numbers is not None:
        return _encoder.encode(await part.patterns(question.numbers))
    return _encoder.encode(await part.sources())


class Sibling:
    """Another worker. Every method raises OSError when it does not answer."""

    def __init__(self, path: Path, labelling: str) -> None:
        self._path = path
        self._labelling = labelling

    async def rows(self, query: Query) -> list[Row]:
        """What it has of a query."""
        return await self._ask(_Question(query=query, labelling=self._labelling), list[Row])

    async def patterns(self, numbers: Sequence[int]) -> list[Pattern]:
        """The patterns with these ``numbers`` that it has."""
        question = _Question(numbers=list(numbers), labelling=self._labelling)
        return await self._ask(question, list[Pattern])

    async def sources(self) -> list[SourceReport]:
        """Its sources, and all others last."""
        return await self._ask(_Question(labelling=self._labelling), list[SourceReport])

    async def _ask(self, question: _Question, kind: type[T]) -> T:
        async with asyncio.timeout(_PATIENCE_SECS):
            reader, writer = await asyncio.open_unix_connection(self._path, limit=_MOST_BYTES)
            try:
                await send(writer, _encoder.encode(question))
                writer.write_eof()
                return msgspec.msgpack.decode(await reader.read(), type=kind)
            except msgspec.DecodeError as error:
                raise ConnectionError(str(error)) from None
            finally:
                writer.close()
