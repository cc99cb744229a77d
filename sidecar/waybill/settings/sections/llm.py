"""The language model tier: ``llm``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import (
    Amount,
    Bytes,
    Count,
    LateTokenFile,
    Milliseconds,
    Seconds,
    Secret,
    Section,
    Text,
    Url,
)


class LlmSettings(Section, frozen=True):
    """The language model, the tier of the LegacyCRM route; off while provider is null."""

    provider: Annotated[
        Literal["groq", "gemini"] | None,
        Meta(
            description="groq (and every server that speaks the OpenAI chat API) or gemini. Null: "
            "no language model is asked.",
        ),
    ] = None
    model: Annotated[
        Text | None,
        Meta(
            description="Name of the model. Null: openai/gpt-oss-20b at groq, "
            "gemini-2.5-flash-lite at gemini.",
            examples=["openai/gpt-oss-20b"],
        ),
    ] = None
    base_url: Annotated[
        Url | None,
        Meta(
            description="Another server than the provider's own.",
            examples=["http://vllm:8000/v1"],
        ),
    ] = None
    proxy: Annotated[
        Url | None,
        Meta(
            description="Proxy on the way to the provider; one of the environment is not used.",
            examples=["http://proxy:3128"],
        ),
    ] = None
    api_key: Annotated[
        Secret | None,
        Meta(
            description="The key, from the environment only: WAYBILL_LLM_API_KEY, or GROQ_API_KEY, "
            "GEMINI_API_KEY, GOOGLE_API_KEY by provider.",
        ),
    ] = None
    api_key_file: Annotated[
        LateTokenFile | None,
        Meta(
            description="File with the key, instead of the environment. Read again when it "
            "changes.",
            examples=["/etc/waybill/llm-key"],
        ),
    ] = None
    prompt: Annotated[
        Text,
        Meta(
            description="File with instructions, label descriptions and examples. Read again when "
            "it changes.",
        ),
    ] = "config/llm.yaml"
    poll_secs: Annotated[Seconds, Meta(description="As rules.poll_secs, for the prompt.")] = 5
    sources: Annotated[
        tuple[Text, ...] | None,
        Meta(
            description="Patterns of sources whose records may leave. Null: all whose route names "
            "llm.",
            examples=[["LegacyCRM"]],
        ),
    ] = None
    private_patterns: Annotated[
        tuple[Text, ...],
        Meta(
            description="Regular expressions; what they match leaves as <private>.",
            examples=[["ACME-[0-9]{6}"]],
        ),
    ] = ()
    wait_ms: Annotated[
        Milliseconds,
        Meta(
            le=5000,
            description="How long a batch waits for the answer. At most 5000, because shippers "
            "give up after 60 s in all. 0: not at all, later records have the label.",
        ),
    ] = 2000
    timeout_secs: Annotated[Seconds, Meta(description="How long one call may take.")] = 10
    calls: Annotated[Count, Meta(description="Calls under way at once.")] = 2
    pack_messages: Annotated[Count, Meta(description="Messages put into one call at most.")] = 20
    pack_chars: Annotated[
        Count,
        Meta(description="Size of the messages of one call at most.", extra={"unit": "characters"}),
    ] = 6000
    pack_wait_ms: Annotated[
        Milliseconds, Meta(description="How long a call waits for more messages.")
    ] = 50
    reply_tokens: Annotated[
        Count,
        Meta(description="What an answer may cost, reasoning included.", extra={"unit": "tokens"}),
    ] = 2048
    queue_messages: Annotated[
        Count,
        Meta(
            description="Messages waiting at most. Beyond it records stay Unclassified, and are "
            "counted.",
        ),
    ] = 1000
    store: Annotated[
        Text | None,
        Meta(
            description="Where verdicts are kept: a file (SQLite), memory, or redis://... (shared "
            "by all nodes). Null: llm.sqlite in $STATE_DIRECTORY, else in $XDG_STATE_HOME/waybill, "
            "else in ~/.local/state/waybill.",
            examples=["/var/lib/waybill/llm.sqlite"],
        ),
    ] = None
    store_days: Annotated[
        float,
        Meta(
            gt=0,
            description="A verdict older than this is asked for again.",
            extra={"unit": "days"},
        ),
    ] = 30
    store_bytes: Annotated[
        Bytes, Meta(description="Size of the store, about. Beyond it the oldest verdicts go.")
    ] = 67_108_864
    requests_per_minute: Annotated[
        float,
        Meta(gt=0, description="Requests of the whole organisation, a minute; see nodes."),
    ] = 30
    tokens_per_day: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Tokens of the whole organisation, in and out, a day (UTC). Null: no "
            "limit.",
            examples=[200_000],
        ),
    ] = 200_000
    budget_per_day: Annotated[
        Amount | None,
        Meta(
            description="Cost for the whole organisation, a day (UTC), in the currency of the "
            "prices. Needs price_in and price_out. Null: no limit.",
            examples=[2.5],
        ),
    ] = None
    price_in: Annotated[
        Amount | None,
        Meta(description="Price of a million tokens sent.", examples=[0.1]),
    ] = None
    price_out: Annotated[
        Amount | None,
        Meta(description="Price of a million tokens received.", examples=[0.4]),
    ] = None
    nodes: Annotated[
        Count,
        Meta(
            description="Waybills that draw on the limits: each takes its share; with Redis they "
            "share one count.",
        ),
    ] = 1
    breaker_failures: Annotated[
        Count,
        Meta(description="Failed calls in a row after which the provider is left alone."),
    ] = 5
    breaker_secs: Annotated[
        Seconds,
        Meta(description="For how long; then one call tries whether it is back."),
    ] = 30
    audit: Annotated[
        Text | None,
        Meta(
            description="File that gets every request as it left, one JSON object per line.",
            examples=["/var/log/waybill/llm.ndjson"],
        ),
    ] = None
    audit_bytes: Annotated[
        Bytes,
        Meta(
            description="Size of the audit file. Beyond it the file begins anew; the one before is "
            "kept as FILE.1.",
        ),
    ] = 104_857_600
