"""One call to the provider: reserve, record, ask, judge, and tell the guards how it went."""

from __future__ import annotations

import logging
import time

from waybill.core.reasons import CallOutcome
from waybill.labelling.llm.audit import Audit
from waybill.labelling.llm.errors import AuditError, BadAnswer, ProviderError, Refused
from waybill.labelling.llm.guards import Guards
from waybill.labelling.llm.prompt import Question
from waybill.labelling.llm.providers.base import FORMS, Provider, Reply
from waybill.labelling.llm.store import Usage
from waybill.labelling.telemetry import Telemetry
from waybill.settings.schema import LlmSettings

log = logging.getLogger(__name__)
#: A request has at most one token for two bytes: what is reserved for it before the provider has
#: counted.
_BYTES_PER_TOKEN = 2
#: Of what was reserved for a call so many times as much is taken for true: one answer that says
#: more would spend the day of every node.
_MOST_TIMES = 16
#: Outcomes of a call without a request.
_NOT_MADE: frozenset[CallOutcome] = frozenset({"day_tokens", "day_budget", "audit", "no_key"})


class Caller:
    """Makes calls that the guards have admitted."""

    def __init__(
        self,
        settings: LlmSettings,
        provider: Provider,
        guards: Guards,
        telemetry: Telemetry,
        audit: Audit | None,
    ) -> None:
        self._settings, self._provider, self._guards = settings, provider, guards
        self._telemetry = telemetry
        self._audit = audit
        #: Index of the form of answer that is asked for: the strictest that the model takes.
        self._form = 0

    async def ask(self, call: str, question: Question) -> list[str | None]:
        """The labels of a question's lines, asked for in ever looser forms of answer.

        ``call`` comes from `Guards.admit`. Raises Refused (with any code of `ProviderError`, too)
        when nobody answered, BadAnswer for an answer to throw away: the breaker is the caller's
        business then.
        """
        form = self._form
        while True:
            try:
                labels = await self._call(call, question, form)
            except ProviderError as error:
                if error.code != "form" or form + 1 == len(FORMS):
                    self._note_failure(error)
                    raise Refused("bad_request" if error.code == "form" else error.code) from None
            except (Refused, AuditError) as refusal:
                self._guards.breaker.released()
                raise Refused(refusal.code) from None
            else:
                self._form = form
                self._guards.breaker.succeeded()
                return labels
            form += 1
            self._guards.breaker.released()
            call = await self._guards.admit()

    async def _call(self, call: str, question: Question, form: int) -> list[str | None]:
        """One request at most. Raises ProviderError, BadAnswer, Refused, AuditError."""
        began = time.monotonic()
        outcome: CallOutcome = "failed"
        reserved: Usage | None = None
        used = (0, 0)
        size = (len(question.system.encode()) + len(question.user.encode())) // _BYTES_PER_TOKEN
        try:
            reserved = await self._guards.ledger.reserve(size, self._settings.reply_tokens)
            if self._audit is not None:
                await self._audit.write(self._provider.model, FORMS[form], question)
            began = time.monotonic()
            reply = await self._provider.ask(question, FORMS[form])
            used = _used(reply, size, self._settings.reply_tokens)
            labels = question.judge(reply.text)
            outcome = "ok"
            return labels
        except (ProviderError, BadAnswer, Refused, AuditError) as error:
            outcome = error.code
            if isinstance(error, ProviderError) and error.may_be_billed:
                used = size, 0  # nobody says what a call cost that broke off
            raise
        finally:
            was_made = outcome not in _NOT_MADE
            await self._guards.leave(call, was_made=was_made)
            if reserved is not None:
                micros = self._guards.ledger.cost(*used)
                await self._guards.ledger.settle(reserved, sum(used), micros)
                self._telemetry.llm_spent(*used, micros / 1_000_000)
            if was_made:
                self._telemetry.llm_called(outcome, time.monotonic() - began)

    def _note_failure(self, error: ProviderError) -> None:
        """What a failed call means for the next ones."""
        said = {"reason": error.code, "status": error.status, "code": error.provider_code}
        if error.code == "rate_limited":
            log.warning("the LLM provider has too much to do", extra=said)
            # The provider is there and wants to be left alone for a while: no failure, but a pause.
            self._guards.pause(
                self._settings.breaker_secs if error.retry_after is None else error.retry_after
            )
            self._guards.breaker.released()
            return
        if error.code == "no_key":
            self._guards.breaker.released()
            log.warning("the LLM has no key; set it in the environment or in llm.api_key_file")
            return
        if error.retry_after is not None:
            self._guards.pause(error.retry_after)
        self._guards.breaker.failed()
        log.warning("an LLM call failed", extra=said)


def _used(reply: Reply, size: int, reply_tokens: int) -> tuple[int, int]:
    """Tokens in and out; estimated where a server does not say, bounded where it says too much."""
    if not (reply.tokens_in or reply.tokens_out):
        return size, len(reply.text.encode()) // _BYTES_PER_TOKEN
    most = size * _MOST_TIMES, reply_tokens * _MOST_TIMES
    used = min(reply.tokens_in, most[0]), min(reply.tokens_out, most[1])
    if used != (reply.tokens_in, reply.tokens_out):
        log.warning("an LLM provider says that a call used more than it can have")
    return max(used[0], 0), max(used[1], 0)
