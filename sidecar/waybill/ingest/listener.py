"""What the service knows of a way in, and what a way in needs of the service.

A new one (OTLP over gRPC, say) is one file: a class with the methods of `Listener`, made from its
settings, an `Intake` and the `Connections` that all listeners share.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from waybill.core.names import Door
from waybill.core.reasons import RefusalReason
from waybill.flow.delivery import Delivery
from waybill.flow.inflight import Grow
from waybill.ops.deadletter import DeadLetters

#: Counts what was not taken, by where and why.
CountRefusal = Callable[[Door, RefusalReason], None]


class Listener(Protocol):
    """Takes batches from clients between `start` and `stop`."""

    @property
    def addresses(self) -> Sequence[str]:
        """Where it can be reached; empty before `start` and after `stop`."""
        ...

    async def start(self) -> None:
        """Open the sockets.

        Raises:
            ConfigError: an address cannot be listened on; it names the setting.
        """
        ...

    def pause(self) -> None:
        """The service drains: what cannot be sent again is still taken, all else refused."""
        ...

    async def stop(self) -> None:
        """Let what is under way end, within bounds, and close everything. Can be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Intake:
    """What a listener needs to bring a body in.

    ``hold`` accounts for the bytes that are in memory. ``run`` labels a `Delivery` and hands it
    back, with the errors of `waybill.flow.flow.Flow.run`, which it is in the service. ``refused``
    counts what was not taken. A body has at most ``body_bytes`` bytes. ``dead_letters`` keeps what
    nobody can read or send again.
    """

    hold: Callable[[], AbstractContextManager[Grow]]
    run: Callable[[Delivery, Grow], Awaitable[bytes | None]]
    refused: CountRefusal
    body_bytes: int
    dead_letters: DeadLetters
