"""The model tier: a checked bundle, and a micro-batcher that serves it."""
