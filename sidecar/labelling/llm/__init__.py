"""The LLM tier's place in the pipeline.

The tier is a `sidecar.labelling.pipeline.SlowTier` like the model: texts in, futures of verdicts
out. While ``llm.provider`` is null it is simply absent, and a route that names it falls back to
``Unclassified`` with the reason ``llm_disabled``.
"""
