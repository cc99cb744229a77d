"""Closed sets: each word is plain, each table knows every word, each error carries one."""

from __future__ import annotations

import importlib
import pkgutil
import re
import typing

import pytest

import waybill
from waybill.core import names, reasons
from waybill.core.errors import WaybillError
from waybill.core.names import Compression, DecidedBy, SlowTierName, TierName, words
from waybill.core.reasons import (
    MODEL_CODES,
    EncoderCode,
    MalformedCode,
    Reason,
    RefusalReason,
    TierCode,
    corrupt,
    silent,
    truncated,
)
from waybill.ingest.http.errors import status_of
from waybill.ingest.http.sentences import sentence

SETS = {
    name: value
    for module in (names, reasons)
    for name, value in vars(module).items()
    if typing.get_origin(value) is typing.Literal
}


def _load_everything() -> None:
    """Import every module but those that need an extra which is not installed."""
    for found in pkgutil.walk_packages(waybill.__path__, "waybill."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)


def _errors(base: type[BaseException] = BaseException) -> list[type[BaseException]]:
    found = []
    for kind in base.__subclasses__():
        if kind.__module__.partition(".")[0] == "waybill":
            found.append(kind)
        found += _errors(kind)
    return found


@pytest.mark.parametrize("name", SETS)
def test_a_closed_set_holds_plain_words_each_once(name: str) -> None:
    found = words(SETS[name])
    assert len(found) == len(set(found)) > 0
    assert all(re.fullmatch(r"[a-z][a-z_]*", word) for word in found)


def test_a_tier_has_one_spelling_in_records_and_on_metrics() -> None:
    assert words(TierName) == ("correction", "rule", "model", "llm")
    assert words(SlowTierName) == names.SLOW_TIERS
    assert set(words(DecidedBy)) == {*words(TierName), "pending", "none"}


@pytest.mark.parametrize("tier", names.SLOW_TIERS)
@pytest.mark.parametrize("code", [*words(TierCode), "over_budget", "disabled"])
def test_whatever_a_tier_says_the_verdict_has_a_reason_from_the_set(
    tier: SlowTierName, code: TierCode
) -> None:
    reason = silent(tier, code)
    assert reason in words(Reason)
    assert reason in (f"{tier}_{code}", f"{tier}_failed")


def test_every_reason_of_a_silent_tier_can_be_given() -> None:
    codes = [*words(TierCode), "over_budget", "disabled"]
    given = {silent(tier, code) for tier in names.SLOW_TIERS for code in codes}  # type: ignore[arg-type]
    named = set(words(reasons.ModelReason)) | set(words(reasons.LlmReason))
    assert named - given == {
        "llm_nothing_to_read",
        "llm_not_asked",
        "llm_out_of_set",
        "llm_source_not_allowed",
    }


def test_the_codes_of_the_model_are_codes_of_a_tier() -> None:
    assert set(words(EncoderCode)) < MODEL_CODES < set(words(TierCode))


@pytest.mark.parametrize("compression", words(Compression))
def test_every_compression_can_be_truncated_and_corrupt(compression: Compression) -> None:
    assert truncated(compression) == f"truncated_{compression}"
    assert corrupt(compression) == f"corrupt_{compression}"


@pytest.mark.parametrize("code", words(MalformedCode))
def test_every_malformed_body_has_a_status_that_is_final(code: MalformedCode) -> None:
    assert status_of(code) in (400, 413, 415)


@pytest.mark.parametrize("reason", words(RefusalReason))
def test_every_refusal_has_a_sentence(reason: RefusalReason) -> None:
    assert len(sentence(reason)) > 10


def test_every_error_is_one_of_ours_and_has_a_bounded_code() -> None:
    _load_everything()
    errors = _errors()
    assert len(errors) > 15
    assert [kind for kind in errors if not issubclass(kind, WaybillError)] == []
    for kind in errors:
        code = typing.get_type_hints(kind).get("code")
        is_closed = typing.get_origin(code) is typing.Literal or code is str
        assert is_closed, f"{kind.__name__}.code: {code}"
        if code is str:  # a family of errors, or one that nobody counts
            assert re.fullmatch(r"[a-z_]+", kind.code), kind  # type: ignore[attr-defined]
