"""The demo's records and figures, for people."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from waybill.cli.terminal import fitted, printable

__all__ = ["Record", "print_summary", "print_table"]

Record: TypeAlias = dict[str, object]

_MESSAGES = ("log", "message", "log_message", "msg", "body")
_PASSED = "(passed as it is)"
_HEADER = ("source", "message", "label", "tier", "rule or model / reason", "conf.")
_WIDTHS = (15, 0, 19, 6, 26, 5)
_LLM_HINT = """
{count} LegacyCRM records are Unclassified: their route asks the LLM tier, which is off.
Switch it on with llm.provider (see config/waybill.yaml) and a key in GROQ_API_KEY, or try
`make demo LLM=stub`, which needs neither key nor network."""


def print_table(records: Iterable[Record]) -> None:
    """A row per record; where the terminal is narrow, without rule and confidence."""
    widths = fitted(_WIDTHS, shutil.get_terminal_size((150, 24)).columns)
    form = " ".join(f"{{:<{wide}.{wide}}}" for wide in widths)
    print("\n" + form.format(*_HEADER))
    print(form.format(*("-" * wide for wide in widths)))
    for record in records:
        print(form.format(*_row(record)).rstrip())


def _row(record: Record) -> Iterable[str]:
    yield str(record.get("source") or record.get("service") or "-")
    yield printable(_message(record))
    yield str(record.get("target_label", _PASSED))
    yield str(record.get("label_tier", "-"))
    yield str(record.get("label_reason") or record.get("label_rule") or "-")
    confidence = record.get("label_confidence")
    yield f"{confidence:.2f}" if isinstance(confidence, float | int) else "-"


def _message(record: Record) -> str:
    found: object = record
    for name in _MESSAGES:
        if name in record:
            found = record[name]
            break
    if isinstance(found, str):
        return found
    return json.dumps(found)


def print_summary(records: Sequence[Record], rate: float, batch_records: int) -> None:
    """Labels, tiers, records a second (measured in batches of so many), and what to try next."""
    labels = Counter(str(record.get("target_label", _PASSED)) for record in records)
    tiers = Counter(map(_decided_by, records))
    print("\n" + _counts(labels))
    print("decided by: " + _counts(tiers))
    reasons = Counter(str(record["label_reason"]) for record in records if "label_reason" in record)
    print("why Unclassified: " + _counts(reasons))
    print(
        f"{rate:,.0f} records/s, one connection, {batch_records} records a batch, client included"
    )
    waiting = sum(record.get("label_reason") == "llm_disabled" for record in records)
    if waiting:
        print(_LLM_HINT.format(count=waiting))
    sys.stdout.flush()


def _decided_by(record: Record) -> str:
    """Whose word the record's label is."""
    tier = str(record.get("label_tier", "its sender"))
    return "nobody" if tier == "none" else tier


def _counts(counts: Mapping[str, int]) -> str:
    most_first = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count}" for name, count in most_first)
