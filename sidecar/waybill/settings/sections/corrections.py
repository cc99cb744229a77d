"""Corrections: ``corrections``, what people said about labels that were wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import Seconds, Section, Text, TokenFile


class CorrectionSettings(Section, frozen=True):
    """What people said about labels that were wrong: it decides before rules and model."""

    path: Annotated[
        Text | None,
        Meta(
            description="File (*.ndjson, made by the first correction) or folder of such files. "
            "Null: there are no corrections, and none can be made.",
            examples=["/var/lib/waybill/corrections.ndjson"],
        ),
    ] = None
    poll_secs: Annotated[Seconds, Meta(description="As rules.poll_secs, for these files.")] = 2
    guard: Annotated[
        Literal["report", "enforce"],
        Meta(
            description="What to do about rules or a model that contradict a correction. report: "
            "say so. enforce: a new version that contradicts one which the version in force did "
            "not is refused.",
        ),
    ] = "report"
    follow: Annotated[
        Text | None,
        Meta(
            description="Take corrections also from a server that answers GET /v1/corrections, as "
            "another Waybill does, or from a folder.",
            examples=["http://waybill-workbench:9890"],
        ),
    ] = None
    follow_token_file: Annotated[
        TokenFile | None,
        Meta(
            description="File with the bearer token for that server. Read again when it changes.",
            examples=["/etc/waybill/follow-token"],
        ),
    ] = None
    follow_cache: Annotated[
        Text | None,
        Meta(
            description="File that keeps what that server gave, so that it holds after a restart "
            "even while the server is away. Null: it holds again once the server answers.",
            examples=["/var/lib/waybill/followed.ndjson"],
        ),
    ] = None
    interval_secs: Annotated[
        Seconds, Meta(description="How often to ask that server, a tenth more or less.")
    ] = 30
