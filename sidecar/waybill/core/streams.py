"""Writing to a connection or a pipe, on whatever event loop."""

from __future__ import annotations

import asyncio

__all__ = ["send"]


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write ``data``, and wait until there is room for more.

    Raises:
        OSError: the other side is gone. uvloop alone raises RuntimeError when a connection that is
            closed already is written to.
    """
    if writer.is_closing():
        raise ConnectionResetError("the other side has closed the connection")
    writer.write(data)
    await writer.drain()
