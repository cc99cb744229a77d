"""Errors with bounded reason codes.

Two meanings are kept apart everywhere: *malformed* (this input can never be read; HTTP 400, the
shipper drops it, so it goes to the dead-letter folder) and *overloaded* (not now; HTTP 503 with
Retry-After, the shipper keeps it and comes back). A reason code is a short snake_case word from a
closed set: it is the metric label, the answer's ``reason`` and the log field alike.
"""

from __future__ import annotations

from collections.abc import Sequence


class WaybillError(Exception):
    """Base of every error that Waybill raises on purpose."""


class ConfigError(WaybillError):
    """Settings that cannot be used. Carries every problem found, each with its dotted path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class RuleError(WaybillError):
    """One fault in a rule file: where it is and a bounded reason code.

    Codes: ``yaml``, ``schema``, ``duplicate_id``, ``pattern``, ``sample``, ``label``, ``unreadable``,
    ``timeout``, ``memory``, ``crash``, ``empty``.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        file: str | None = None,
        line: int | None = None,
        rule_id: str | None = None,
    ) -> None:
        self.code, self.detail = code, detail
        self.file, self.line, self.rule_id = file, line, rule_id
        where = ":".join(str(part) for part in (file, line) if part is not None)
        rule = f"rule {rule_id!r}: " if rule_id else ""
        super().__init__(f"{where + ': ' if where else ''}{rule}{detail} [{code}]")


class RuleSetError(WaybillError):
    """A rule set that was refused as a whole; ``errors`` holds every fault found."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = list(errors)


class BundleError(WaybillError):
    """A model bundle that was refused.

    Codes: ``manifest``, ``missing_file``, ``extra_file``, ``hash``, ``labels``, ``encoder``,
    ``classifier``, ``golden``, ``pickle``; ``unavailable`` when its encoder is a service that cannot be
    reached now.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{detail} [{code}]")
        self.code, self.detail = code, detail


class MalformedError(WaybillError):
    """A body that can never be read. HTTP 400 (``too_large``: 413, ``unsupported_*``: 415)."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{detail} [{code}]" if detail else code)
        self.code, self.detail = code, detail
        #: Whether the dead-letter folder has the body: it is then safe to let the shipper forget it.
        self.is_kept = False


class OverloadedError(WaybillError):
    """Not now: come back after ``retry_after_secs``. HTTP 503."""

    def __init__(self, code: str, retry_after_secs: int = 1) -> None:
        super().__init__(code)
        self.code, self.retry_after_secs = code, retry_after_secs


class LaboriousError(WaybillError):
    """Reading a body inline would keep the event loop too long: it must be read on a thread."""


class HandbackError(WaybillError):
    """The receiver did not take the records in time. HTTP 503; the shipper keeps the batch.

    Codes: ``connect``, ``timeout``, ``closed``, ``refused`` (4xx), ``unavailable`` (5xx, 429),
    ``ack_mismatch``, ``handshake``, ``no_return`` (OTLP came in and there is no way back for it).
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{detail} [{code}]" if detail else code)
        self.code, self.detail = code, detail


class TierUnavailable(WaybillError):
    """A tier cannot answer; the pipeline treats its records as undecided. Caught only there."""

    def __init__(self, tier: str, code: str) -> None:
        super().__init__(f"{tier}: {code}")
        self.tier, self.code = tier, code
