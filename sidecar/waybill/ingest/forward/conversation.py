"""One Forward client's connection: the handshake, then its messages in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterable, Iterator

from waybill.core.errors import MalformedError
from waybill.core.streams import send
from waybill.flow.delivery import Delivery
from waybill.ingest.forward.delivering import Deliverer, NotTakenError
from waybill.ingest.forward.partial import Partial
from waybill.ingest.forward.reads import Reads
from waybill.ops.secret_file import SecretFile
from waybill.wire import forward as protocol
from waybill.wire.strangers import advice

log = logging.getLogger(__name__)
HANDSHAKE_SECS = 10.0
#: What is fed at once to a reader that walks in Python.
_DEEP_BYTES = 8 << 10


class Handshake:
    """HELO, PING, PONG with a shared key from a file that may change; ``hostname`` is ours."""

    def __init__(self, key: SecretFile, hostname: str) -> None:
        self._key = key
        self._hostname = hostname

    async def shake(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reads: Reads
    ) -> bool:
        """Whether the client knows the shared key."""
        nonce = secrets.token_hex(8).encode()
        answer = b""
        is_known = False
        detail = "it sent no PING with the key of forward.shared_key_file"
        await send(writer, protocol.helo(nonce))
        try:
            async with asyncio.timeout(HANDSHAKE_SECS):
                ping = await _read_ping(reader, reads)
            key = self._key().encode()
            answer, is_known = protocol.pong(ping, nonce, self._hostname, key)
        except (ValueError, TimeoutError) as error:
            detail = str(error) or detail  # no Forward client, or none that shakes hands
        if not is_known:
            log.warning("a Forward client does not know the shared key", extra={"detail": detail})
        await send(writer, answer)
        return is_known


class Conversation:
    """Takes one client's messages until it ends, or until one of them is not taken."""

    def __init__(
        self,
        deliverer: Deliverer,
        reads: Reads,
        limit_bytes: int,
        handshake: Handshake | None,
    ) -> None:
        self._deliverer = deliverer
        self._reads = reads
        self._limit_bytes = limit_bytes
        self._handshake = handshake

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what the client sends, until the connection is to be closed.

        Raises CancelledError, and no other error.
        """
        try:
            if await self._is_admitted(reader, writer):
                await self._receive(reader, writer)
        except MalformedError as error:
            self._deliverer.refuse(error.code)
            fields = {"reason": error.code, "detail": error.detail}
            log.warning("a Forward connection was closed", extra=fields)
        except NotTakenError as error:
            message = "a Forward message was not taken; its client keeps it"
            log.warning(message, extra={"reason": error.code})
        except OSError:
            pass  # the client went away
        except Exception:  # the task's edge: one connection ends, the client sends again
            self._deliverer.refuse("internal")
            log.exception("a Forward connection failed in an unforeseen way")

    async def _is_admitted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if self._handshake is None:
            return True
        is_known = await self._handshake.shake(reader, writer, self._reads)
        if not is_known:
            self._deliverer.refuse("unauthorised")
        return is_known

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take messages one by one, in order; the next is not looked at before the last is done."""
        frames = protocol.FrameReader(self._limit_bytes)
        partial = Partial(self._deliverer, self._reads)
        with contextlib.closing(frames), partial:
            while data := await partial.read(reader):
                for piece in _pieces(frames, data):
                    if frames.is_deep:
                        await asyncio.sleep(0)
                    await self._take_all(frames.feed(piece), partial, writer)
                await partial.count(frames.held_bytes)

    async def _take_all(
        self,
        messages: Iterable[protocol.Message | None],
        partial: Partial,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Take each message; None among them gives others their turn."""
        for message in messages:
            if message is None:
                await asyncio.sleep(0)
                continue
            partial.release()
            await self._take(message, writer)

    async def _take(self, message: protocol.Message, writer: asyncio.StreamWriter) -> None:
        if message.chunk is None:
            await self._deliverer.deliver_until_taken(_delivery(message))
        else:
            await self._deliver(message)
            await send(writer, message.ack)

    async def _deliver(self, message: protocol.Message) -> None:
        if self._reads.is_paused:
            self._deliverer.refuse("draining")
            raise NotTakenError("draining")
        await self._deliverer.deliver(_delivery(message))


def _pieces(frames: protocol.FrameReader, data: bytes) -> Iterator[bytes]:
    """``data``, cut small while it is walked in Python: at 0.4 us a value."""
    at = 0
    while at < len(data):
        stop = at + _DEEP_BYTES if frames.is_deep else len(data)
        yield data[at:stop]
        at = stop


async def _read_ping(reader: asyncio.StreamReader, reads: Reads) -> bytes:
    answer = protocol.AnswerReader()
    while data := await reads.read(reader):
        try:
            whole = answer.feed(data)
        except ValueError:
            raise ValueError(advice(data, "forward")) from None
        if whole is not None:
            return whole
    raise ConnectionResetError


def _delivery(message: protocol.Message) -> Delivery:
    return Delivery(
        body=message.entries,
        ingest="forward",
        content_type="application/msgpack",
        encodings=message.encodings,
        tag=message.tag,
        is_final=message.chunk is None,
    )
