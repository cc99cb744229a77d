"""What a provider's answer of failure means, and what of it is told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from waybill.labelling.llm.providers.base import status_error


def error(code: str, kind: str = "invalid_request_error", message: str = "no") -> object:
    return {"error": {"message": message, "type": kind, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "code", "provider_code"),
    [
        (400, error("model_decommissioned"), "bad_request", "model_decommissioned"),
        (404, error("model_not_found"), "bad_request", "model_not_found"),
        (400, error("context_length_exceeded"), "bad_request", "context_length_exceeded"),
        (400, error("", message="model `x` has been withdrawn"), "bad_request", "invalid_request_error"),
        (400, error("", message="json_schema is not supported"), "form", "invalid_request_error"),
        (422, {"error": "response_format: unknown"}, "form", None),
        (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "response_mime_type"}}], "form", "INVALID_ARGUMENT"),
        (400, {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "location"}}, "bad_request", "FAILED_PRECONDITION"),
        (400, None, "form", None),
        (400, "text", "form", None),
        (413, error("rate_limit_exceeded", "tokens"), "rate_limited", "rate_limit_exceeded"),
        (413, None, "rate_limited", None),
        (429, error("rate_limit_exceeded"), "rate_limited", "rate_limit_exceeded"),
        (498, error("capacity_exceeded"), "rate_limited", "capacity_exceeded"),
        (529, {"error": {"type": "overloaded_error"}}, "rate_limited", "overloaded_error"),
        (400, error("", "rate_limit_error"), "rate_limited", "rate_limit_error"),
        (503, error("over_capacity"), "unavailable", "over_capacity"),
        (408, None, "unavailable", None),
        (401, error("invalid_api_key"), "auth", "invalid_api_key"),
        (403, {"error": {"code": 403, "status": "PERMISSION_DENIED"}}, "auth", "PERMISSION_DENIED"),
        (404, error("a b\n\x1b[31m" + "c" * 200), "bad_request", ("a_b_31m" + "c" * 200)[:64]),
    ],
)  # fmt: skip
def test_status_and_code_decide_and_are_kept(
    status: int, body: object, code: str, provider_code: str | None
) -> None:
    headers: Mapping[str, str] = {"retry-after": "7"}
    failure = status_error(status, headers, body)
    assert (failure.code, failure.status, failure.provider_code) == (code, status, provider_code)
    assert failure.retry_after == (7 if code in ("rate_limited", "unavailable") else None)


def test_an_error_that_is_nested_too_deeply_to_be_told_has_a_code_all_the_same() -> None:
    deep: object = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert status_error(400, {}, {"error": {"message": "no", "a": deep}}).code == "bad_request"
