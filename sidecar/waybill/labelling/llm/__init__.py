"""The LLM tier: a language model reads what rules and model left undecided.

    submit -> clean (privacy) -> store? -> queue -> pack -> guards -> provider -> validate -> store

It is a `waybill.labelling.pipeline.SlowTier` like the model: texts in, futures of verdicts out. A
network service with a price, a limit and a mind of its own stands behind it, so every step may say
no, and a no costs a record its label for the time being and nothing else. While ``llm.provider`` is
null the tier is absent, and a route that names it answers ``Unclassified`` with ``llm_disabled``.

`tier` holds the flow, `prompt` what is asked and what counts as an answer, `privacy` what may leave,
`guards` how often and for how much, `store` what was answered before, `provider` and `gemini` who is
asked. The clients of the providers and of Redis are imported only when they are configured.
"""
