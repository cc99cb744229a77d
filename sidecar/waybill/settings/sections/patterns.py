"""What is kept of the messages that come by: ``patterns``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import Seconds, Section, Share, Text


class PatternSettings(Section, frozen=True):
    """The table of patterns: what is said how often, and what is decided about it."""

    enabled: Annotated[
        bool,
        Meta(description="True: count patterns and sources, for `/v1/patterns` and `/v1/sources`."),
    ] = True
    size: Annotated[
        int,
        Meta(
            ge=100,
            le=500_000,
            description="Patterns that have a place, 500 bytes each. When all are taken, the "
            "lightest goes first, and what nobody could decide goes last.",
        ),
    ] = 20_000
    sample_every: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Of what is decided at once, one record in so many is looked at. What "
            "takes the slow way is counted one by one.",
        ),
    ] = 32
    examples: Annotated[
        Literal["cleaned", "none"],
        Meta(
            description="cleaned: keep up to three messages of a pattern, and show them without "
            "secrets and personal data. none: keep no messages.",
        ),
    ] = "cleaned"
    unsure_below: Annotated[
        Share,
        Meta(description="Patterns with a lower confidence come right behind undecided ones."),
    ] = 0.6
    path: Annotated[
        Text | None,
        Meta(
            description="File of the patterns that are known, 12 bytes each, so that they are not "
            "new after a restart. Null: known until then only.",
            examples=["/var/lib/waybill/patterns.known"],
        ),
    ] = None
    learn_secs: Annotated[
        Seconds,
        Meta(
            description="So long after the first start, or after each without a file, patterns "
            "are learnt and not counted as new.",
        ),
    ] = 3600
    named_sources: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Sources with metrics of their own; the records of all others count as "
            "`other`. 0: no metrics by source.",
        ),
    ] = 20
