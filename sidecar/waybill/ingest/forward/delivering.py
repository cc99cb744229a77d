"""Hands on what Forward clients send: once where they want an acknowledgement, else until taken."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager

from waybill.core.errors import CodedError, HandbackError, MalformedError, OverloadedError
from waybill.core.reasons import RefusalReason
from waybill.flow.delivery import Delivery
from waybill.flow.inflight import Grow
from waybill.ingest.listener import Intake

log = logging.getLogger(__name__)
#: Between attempts for a client that cannot be told to come back.
_RETRY_SECS = 1.0


class NotTakenError(CodedError[RefusalReason]):
    """A message that its client keeps; counted already."""

    code: RefusalReason


class Deliverer:
    """Brings deliveries in, and counts what is not taken."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def hold(self) -> AbstractContextManager[Grow]:
        """Accounts for bytes in memory (`Intake.hold`)."""
        return self._intake.hold()

    def refuse(self, reason: RefusalReason) -> None:
        """Count a refusal."""
        self._intake.refused("forward", reason)

    async def deliver(self, delivery: Delivery) -> None:
        """Hand the records back once; what fails is sent again by the client, who gets no
        acknowledgement.

        What nobody can ever read counts as taken when the dead-letter folder has it.

        Raises:
            NotTakenError: the client keeps it.
        """
        try:
            with self._intake.hold() as grow:
                self._grow(grow, delivery)
                await self._run(delivery, grow)
        except MalformedError as error:
            if not error.is_kept:
                raise NotTakenError(error.code) from None
        except (OverloadedError, HandbackError) as error:
            raise NotTakenError(error.code) from None

    async def deliver_until_taken(self, delivery: Delivery) -> None:
        """Hand the records back, however long it takes: their client has forgotten them."""
        try:
            await self._deliver_when_room(delivery)
        except MalformedError as error:
            if not error.is_kept:
                log.error("a message that nobody can read is lost", extra={"reason": error.code})
        except BaseException as error:
            reason: RefusalReason = "internal"
            if isinstance(error, asyncio.CancelledError):
                reason = "stopped"
                self.refuse(reason)
            is_kept = await self._intake.dead_letters.keep(
                delivery.body, reason, delivery.encodings
            )
            log.error("records were not handed back", extra={"reason": reason, "is_kept": is_kept})
            raise

    async def _deliver_when_room(self, delivery: Delivery) -> None:
        while True:
            try:
                with self._intake.hold() as grow:
                    self._grow(grow, delivery)
                    await self._run_until_taken(delivery)
                return
            except OverloadedError as error:
                # Nothing is held meanwhile, or all could wait for each other.
                message = "records wait for room; nothing more is read"
                log.warning(message, extra={"reason": error.code})
            await asyncio.sleep(_RETRY_SECS)

    async def _run_until_taken(self, delivery: Delivery) -> None:
        while True:
            try:
                with self._intake.hold() as grow:
                    await self._run(delivery, grow)
                return
            except HandbackError as error:
                message = "records wait for the receiver; nothing more is read"
                log.warning(message, extra={"reason": error.code, "detail": error.detail})
            await asyncio.sleep(_RETRY_SECS)

    async def _run(self, delivery: Delivery, grow: Grow) -> None:
        try:
            await self._intake.run(delivery, grow)
        except (MalformedError, OverloadedError, HandbackError) as error:
            self.refuse(error.code)
            raise

    def _grow(self, grow: Grow, delivery: Delivery) -> None:
        try:
            grow(len(delivery.body))
        except OverloadedError as error:
            self.refuse(error.code)
            raise
