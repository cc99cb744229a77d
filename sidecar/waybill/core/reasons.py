"""Closed sets of reasons: why a record has no label, why a body was refused, why a tier is silent.

A reason is a short snake_case word that stands alike in a metric's label, in an answer's
``reason``, in ``label_reason`` of a record and in the log. It never holds text of a record.
"""

from __future__ import annotations

from typing import Literal, assert_never, cast, get_args

from waybill.core.names import Compression, SlowTierName

#: What decoding found in a record that is not labelled like the others.
RecordReason = Literal[
    "already_labelled",
    "not_an_object",
    "malformed_record",
    "group_marker",
    "action_line",
    "no_message",
    "message_not_a_string",
    "record_too_large",
    "record_failed",
]
RECORD_REASONS: tuple[RecordReason, ...] = get_args(RecordReason)

#: Why a body can never be read.
MalformedCode = Literal[
    "not_json",
    "not_msgpack",
    "not_otlp",
    "not_an_object",
    "fields",
    "multipart",
    "csv_columns",
    "csv_encoding",
    "csv_row_too_large",
    "csv_row",
    "malformed_frame",
    "too_large",
    "too_many_records",
    "unsupported_content_type",
    "unsupported_encoding",
    "unsupported_signal",
    "truncated_zstd",
    "truncated_gzip",
    "truncated_deflate",
    "truncated_snappy",
    "corrupt_zstd",
    "corrupt_gzip",
    "corrupt_deflate",
    "corrupt_snappy",
]
#: Why a body is not taken now.
OverloadedCode = Literal["draining", "inflight_bytes", "slow_body"]
#: Why the receiver does not have the records.
HandbackCode = Literal[
    "connect",
    "timeout",
    "closed",
    "refused",
    "unavailable",
    "ack_mismatch",
    "handshake",
    "no_return",
]
#: Why an HTTP request reached no endpoint.
RequestCode = Literal[
    "unauthorised",
    "out_of_scope",
    "cross_site",
    "not_found",
    "method_not_allowed",
    "bad_request",
    "expectation_failed",
]
#: Why a batch or a request was refused, for ``waybill_batches_refused_total``.
RefusalReason = Literal[
    MalformedCode, OverloadedCode, HandbackCode, RequestCode, "internal", "stopped"
]
#: Why a connection was closed before it said anything of use.
ConnectionReason = Literal["total", "client", "slow_head", "handshake"]

#: Why an ``.xlsx`` workbook was refused.
WorkbookCode = Literal[
    "unreadable",
    "not_a_workbook",
    "protected",
    "parts",
    "size",
    "ratio",
    "entities",
    "strings",
    "columns",
    "rows",
    "no_sheet",
]
#: Why a file was not taken by the page that labels files.
UploadCode = Literal["too_many_files", "disk_full", "not_written"]

#: Why a rule or a rule file was refused.
RuleCode = Literal[
    "yaml",
    "schema",
    "duplicate_id",
    "pattern",
    "sample",
    "label",
    "unreadable",
    "timeout",
    "memory",
    "crash",
    "empty",
    "contradicted",
]
#: What is doubtful about rules that are in force all the same.
RuleAdviceCode = Literal[
    "never_matches",
    "takes_all",
    "other_dialect",
    "cut_short",
    "takes_samples",
    "loses_samples",
    "no_samples",
    "not_read",
    "packaged_rules_hidden",
    "disables_nothing",
    "overrides_nothing",
]
#: Why a file of corrections was refused.
CorrectionCode = Literal[
    "unreadable",
    "too_large",
    "not_text",
    "not_json",
    "not_a_correction",
    "half_line",
    "emptied",
    "duplicate_id",
    "mask",
    "source",
    "time",
    "label",
]
#: Why a correction that somebody made was not taken.
CorrectCode = Literal[
    "fields",
    "no_message",
    "label",
    "source",
    "mixed",
    "unknown_id",
    "no_path",
    "not_writable",
    "no_space",
    "damaged",
    "busy",
    "too_many",
]
#: Why nothing can be fetched from a server that is followed.
FetchCode = Literal["unreachable", "timeout", "refused", "unauthorised", "too_large"]
#: Why corrections cannot be fetched from where they are followed.
CorrectionPullCode = Literal[FetchCode, CorrectionCode]
#: Why rules that were fetched are not in force: ``malformed`` is no answer of rule files,
#: ``emptied`` a server that has none any more, ``disk`` a folder that they cannot be put into.
RulePullCode = Literal[FetchCode, RuleCode, "malformed", "emptied", "disk"]
#: Why a model bundle was refused; ``unavailable``: its encoder is a service that is away now.
BundleCode = Literal[
    "manifest",
    "missing_file",
    "extra_file",
    "hash",
    "labels",
    "encoder",
    "classifier",
    "golden",
    "pickle",
    "unavailable",
    "contradicted",
]
#: Why a source of model versions cannot be read or written.
HubCode = Literal[
    "unreachable",
    "not_found",
    "not_permitted",
    "rate_limited",
    "conflict",
    "no_version",
    "rolled_back",
    "busy",
    "too_large",
    "disk",
    "library_missing",
]
#: Why no model version was pulled, for ``waybill_model_pulls_total``.
PullReason = Literal[HubCode, BundleCode, "timeout", "failed"]

#: Why an embedding service does not answer.
EncoderCode = Literal[
    "encoder_rate_limited", "encoder_unreachable", "encoder_refused", "encoder_malformed"
]
#: Why a call to a language model brought no answer.
ProviderCode = Literal[
    "no_key",
    "timeout",
    "connect",
    "rate_limited",
    "unavailable",
    "auth",
    "form",
    "bad_request",
    "bad_answer",
]
#: Why an answer of a language model is thrown away.
AnswerCode = Literal["bad_answer", "canary"]
#: Why a language model is not asked.
GuardCode = Literal["breaker_open", "rate_limited", "day_tokens", "day_budget"]
#: Why a text of the sample was not judged by the shadow model: its queue was full, or it failed.
ShadowSkip = Literal["busy", "failed"]
#: Why a verdict store cannot answer.
StoreCode = Literal["sqlite", "redis", "closed"]
#: Why a language model was not asked, or its answer is not used.
RefusedCode = Literal[GuardCode, ProviderCode, "audit"]
#: How a call to a language model ended, for ``waybill_llm_calls_total``.
CallOutcome = Literal["ok", "failed", AnswerCode, RefusedCode]
#: Why a tier cannot answer, for ``waybill_tier_errors_total``.
TierCode = Literal[
    "failed", "closed", "overloaded", "cancelled", "private", AnswerCode, EncoderCode, RefusedCode
]

#: ``model_<why>``: what a verdict says when the model could not answer.
ModelReason = Literal[
    "model_disabled",
    "model_over_budget",
    "model_failed",
    "model_closed",
    "model_overloaded",
    "model_cancelled",
    "model_encoder_rate_limited",
    "model_encoder_unreachable",
    "model_encoder_refused",
    "model_encoder_malformed",
]
#: ``llm_<why>``: what a verdict says when the language model could not answer.
LlmReason = Literal[
    "llm_disabled",
    "llm_source_not_allowed",
    "llm_not_asked",
    "llm_over_budget",
    "llm_nothing_to_read",
    "llm_out_of_set",
    "llm_failed",
    "llm_closed",
    "llm_overloaded",
    "llm_cancelled",
    "llm_private",
    "llm_bad_answer",
    "llm_canary",
    "llm_breaker_open",
    "llm_rate_limited",
    "llm_day_tokens",
    "llm_day_budget",
    "llm_no_key",
    "llm_timeout",
    "llm_connect",
    "llm_unavailable",
    "llm_auth",
    "llm_form",
    "llm_bad_request",
    "llm_audit",
]
#: Why a verdict is the fallback label: ``label_reason`` of a record.
Reason = Literal[
    RecordReason,
    "undecided",
    "rules_failed",
    "unknown",
    "low_confidence",
    "none_of_these",
    "label_not_permitted",
    ModelReason,
    LlmReason,
]

#: For ``waybill_pattern_errors_total``: counting, the file of known patterns, the other workers.
PatternFault = Literal["count", "read", "write", "workers"]

#: What the model tier can say; the rest of `TierCode` is the language model's alone.
MODEL_CODES: frozenset[TierCode] = frozenset(
    (
        "failed",
        "closed",
        "overloaded",
        "cancelled",
        "encoder_rate_limited",
        "encoder_unreachable",
        "encoder_refused",
        "encoder_malformed",
    )
)


def silent(tier: SlowTierName, code: TierCode | Literal["over_budget", "disabled"]) -> Reason:
    """The reason of a verdict that ``tier`` could not give because of ``code``.

    A code that is not one of the tier's own becomes ``<tier>_failed``.

    >>> silent("llm", "rate_limited")
    'llm_rate_limited'
    """
    if code in ("over_budget", "disabled"):
        return cast("Reason", f"{tier}_{code}")
    match tier:
        case "model":
            is_own = code in MODEL_CODES
        case "llm":
            is_own = not code.startswith("encoder_")
        case _:
            assert_never(tier)
    return cast("Reason", f"{tier}_{code}" if is_own else f"{tier}_failed")


def truncated(compression: Compression) -> MalformedCode:
    """The code of a body whose ``compression`` does not come to its end."""
    match compression:
        case "zstd":
            return "truncated_zstd"
        case "gzip":
            return "truncated_gzip"
        case "deflate":
            return "truncated_deflate"
        case "snappy":
            return "truncated_snappy"
        case _:
            assert_never(compression)


def corrupt(compression: Compression) -> MalformedCode:
    """The code of a body that is not of ``compression``, or has other bytes behind its end."""
    match compression:
        case "zstd":
            return "corrupt_zstd"
        case "gzip":
            return "corrupt_gzip"
        case "deflate":
            return "corrupt_deflate"
        case "snappy":
            return "corrupt_snappy"
        case _:
            assert_never(compression)
