"""One contract for every way in: a gRPC listener would be one more row."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from waybill.core.errors import ConfigError
from waybill.core.names import Door
from waybill.core.reasons import RefusalReason
from waybill.flow.delivery import Delivery
from waybill.flow.inflight import Grow, Inflight
from waybill.ingest.connections import Connections
from waybill.ingest.forward.server import ForwardServer
from waybill.ingest.http import label
from waybill.ingest.http.bodies import BodyReader
from waybill.ingest.http.server import HttpServer
from waybill.ingest.listener import Intake, Listener
from waybill.ops.deadletter import DeadLetters
from waybill.ops.metrics import Metrics
from waybill.settings.schema import (
    DeadLetterSettings,
    ForwardSettings,
    HttpSettings,
    LimitSettings,
)


class Behind:
    """What stands behind a listener, without a flow."""

    def __init__(self) -> None:
        self.metrics = Metrics("test")
        self.inflight = Inflight(LimitSettings(1 << 20, 1 << 20), lambda _: None)
        self.refused: list[tuple[Door, RefusalReason]] = []
        self.taken: list[Delivery] = []
        letters = DeadLetters(DeadLetterSettings(path=None), self.metrics)
        self.intake = Intake(
            self.inflight.hold, self._run, self._refuse, LimitSettings().body_bytes, letters
        )
        self.connections = Connections(LimitSettings(), self.metrics)

    async def _run(self, delivery: Delivery, _: Grow) -> bytes | None:
        self.taken.append(delivery)
        return None

    def _refuse(self, door: Door, reason: RefusalReason) -> None:
        self.refused.append((door, reason))


def http(behind: Behind, address: str) -> Listener:
    reader = BodyReader(1 << 20, 5, behind.intake.dead_letters)
    routes = label.routes(behind.intake, reader, count_unread=None)
    settings = HttpSettings(listen=address)
    return HttpServer(settings, routes, behind.connections, behind.intake)


def forward(behind: Behind, address: str) -> Listener:
    return ForwardServer(ForwardSettings(listen=address), behind.intake, behind.connections)


Make = Callable[[Behind, str], Listener]
each = pytest.mark.parametrize("make", [http, forward])


@contextlib.asynccontextmanager
async def listening(make: Make, address: str = "127.0.0.1:0") -> AsyncIterator[Listener]:
    listener = make(Behind(), address)
    try:
        await listener.start()
        yield listener
    finally:
        await listener.stop()


@each
async def test_it_has_addresses_as_long_as_it_listens(make: Make) -> None:
    listener = make(Behind(), "127.0.0.1:0")
    assert list(listener.addresses) == []
    await listener.start()
    (address,) = listener.addresses
    assert "127.0.0.1:" in address
    assert not address.endswith(":0")
    await listener.stop()
    assert list(listener.addresses) == []


@each
async def test_an_address_that_is_taken_is_a_fault_that_names_its_setting(make: Make) -> None:
    async with listening(make) as first:
        taken = first.addresses[0].rpartition("/")[2]
        with pytest.raises(
            ConfigError,
            match=r"(http|forward)\.listen: cannot listen.*--set \1\.listen=",
        ):
            async with listening(make, taken):
                pass


@each
async def test_it_can_be_stopped_twice_before_its_start_and_after_a_pause(make: Make) -> None:
    never = make(Behind(), "127.0.0.1:0")
    await never.stop()
    await never.stop()
    listener = make(Behind(), "127.0.0.1:0")
    await listener.start()
    listener.pause()
    listener.pause()
    await listener.stop()
    await listener.stop()


@each
async def test_it_is_what_the_protocol_says(make: Make) -> None:
    listener = cast("object", make(Behind(), "127.0.0.1:0"))
    for name in ("addresses", "start", "pause", "stop"):
        assert hasattr(listener, name)
