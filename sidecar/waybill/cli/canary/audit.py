"""One run of the canary: send, look, wait, report."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from waybill.cli.canary.ledger import Ledger, Report
from waybill.cli.canary.outlets import Elasticsearch, Listener, Loki, Outlet
from waybill.cli.canary.plan import CanaryPlan
from waybill.cli.canary.sender import Sender
from waybill.core.errors import WaybillError
from waybill.ops.sessions import open_session

__all__ = ["audit"]

#: A shipper's patience with one answer.
_ANSWER_SECS = 60.0


async def audit(plan: CanaryPlan) -> Report:
    """Send the records and report what became of them.

    Raises:
        WaybillError: a batch is refused for good, nothing is taken in time, or nobody says where
            the records come out.
        OSError: the address to listen on is taken.
    """
    ledger = Ledger(plan.message, plan.label_field, plan.late_secs)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECS)
    async with open_session(timeout=timeout) as client:
        try:
            async with asyncio.timeout(plan.records / plan.rate + plan.wait_secs):
                await _run(client, plan, ledger)
        except TimeoutError:
            pass  # what is not back is missing
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
    return ledger.close()


async def _run(client: aiohttp.ClientSession, plan: CanaryPlan, ledger: Ledger) -> None:
    outlet = _outlet(client, plan)
    async with asyncio.TaskGroup() as group:
        watching = None
        if outlet is not None:
            watching = group.create_task(outlet.watch(ledger))
        deadline = group.create_task(_give_up(ledger, plan.connect_secs))
        await _send_all(Sender(client, plan), ledger, plan, can_see=outlet is not None)
        deadline.cancel()
        if watching is not None:
            await ledger.is_complete.wait()
            await asyncio.sleep(plan.settle_secs)  # duplicates come late
            watching.cancel()


async def _give_up(ledger: Ledger, secs: float) -> None:
    """Raise WaybillError when after ``secs`` not one record has been taken: more would tell no
    more.
    """
    await asyncio.sleep(secs)
    if not ledger.report.acknowledged:
        raise WaybillError(
            f"nothing was taken in {secs:g} s: {ledger.report.last_error or 'no answer'}"
        )


async def _send_all(sender: Sender, ledger: Ledger, plan: CanaryPlan, *, can_see: bool) -> None:
    begin = time.monotonic()
    while ledger.report.sent < plan.records:
        sent = ledger.report.sent
        await asyncio.sleep(begin + sent / plan.rate - time.monotonic())
        batch = ledger.next_batch(min(plan.batch, plan.records - sent))
        if not await sender.send(ledger, batch) and not can_see:
            raise WaybillError(
                f"{plan.to} has handed the records on; say where they come out: "
                "--listen, --loki or --elasticsearch"
            )


def _outlet(client: aiohttp.ClientSession, plan: CanaryPlan) -> Outlet | None:
    if plan.listen:
        return Listener(plan.listen)
    if plan.loki:
        return Loki(client, plan.loki, plan.selector)
    if plan.elasticsearch:
        return Elasticsearch(client, plan.elasticsearch)
    return None
