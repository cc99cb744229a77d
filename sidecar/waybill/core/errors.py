"""Errors with bounded codes.

Two meanings are kept apart everywhere: *malformed* (this input can never be read; HTTP 400, the
shipper drops it, so it goes to the dead-letter folder) and *overloaded* (not now; HTTP 503 with
Retry-After, the shipper keeps it and comes back). A code is a word from one of the closed sets in
`waybill.core.reasons`: it is the metric label, the answer's ``reason`` and the log field alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from waybill.core.names import SlowTierName
from waybill.core.reasons import (
    BundleCode,
    CorrectCode,
    CorrectionCode,
    HandbackCode,
    MalformedCode,
    OverloadedCode,
    RuleCode,
    TierCode,
    UploadCode,
    WorkbookCode,
)

_Code = TypeVar("_Code", bound=str)
_Fault = TypeVar("_Fault", bound="FileFault[Any]")


class WaybillError(Exception):
    """Base of every error that Waybill raises on purpose; ``code`` says which kind it is."""

    code: str = "failed"

    @property
    def problems(self) -> list[str]:
        """Every fault that it tells of, one text each."""
        return [str(self)]

    @property
    def reason(self) -> str:
        """The bounded code to report: that of the first fault where there are several."""
        return self.code

    def fields(self) -> list[dict[str, object]]:
        """Every fault as the fields of a log line."""
        return [{"detail": problem} for problem in self.problems]


#: What speaks of more than the one record that was being handled: it passes every net for records.
NOT_OF_A_RECORD = (WaybillError, MemoryError)


class ConfigError(WaybillError):
    """Settings that cannot be used. Carries every problem found, each with its dotted path."""

    code = "config"

    def __init__(self, problems: Sequence[str]) -> None:
        # Each once, though several readers may have met it.
        self._problems = list(dict.fromkeys(problems))
        super().__init__("; ".join(self._problems))

    @property
    def problems(self) -> list[str]:
        """Every problem found."""
        return self._problems


class FileFault(WaybillError, Generic[_Code]):
    """One fault in a file that people write: where it is and a bounded code."""

    def __init__(
        self,
        code: _Code,
        detail: str,
        *,
        file: str | None = None,
        line: int | None = None,
        rule_id: str | None = None,
    ) -> None:
        self.code = code
        self.detail = detail
        self.file = file
        self.line = line
        self.rule_id = rule_id
        parts = [f"{detail} [{code}]"]
        if rule_id:
            parts.insert(0, f"rule {rule_id!r}")
        where = ":".join(str(part) for part in (file, line) if part is not None)
        if where:
            parts.insert(0, where)
        super().__init__(": ".join(parts))

    def fields(self) -> list[dict[str, object]]:
        """The place, the code as ``reason``, and the detail."""
        place: dict[str, object] = {"file": self.file, "line": self.line}
        if self.rule_id is not None:
            place["rule"] = self.rule_id
        return [{**place, "reason": self.code, "detail": self.detail}]


class RuleError(FileFault[RuleCode]):
    """One fault in a rule file."""

    code: RuleCode


class CorrectionError(FileFault[CorrectionCode]):
    """One fault in a file of corrections."""

    code: CorrectionCode


class FileFaults(WaybillError, Generic[_Fault]):
    """Files that were refused as a whole; ``errors`` holds their faults."""

    def __init__(self, errors: Sequence[_Fault]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = list(errors)

    @property
    def problems(self) -> list[str]:
        """Every fault in ``errors``."""
        return [str(error) for error in self.errors]

    @property
    def reason(self) -> str:
        """The code of the first fault."""
        return self.errors[0].code if self.errors else self.code

    def fields(self) -> list[dict[str, object]]:
        """Every fault as fields, and how many there are."""
        told: list[dict[str, object]] = []
        for error in self.errors:
            told += [{**fields, "faults": len(self.errors)} for fields in error.fields()]
        return told


class RuleSetError(FileFaults[RuleError]):
    """A rule set that was refused as a whole; ``errors`` holds every fault found."""

    code = "rules"


class CompilerBusyError(RuleSetError):
    """Rules that nobody has refused: their compiler got too little processor time."""


class CorrectionsError(FileFaults[CorrectionError]):
    """Corrections that were refused as a whole; ``errors`` holds the faults found first."""

    code = "corrections"


class CodedError(WaybillError, Generic[_Code]):
    """An error whose ``code`` is a word of one closed set; ``detail`` is a sentence, or empty."""

    def __init__(self, code: _Code, detail: str = "") -> None:
        super().__init__(f"{detail} [{code}]" if detail else code)
        self.code = code
        self.detail = detail


class CorrectError(CodedError[CorrectCode]):
    """A correction that somebody made and that is not taken; ``more`` says what else is known."""

    code: CorrectCode

    def __init__(
        self, code: CorrectCode, detail: str, more: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(code, detail)
        self.more = more or {}


class BundleError(CodedError[BundleCode]):
    """A model bundle that was refused."""

    code: BundleCode

    def fields(self) -> list[dict[str, object]]:
        """The code as ``reason``, and the detail."""
        return [{"reason": self.code, "detail": self.detail}]


class WorkbookError(WaybillError):
    """An ``.xlsx`` workbook that is not read."""

    code: WorkbookCode

    def __init__(self, code: WorkbookCode, detail: str) -> None:
        told = f"the workbook cannot be read: {detail} [{code}]"
        if code != "not_a_workbook":  # which says itself what to do
            told += ". An .xls, a protected or a large one: save the sheet as .xlsx or CSV"
        super().__init__(told)
        self.code = code


class UploadError(CodedError[UploadCode]):
    """A file that cannot be kept to be labelled."""

    code: UploadCode


class MalformedError(CodedError[MalformedCode]):
    """A body that can never be read. HTTP 400 (``too_large``: 413, ``unsupported_*``: 415)."""

    code: MalformedCode
    #: Whether the dead-letter folder has the body: the shipper may then safely forget it.
    is_kept = False


class OverloadedError(WaybillError):
    """Not now: come back after ``retry_after_secs``. HTTP 503."""

    code: OverloadedCode

    def __init__(self, code: OverloadedCode, retry_after_secs: int = 1) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_secs = retry_after_secs


class SlowToReadError(WaybillError):
    """Reading a body inline would keep the event loop too long: it must be read on a thread."""

    code = "slow_to_read"


class HandbackError(CodedError[HandbackCode]):
    """The receiver did not take the records in time. HTTP 503; the shipper keeps the batch.

    ``refused`` stands for 4xx, ``unavailable`` for 5xx and 429; ``no_return``: OTLP came in and
    no ``return.type`` is set for it.
    """

    code: HandbackCode


class TierUnavailable(WaybillError):
    """A tier cannot answer; the pipeline treats its records as undecided. Caught only there."""

    code: TierCode

    def __init__(self, tier: SlowTierName, code: TierCode) -> None:
        super().__init__(f"{tier}: {code}")
        self.tier = tier
        self.code = code
