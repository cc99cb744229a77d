"""Reading from Forward clients, and what is still read while the service drains."""

from __future__ import annotations

import asyncio

#: The limit of a connection's buffer, which may hold twice that and what comes at once (256 KB):
#: a hundred connections take 40 MB beside what is counted.
BUFFER_BYTES = 1 << 16
#: Read from a connection at once: that much is held three times while there is no room for more.
_READ_BYTES = 1 << 16
#: After `Reads.pause` a client's last words are what comes without a gap longer than this.
_LAST_WORDS_SECS = 0.2


class Reads:
    """Reads from the clients of one listener: for ever, or, once paused, their last words."""

    def __init__(self) -> None:
        self.is_paused = False
        self._under_way: set[asyncio.Timeout] = set()

    def pause(self) -> None:
        """From now on, read only what was sent already."""
        self.is_paused = True
        for read in self._under_way:
            read.reschedule(asyncio.get_running_loop().time() + _LAST_WORDS_SECS)

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """What a client sends next; nothing when it ended or, after `pause`, fell silent."""
        limit_secs = _LAST_WORDS_SECS if self.is_paused else None
        try:
            async with asyncio.timeout(limit_secs) as read:
                self._under_way.add(read)
                try:
                    return await reader.read(_READ_BYTES)
                finally:
                    self._under_way.discard(read)
        except TimeoutError:
            return b""
