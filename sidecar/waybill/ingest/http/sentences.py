"""A sentence for each reason of a refusal, for where the fault itself has no better one."""

from __future__ import annotations

from typing import Final

from waybill.core.reasons import RefusalReason

_SENTENCES: Final[dict[RefusalReason, str]] = {
    "not_json": "the body is not JSON: an array, objects one after another, or one a line",
    "not_msgpack": "the body is not a msgpack stream of Fluent Bit's entries",
    "not_otlp": "the body is not an OTLP ExportLogsServiceRequest",
    "not_an_object": "the body is not a JSON object",
    "fields": "a field is missing or has the wrong type",
    "multipart": "the form cannot be read",
    "csv_columns": "the header names no message column; see fields.message",
    "csv_encoding": "the bytes are not of the encoding; name it with encoding=",
    "csv_row": "a row has a fault, and on_error=fail",
    "csv_row_too_large": "a row of the CSV is larger than 8 MB, or than limits.body_bytes",
    "malformed_frame": "the stream is not a Forward message",
    "too_large": "the body, or what becomes of it, is larger than limits.body_bytes",
    "too_many_records": "the body holds more records than one batch may have",
    "unsupported_content_type": "this content type is not taken here",
    "unsupported_encoding": "Content-Encoding is not one of gzip, deflate, zstd, snappy",
    "unsupported_signal": "only logs are taken, no metrics and no traces",
    "truncated_zstd": "the zstd stream ends before its end",
    "truncated_gzip": "the gzip stream ends before its end",
    "truncated_deflate": "the deflate stream ends before its end",
    "truncated_snappy": "the snappy block ends before its end",
    "corrupt_zstd": "the body is not a zstd stream, or has other bytes behind it",
    "corrupt_gzip": "the body is not a gzip stream, or has other bytes behind it",
    "corrupt_deflate": "the body is not a deflate stream, or has other bytes behind it",
    "corrupt_snappy": "the body is not a snappy block, or has other bytes behind it",
    "draining": "this process is shutting down; send the batch again",
    "inflight_bytes": "as much is in memory as limits.inflight_bytes allows; send the batch again",
    "slow_body": "the body did not come within http.read_timeout_secs; send it again",
    "connect": "the receiver of return.url cannot be reached; send the batch again",
    "timeout": "the receiver did not answer in time; send the batch again",
    "closed": "the receiver closed the connection; send the batch again",
    "refused": "the receiver refused the records; the log says how",
    "unavailable": "the receiver cannot take the records now; send the batch again",
    "ack_mismatch": "the receiver acknowledged another chunk; send the batch again",
    "handshake": "the receiver does not accept return.shared_key_file",
    "no_return": "set return.type, or post OTLP to /v1/label to get it back in the answer",
    "unauthorised": "a valid token is missing: Authorization: Bearer <token of http.tokens_file>",
    "out_of_scope": "this token only ships; take one whose line in http.tokens_file has no ship",
    "cross_site": "a page of another site sent this; only programs and our own pages may",
    "internal": "an unforeseen fault; the log says which, send the batch again",
    "stopped": "this process has stopped",
    "not_found": "nothing is served at this path",
    "method_not_allowed": "this method is not allowed here",
    "bad_request": "this is not an HTTP request that can be read",
    "expectation_failed": "only Expect: 100-continue is understood",
}


def sentence(reason: RefusalReason) -> str:
    """What ``reason`` means and what to do about it."""
    return _SENTENCES[reason]
