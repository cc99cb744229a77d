"""The LLM tier: a language model reads what rules and model left undecided.

    submit -> clean (privacy) -> store? -> queue -> pack -> guards -> provider -> validate -> store

It is a `waybill.labelling.tier.Tier` like the model: texts in, futures of verdicts out. A network
service with a price, a limit and a mind of its own stands behind it, so every step may say no, and
a no costs a record its label for the time being and nothing else. While ``llm.provider`` is null
the tier is absent, and a route that names it answers with the fallback label and ``llm_disabled``.

`tier` holds the flow, `packs` what goes together into a call, `prompt` what is asked and what
counts as an answer, `privacy` what may leave, `guards` how often and for how much (`window`,
`ledger`, `breaker`), `calls` one call, `store` what was answered before, `providers` who is asked;
`build` puts them together. The clients of the providers and of Redis are imported only when they
are configured.
"""
