"""Settings: one typed, frozen tree, put together from its sections.

What a setting means, its bounds and its unit stand at its field in ``settings/sections``; how a
field is written says ``sections/base.py``. Reading them from a file, the environment and flags is
in ``sources.py``.

    >>> Settings().http.listen
    '127.0.0.1:9880'
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from waybill.settings.sections.base import Secret, Section
from waybill.settings.sections.corrections import CorrectionSettings
from waybill.settings.sections.fields import FieldSettings
from waybill.settings.sections.handback import (
    Compression,
    DeadLetterSettings,
    LogSettings,
    ReturnSettings,
    ReturnTlsSettings,
)
from waybill.settings.sections.labelling import (
    DEFAULT_ROUTES,
    FollowSettings,
    LabelSettings,
    MemoSettings,
    ModelSettings,
    RouteSettings,
    RulesFollowSettings,
    RulesSettings,
    ShadowSettings,
    TierName,
)
from waybill.settings.sections.labellings import LabellingSettings
from waybill.settings.sections.listeners import (
    ForwardSettings,
    HttpSettings,
    LimitSettings,
    TlsSettings,
)
from waybill.settings.sections.llm import LlmSettings
from waybill.settings.sections.patterns import PatternSettings
from waybill.settings.sections.workbench import WorkbenchSettings

__all__ = [
    "DEFAULT_ROUTES",
    "Compression",
    "CorrectionSettings",
    "DeadLetterSettings",
    "FieldSettings",
    "FollowSettings",
    "ForwardSettings",
    "HttpSettings",
    "LabelSettings",
    "LabellingSettings",
    "LimitSettings",
    "LlmSettings",
    "LogSettings",
    "MemoSettings",
    "ModelSettings",
    "PatternSettings",
    "ReturnSettings",
    "ReturnTlsSettings",
    "RouteSettings",
    "RulesFollowSettings",
    "RulesSettings",
    "Secret",
    "Section",
    "Settings",
    "ShadowSettings",
    "TierName",
    "TlsSettings",
    "WorkbenchSettings",
]


class Settings(Section, frozen=True):
    """The whole tree."""

    http: HttpSettings = HttpSettings()
    forward: ForwardSettings = ForwardSettings()
    fields: FieldSettings = FieldSettings()
    labels: LabelSettings = LabelSettings()
    corrections: CorrectionSettings = CorrectionSettings()
    rules: RulesSettings = RulesSettings()
    model: ModelSettings = ModelSettings()
    memo: MemoSettings = MemoSettings()
    patterns: PatternSettings = PatternSettings()
    llm: LlmSettings = LlmSettings()
    routes: Annotated[
        tuple[RouteSettings, ...],
        Meta(
            min_length=1,
            description="The first route whose source patterns fit decides which tiers are asked, "
            "in order, and which labels may be answered. The last route must catch every source.",
            examples=[[{"source": ["*"], "tiers": ["rules", "model"]}]],
        ),
    ] = DEFAULT_ROUTES
    labellings: Annotated[
        tuple[LabellingSettings, ...],
        Meta(
            description="Further labellings in the same pass: each gives every record one more "
            "field, of labels of its own. The settings above and below are those of the first one.",
            examples=[[{"name": "severity", "pack": "packs/banking"}]],
        ),
    ] = ()
    return_: ReturnSettings = ReturnSettings()
    limits: LimitSettings = LimitSettings()
    dead_letter: DeadLetterSettings = DeadLetterSettings()
    log: LogSettings = LogSettings()
    workbench: WorkbenchSettings = WorkbenchSettings()
