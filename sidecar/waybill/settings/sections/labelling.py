"""What labels records: ``labels``, ``rules``, ``model``, ``memo``, ``routes``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import (
    Bytes,
    Count,
    Milliseconds,
    Seconds,
    Section,
    Share,
    Text,
    TokenFile,
    Url,
)

TierName = Literal["rules", "model", "llm"]


class LabelSettings(Section, frozen=True):
    """Which labels there are."""

    path: Annotated[
        Text,
        Meta(
            description="File of the labels, what each means, and which one says that nobody "
            "knows. `config/labels.yaml` leads to the ten that come with Waybill unless there is a "
            "file of that name. Rules, routes, model and prompt must use these labels.",
            examples=["/etc/waybill/labels.yaml"],
        ),
    ] = "config/labels.yaml"


class RulesFollowSettings(Section, frozen=True):
    """Take rule files also from a workbench; off while source is null."""

    source: Annotated[
        Url | None,
        Meta(
            description="Address of the workbench. Its files stand beside those of path and "
            "extra_paths.",
            examples=["http://waybill-workbench:9890"],
        ),
    ] = None
    token_file: Annotated[
        TokenFile | None,
        Meta(
            description="File with the bearer token for it. Read again when it changes.",
            examples=["/etc/waybill/follow-token"],
        ),
    ] = None
    into: Annotated[
        Text,
        Meta(
            description="Folder that keeps what came, so that it holds after a restart even while "
            "the workbench is away.",
        ),
    ] = "followed-rules"
    interval_secs: Annotated[
        Seconds, Meta(description="How often to ask, a tenth more or less.")
    ] = 30


class RulesSettings(Section, frozen=True):
    """Where rules come from and what loading them may cost."""

    path: Annotated[
        Text | None,
        Meta(
            description="Folder of *.yaml files, read in the order of their names. `rules` leads "
            "to the rules that come with Waybill unless there is a folder of that name. Null: none "
            "but those of extra_paths and of follow.",
        ),
    ] = "rules"
    extra_paths: Annotated[
        tuple[Text, ...],
        Meta(
            description="More folders. The files of all folders are sorted together by name. A "
            "relative path starts at the working directory.",
            examples=[["/etc/waybill/rules"]],
        ),
    ] = ()
    disable: Annotated[
        tuple[Text, ...],
        Meta(
            description="Ids of rules that are left out, from any file; * and ? stand "
            "for any characters. A rule file can do the same with `disable:` at its top.",
            examples=[["cron-started", "openstack-*"]],
        ),
    ] = ()
    poll_secs: Annotated[
        Seconds,
        Meta(description="Changes are seen at once by file events, at the latest after this."),
    ] = 5
    compile_secs: Annotated[
        Seconds,
        Meta(
            description="Processor time to check and compile the rules, in a process of its own; "
            "by the clock four times as much.",
        ),
    ] = 30
    compile_bytes: Annotated[Bytes, Meta(description="Memory that this process may use.")] = (
        536_870_912
    )
    keep_compiled: Annotated[
        bool,
        Meta(
            description="Keep compiled rules, so that the next start or command need not compile "
            "them: in $CACHE_DIRECTORY/rules, else in $XDG_CACHE_HOME/waybill/rules, else in "
            "~/.cache/waybill/rules. Where there is no such folder, or others can write to it, "
            "nothing is kept.",
        ),
    ] = True
    follow: RulesFollowSettings = RulesFollowSettings()


class FollowSettings(Section, frozen=True):
    """Take newer versions of the model from a repository or a folder; off while source is null."""

    source: Annotated[
        Text | None,
        Meta(
            description="owner/name of a Hugging Face model repository, or a folder of version "
            "folders.",
            examples=["acme/waybill-model"],
        ),
    ] = None
    version: Annotated[
        Annotated[str, Meta(pattern=r"^v\d{1,6}\.\d{1,6}$", extra={"form": "version"})] | None,
        Meta(
            description="Stay on this version. Null: the newest that is accepted.",
            examples=["v1.2"],
        ),
    ] = None
    endpoint: Annotated[
        Text | None,
        Meta(
            description="Another server that speaks the Hub's API.",
            examples=["https://hub.example.com"],
        ),
    ] = None
    into: Annotated[
        Text,
        Meta(
            description="Folder that versions are put into; `current` there takes the place of "
            "model.path.",
        ),
    ] = "models/followed"
    interval_secs: Annotated[
        Seconds, Meta(description="How often to look, a tenth more or less.")
    ] = 300


class ShadowSettings(Section, frozen=True):
    """A candidate beside the model: it answers a sample of new messages, and decides nothing."""

    path: Annotated[
        Text | None,
        Meta(
            description="Folder of its bundle, or folder of versions, of which the newest is "
            "taken. It need not be there yet, and is loaded again when it changes. Null: none.",
            examples=["models/candidate"],
        ),
    ] = None
    sample: Annotated[
        Share,
        Meta(description="Share of the messages put to the model that the candidate sees too."),
    ] = 0.1


class ModelSettings(Section, frozen=True):
    """The local classifier."""

    path: Annotated[
        Text | None,
        Meta(
            description="Folder of the model bundle. `models/default` leads to the one that comes "
            "with Waybill unless there is a folder of that name. Null: serve without a model.",
        ),
    ] = "models/default"
    threshold: Annotated[
        Share | None,
        Meta(
            description="Below this confidence the label is Unclassified. Null: the bundle's own "
            "thresholds.",
            examples=[0.7],
        ),
    ] = None
    budget_ms: Annotated[
        Milliseconds,
        Meta(description="With over_budget defer: how long a batch waits for the model."),
    ] = 2000
    over_budget: Annotated[
        Literal["wait", "defer"],
        Meta(
            description="wait: a batch waits for the model. defer: after budget_ms answer "
            "Unclassified (tier pending), and have the label the next time.",
        ),
    ] = "wait"
    batch_size: Annotated[Count, Meta(description="Messages given to the encoder at once.")] = 32
    threads: Annotated[Count, Meta(description="Messages embedded side by side.")] = 2
    queue_messages: Annotated[
        Count,
        Meta(
            description="Messages waiting at most. Beyond it records stay Unclassified, and are "
            "counted.",
        ),
    ] = 20_000
    embedding_cache_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Size of the cache of embeddings, about. 0: none.",
            extra={"unit": "bytes"},
        ),
    ] = 16_777_216
    poll_secs: Annotated[Seconds, Meta(description="As rules.poll_secs, for the bundle.")] = 5
    follow: FollowSettings = FollowSettings()
    shadow: ShadowSettings = ShadowSettings()


class MemoSettings(Section, frozen=True):
    """The cache of verdicts."""

    bytes: Annotated[Bytes, Meta(description="Size of the cache, about.")] = 33_554_432


class RouteSettings(Section, frozen=True):
    """One route: the first whose source patterns fit decides tiers and allowed labels."""

    source: Annotated[
        tuple[Text, ...],
        Meta(description="Patterns of sources, such as billing-*.", examples=[["billing-*"]]),
    ]
    tiers: Annotated[
        tuple[TierName, ...],
        Meta(
            description="Tiers that are asked, in this order. Empty: every label is Unclassified.",
            examples=[["rules", "model"]],
        ),
    ] = ()
    labels: Annotated[
        tuple[Text, ...] | None,
        Meta(
            description="Labels that may be answered. Null: all.",
            examples=[["Error", "Critical Error"]],
        ),
    ] = None


DEFAULT_ROUTES = (
    RouteSettings(
        source=("LegacyCRM",), tiers=("llm",), labels=("Workflow Error", "Deprecation Warning")
    ),
    RouteSettings(source=("*",), tiers=("rules", "model")),
)
