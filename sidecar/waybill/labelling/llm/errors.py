"""What can go wrong on the way to a language model and back; each with its bounded code."""

from __future__ import annotations

from typing import Literal

from waybill.core.errors import CodedError, WaybillError
from waybill.core.reasons import AnswerCode, ProviderCode, RefusedCode, StoreCode


class Refused(CodedError[RefusedCode]):
    """Not now; or why a call failed."""

    code: RefusedCode


class PrivacyError(WaybillError):
    """A text could not be cleaned within its time; it must not leave."""

    code: Literal["private"] = "private"


class AuditError(WaybillError):
    """The audit log cannot be written; what cannot be recorded must not leave."""

    code: Literal["audit"] = "audit"


class ProviderError(CodedError[ProviderCode]):
    """A call that brought no answer.

    Codes: ``no_key``, ``timeout``, ``connect`` (nothing or half an answer came), ``rate_limited``
    (429 and other words for load), ``unavailable`` (5xx), ``auth`` (401, 403), ``form`` (400, 422
    about the form of answer), ``bad_request`` (other statuses), ``bad_answer`` (no completion in
    it). ``retry_after`` is in seconds. ``may_be_billed``: the request may have been worked on.
    ``status`` and ``provider_code`` are what the provider said, where it said something.
    """

    code: ProviderCode

    def __init__(
        self,
        code: ProviderCode,
        *,
        retry_after: float | None = None,
        may_be_billed: bool = False,
        status: int | None = None,
        provider_code: str | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.provider_code = provider_code
        self.retry_after = retry_after
        self.may_be_billed = may_be_billed


class BadAnswer(CodedError[AnswerCode]):
    """An answer that is thrown away.

    Codes: ``bad_answer`` (its form), ``canary`` (a wrong canary).
    """

    code: AnswerCode


class StoreError(CodedError[StoreCode]):
    """The store could not do it."""

    code: StoreCode
