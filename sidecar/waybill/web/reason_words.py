"""Why a record has no label, in words: what pages show where records carry a code."""

from __future__ import annotations

from typing import cast

from waybill.core.reasons import Reason

#: By code, as it stands in ``label_reason``: a test holds that none is missing.
WORDS: dict[Reason, str] = {
    "already_labelled": "it came with a label",
    "not_an_object": "no JSON object",
    "malformed_record": "cannot be read as a record",
    "group_marker": "marks a group of records",
    "action_line": "says what to do with the next record",
    "no_message": "no message in it",
    "message_not_a_string": "its message is no text",
    "record_too_large": "too large to be read",
    "record_failed": "handling it failed",
    "undecided": "nobody decided",
    "rules_failed": "the rules failed",
    "unknown": "like nothing that the model knows",
    "low_confidence": "the model is not sure",
    "none_of_these": "no event, by the model",
    "label_not_permitted": "the route does not allow its label",
    "model_disabled": "the model is off",
    "model_over_budget": "the model was too late",
    "model_failed": "the model failed",
    "model_closed": "the model was closed",
    "model_overloaded": "too many messages for the model",
    "model_cancelled": "nobody waited for the model",
    "model_encoder_rate_limited": "the embedding service limits the rate",
    "model_encoder_unreachable": "the embedding service is not reached",
    "model_encoder_refused": "the embedding service refuses",
    "model_encoder_malformed": "the embedding service answers wrongly",
    "llm_disabled": "the LLM is off",
    "llm_source_not_allowed": "its source may not go to the LLM",
    "llm_not_asked": "the LLM was not asked",
    "llm_over_budget": "the LLM was too late",
    "llm_nothing_to_read": "nothing is left for the LLM to read",
    "llm_out_of_set": "the LLM said no known label",
    "llm_failed": "the LLM failed",
    "llm_closed": "the LLM was closed",
    "llm_overloaded": "too many messages for the LLM",
    "llm_cancelled": "nobody waited for the LLM",
    "llm_private": "too private for the LLM",
    "llm_bad_answer": "the LLM's answer cannot be read",
    "llm_canary": "the LLM obeyed the log line",
    "llm_breaker_open": "the LLM failed often and rests",
    "llm_rate_limited": "the LLM's rate is used up",
    "llm_day_tokens": "the LLM's tokens of the day are used up",
    "llm_day_budget": "the LLM's money of the day is used up",
    "llm_no_key": "the LLM has no key",
    "llm_timeout": "the LLM did not answer in time",
    "llm_connect": "the LLM is not reached",
    "llm_unavailable": "the LLM is not available",
    "llm_auth": "the LLM refuses the key",
    "llm_form": "the LLM answers in another form",
    "llm_bad_request": "the LLM refuses the request",
    "llm_audit": "what is sent could not be written down",
}


def reason_words(reason: str | None) -> str:
    """The words of a code; a code that a newer sidecar tells stays as it is.

    >>> reason_words("low_confidence")
    'the model is not sure'
    """
    if not reason:
        return ""
    return WORDS.get(cast("Reason", reason), reason)
