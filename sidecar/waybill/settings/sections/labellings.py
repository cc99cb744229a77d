"""Further labellings: other labels for the same records, each in a field of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import Section, Share, Text
from waybill.settings.sections.labelling import RouteSettings

#: What can stand beside a label, in the order in which it is added.
Detail = Literal["tier", "confidence", "rule", "reason"]


class LabellingSettings(Section, frozen=True):
    """One more labelling: its labels, who gives them, and the field that they go into."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_]{0,31}$",
            description="Its name in metrics, in `/readyz` and for `--labelling`.",
            examples=["severity"],
            extra={"form": "name of small letters, digits and _"},
        ),
    ]
    field: Annotated[
        Text | None,
        Meta(
            description="The field that records get. Null: the labelling's name.",
            examples=["severity"],
        ),
    ] = None
    details: Annotated[
        tuple[Detail, ...],
        Meta(
            description="What is added beside the field: with the field `severity` these are "
            "`severity_tier`, `severity_confidence`, `severity_rule` and `severity_reason`.",
        ),
    ] = ("tier", "confidence", "rule", "reason")
    relabel: Annotated[
        bool,
        Meta(description="As fields.relabel: true replaces what records bring in that field."),
    ] = False
    pack: Annotated[
        Text | None,
        Meta(
            description="Folder with `labels.yaml`, and with `rules` and `model` where there are "
            "such. `packs/banking` leads to the one that comes with Waybill.",
            examples=["packs/banking"],
        ),
    ] = None
    labels: Annotated[
        Text | None,
        Meta(
            description="File of its labels, as labels.path. Null: that of the pack.",
            examples=["/etc/waybill/severity.yaml"],
        ),
    ] = None
    rules: Annotated[
        Text | None,
        Meta(
            description="Folder of its rules, as rules.path. Null: those of the pack, if any.",
            examples=["/etc/waybill/severity-rules"],
        ),
    ] = None
    extra_rules: Annotated[
        tuple[Text, ...],
        Meta(
            description="More folders of rules, as rules.extra_paths.",
            examples=[["/etc/waybill/our-severity-rules"]],
        ),
    ] = ()
    model: Annotated[
        Text | None,
        Meta(
            description="Folder of its model bundle, as model.path. Null: that of the pack, if "
            "any.",
            examples=["/etc/waybill/severity-model"],
        ),
    ] = None
    corrections: Annotated[
        Text | None,
        Meta(
            description="File or folder of its corrections, whose lines carry `labelling` with its "
            "name. Null: that of corrections.path.",
            examples=["/var/lib/waybill/severity.ndjson"],
        ),
    ] = None
    threshold: Annotated[
        Share | None,
        Meta(description="As model.threshold.", examples=[0.7]),
    ] = None
    routes: Annotated[
        tuple[RouteSettings, ...],
        Meta(
            min_length=1,
            description="As routes, with the tiers rules and model: a language model is asked for "
            "the first labelling only.",
            examples=[[{"source": ["*"], "tiers": ["rules", "model"]}]],
        ),
    ] = (RouteSettings(source=("*",), tiers=("rules", "model")),)
