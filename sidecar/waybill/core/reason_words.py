"""Why a record has no label, in words: what people read where records carry a code.

Pages, commands, the description of the API and the table of docs/labels.md take them from here.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from waybill.core.reasons import Reason

__all__ = ["REASONS", "Told", "advice_on", "reason_words"]


class Told(NamedTuple):
    """A reason in a few words that go on a sentence, and what can be done about it."""

    words: str
    advice: str


_SENDER = "Look at what sends it; the record passes as it came."
_FAILED = "The log has the exception; the next record of its kind is asked about again."
_ENCODER = "Look at the service that embeds messages for the model, and at the log."
_PROVIDER = "Look at the provider and at the log; records go on without it."
_ENDING = "Nothing: the service was ending."
_GONE = "Nothing: the sender had gone, and sends the record again."

#: By code, as it stands in ``label_reason``: a test holds that none is missing.
REASONS: dict[Reason, Told] = {
    "already_labelled": Told(
        "it came with a label",
        "Nothing: it keeps its label. fields.relabel gives it ours.",
    ),
    "not_an_object": Told("no JSON object", _SENDER),
    "malformed_record": Told("cannot be read as a record", _SENDER),
    "group_marker": Told(
        "marks a group of records",
        "Nothing: the records of the group are labelled.",
    ),
    "action_line": Told(
        "says what to do with the next record",
        "Nothing: the record after it is labelled.",
    ),
    "no_message": Told(
        "no message in it",
        "There is no text to read. Name the field that holds it in fields.message.",
    ),
    "message_not_a_string": Told(
        "its message is not text",
        "Send text, or name another field in fields.message.",
    ),
    "record_too_large": Told(
        "too large to be read",
        "It has more than 8 MB and passes as it came. No log is so large: look at what writes it.",
    ),
    "record_failed": Told(
        "handling it failed",
        "It passes as it came, the others are labelled. The log has the exception: please "
        "report it.",
    ),
    "undecided": Told(
        "nobody decided",
        "No tier of its route decides. Write a rule, or add a tier.",
    ),
    "rules_failed": Told("the rules failed", "The log says how: please report it."),
    "unknown": Told(
        "like nothing that the model knows",
        "The model was trained on nothing that is near enough. Write a rule, or train "
        "with lines like this one (waybill model train).",
    ),
    "low_confidence": Told(
        "the model is not sure",
        "The model is less sure than it must be. Write a rule, or lower model.threshold "
        "if you can live with more mistakes.",
    ),
    "none_of_these": Told(
        "no event, by the model",
        "The model takes it for no event. Write a rule if it is one.",
    ),
    "label_not_permitted": Told(
        "the route does not allow its label",
        "The label that was found is not among those of the route. Add it there (routes[].labels).",
    ),
    "model_disabled": Told(
        "the model is off",
        "Its route asks the model, and model.path is null. Set it, or give the route "
        "other tiers (routes[].tiers).",
    ),
    "model_over_budget": Told(
        "the model was too late",
        "The next record of its kind gets a label. Where it stays so, give the model more "
        "time (model.budget_ms) or threads.",
    ),
    "model_failed": Told("the model failed", _FAILED),
    "model_closed": Told("the model was closed", _ENDING),
    "model_overloaded": Told(
        "too many messages for the model",
        "More new messages came than model.queue_messages. Give it more processor time, "
        "or write rules for the frequent ones.",
    ),
    "model_cancelled": Told("nobody waited for the model", _GONE),
    "model_encoder_rate_limited": Told("the embedding service limits the rate", _ENCODER),
    "model_encoder_unreachable": Told("the embedding service is not reached", _ENCODER),
    "model_encoder_refused": Told("the embedding service refuses", _ENCODER),
    "model_encoder_malformed": Told("the embedding service answers wrongly", _ENCODER),
    "llm_disabled": Told(
        "the LLM is off",
        "Its route asks the LLM, and llm.provider is not set. Set it, or give the route "
        "other tiers (routes[].tiers).",
    ),
    "llm_source_not_allowed": Told(
        "its source may not go to the LLM",
        "llm.sources does not name it. Add it there if its messages may leave.",
    ),
    "llm_not_asked": Told(
        "the LLM was not asked",
        "Explaining asks no model that costs money, and no answer for such a message is "
        "stored yet. Label a record with it (POST /v1/label), then ask again.",
    ),
    "llm_over_budget": Told(
        "the LLM was too late",
        "Nothing: the next record of its kind gets the answer.",
    ),
    "llm_nothing_to_read": Told(
        "nothing is left for the LLM to read",
        "All that the message says was cleaned away. Write a rule.",
    ),
    "llm_out_of_set": Told(
        "the LLM said no known label",
        "The answer was thrown away. Write a rule, or describe the labels better (labels.path).",
    ),
    "llm_failed": Told("the LLM failed", _PROVIDER),
    "llm_closed": Told("the LLM was closed", _ENDING),
    "llm_overloaded": Told(
        "too many messages for the LLM",
        "More new messages came than llm.queue_messages. Write rules for the frequent ones.",
    ),
    "llm_cancelled": Told("nobody waited for the LLM", _GONE),
    "llm_private": Told(
        "could not be cleaned for the LLM",
        "It took too long, so the message must not leave: look for a slow one among "
        "llm.private_patterns.",
    ),
    "llm_bad_answer": Told(
        "the LLM's answer cannot be read",
        "The answer was thrown away. Where it stays so, take another llm.model.",
    ),
    "llm_canary": Told(
        "the LLM obeyed the log line",
        "A line with a known label came back wrong, so the answer was thrown away. Look "
        "at what writes such lines.",
    ),
    "llm_breaker_open": Told("the LLM failed often and rests", _PROVIDER),
    "llm_rate_limited": Told(
        "the LLM's rate is used up",
        "llm.requests_per_minute, or a limit of the provider. Raise it, or wait.",
    ),
    "llm_day_tokens": Told(
        "the LLM's tokens of the day are used up",
        "Raise llm.tokens_per_day, or wait for the next day (UTC).",
    ),
    "llm_day_budget": Told(
        "the LLM's money of the day is used up",
        "Raise llm.budget_per_day, or wait for the next day (UTC).",
    ),
    "llm_no_key": Told("the LLM has no key", "Set llm.api_key_file, or the variable of its key."),
    "llm_timeout": Told("the LLM did not answer in time", _PROVIDER),
    "llm_connect": Told("the LLM is not reached", _PROVIDER),
    "llm_unavailable": Told("the LLM is not available", _PROVIDER),
    "llm_auth": Told("the LLM refuses the key", "Renew the key of the provider."),
    "llm_form": Told("the LLM answers in another form", _PROVIDER),
    "llm_bad_request": Told("the LLM refuses the request", _PROVIDER),
    "llm_audit": Told(
        "what is sent could not be written down",
        "What leaves must be written to llm.audit first. Make it writable.",
    ),
}


def reason_words(reason: str | None) -> str:
    """The words of a code; "" without one. A code of a newer sidecar stays as it is.

    >>> reason_words("low_confidence")
    'the model is not sure'
    """
    if reason is None:
        return ""
    told = REASONS.get(cast("Reason", reason))
    return told.words if told is not None else reason


def advice_on(reason: Reason) -> str:
    """What can be done where a message is not labelled for ``reason``."""
    return REASONS[reason].advice
