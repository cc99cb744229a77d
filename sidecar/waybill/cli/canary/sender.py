"""Sends batches the way shippers do: again and again until they are taken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson

from waybill.cli.canary.ledger import Ledger
from waybill.cli.canary.outlets import records
from waybill.cli.canary.plan import CanaryPlan
from waybill.cli.terminal import tell
from waybill.core.causes import cause_at
from waybill.core.errors import WaybillError
from waybill.ops.tls import trusting
from waybill.ops.tokens import token_to_send
from waybill.settings.secrets import read_content

__all__ = ["Sender"]

#: Between two attempts of a shipper.
_RETRY_SECS = 1.0
_SHOWN_BYTES = 300


class Sender:
    """Sends the batches of one run. Raises WaybillError or OSError for files that cannot
    be read.
    """

    def __init__(self, client: aiohttp.ClientSession, plan: CanaryPlan) -> None:
        self._client = client
        self._to = plan.to
        self._tls: ssl.SSLContext | bool = True
        if plan.ca_file is not None:
            self._tls = trusting(plan.ca_file, "--ca-file")
        self._headers = {
            "X-Waybill-Tag": plan.tag,
            "Fluent-Tag": plan.tag,
            "Content-Type": "application/json",
        }
        if plan.token_file is not None:
            self._headers["Authorization"] = f"Bearer {_first_token(plan.token_file)}"

    async def send(self, ledger: Ledger, batch: Sequence[dict[str, object]]) -> bool:
        """Send until the batch is taken; whether the answer held the records.

        Raises WaybillError when it is refused for good.
        """
        body = orjson.dumps(batch)
        while True:
            answer = await self._attempt(ledger, body)
            if answer is not None:
                ledger.report.acknowledged += len(batch)
                found = records(answer)
                for record in found:
                    ledger.see(record)
                return bool(found)
            ledger.report.attempts_refused += 1
            await asyncio.sleep(_RETRY_SECS)

    async def _attempt(self, ledger: Ledger, body: bytes) -> bytes | None:
        """The answer of a batch that was taken; None when it is to be sent again."""
        try:
            async with self._client.post(
                self._to, data=body, headers=self._headers, ssl=self._tls
            ) as reply:
                answer = await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._note(ledger, cause_at(self._to, error))
            return None
        if reply.status < 300:
            return answer
        text = f"answers {reply.status}: {answer[:_SHOWN_BYTES].decode('utf-8', 'replace')}"
        if reply.status < 500 and reply.status not in (408, 429):
            raise WaybillError(f"{self._to} {text}, which makes shippers drop")
        self._note(ledger, text)
        return None

    def _note(self, ledger: Ledger, text: str) -> None:
        """Keep the fault for the report, and tell a new one at once."""
        if ledger.report.last_error != text:
            tell(f"waybill canary: {self._to}: {text}; trying again")
        ledger.report.last_error = text


def _first_token(file: Path) -> str:
    """The first token of a file. Raises ConfigError."""
    origin = f"--token-file {file}"
    return token_to_send(read_content(file, origin), origin, "ship")
