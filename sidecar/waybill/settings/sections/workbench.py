"""The pages for people: ``workbench``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import (
    Address,
    Bytes,
    Count,
    Seconds,
    Section,
    Share,
    Text,
    TokenFile,
    TokensFile,
    Url,
)
from waybill.settings.sections.listeners import TlsSettings

#: How a change reaches the sidecars.
Way = Literal["patch", "follow", "folder", "configmap"]
#: The beginning of a path.
Prefix = Annotated[
    str,
    Meta(
        pattern=r"^(/[\w.~-]+)+$",
        extra={"form": "path that begins with / and does not end with it"},
    ),
]


class WorkbenchSettings(Section, frozen=True):
    """``waybill workbench``, a process of its own that collects patterns and serves pages."""

    listen: Annotated[
        Address,
        Meta(
            description="Address of the pages. One that other machines reach needs tokens_file or "
            "user_header."
        ),
    ] = "127.0.0.1:9890"
    sidecars: Annotated[
        tuple[Url, ...],
        Meta(
            description="The sidecars to ask. A host name that resolves to several addresses, as "
            "that of a headless Service, is one sidecar for each.",
            examples=[["http://waybill-headless.logging:9880"]],
        ),
    ] = ("http://127.0.0.1:9880",)
    sidecar_token_file: Annotated[
        TokenFile | None,
        Meta(
            description="File with the bearer token that the sidecars take. Null: none.",
            examples=["/etc/waybill/token"],
        ),
    ] = None
    store: Annotated[
        Text,
        Meta(
            description="File with everything that the pages know. On a local disk: SQLite does "
            "not work on a network file system.",
        ),
    ] = "waybill-workbench.db"
    apply: Annotated[
        Way,
        Meta(
            description="How a change of rules or corrections reaches the sidecars. patch: the "
            "page shows it and people bring it. follow: the sidecars fetch it (their rules.follow "
            "and corrections.follow). folder: written into `folder`. configmap: `configmap` is "
            "patched.",
        ),
    ] = "patch"
    folder: Annotated[
        Text | None,
        Meta(
            description="The folder that apply: folder writes into, and that the sidecars have "
            "among their rules.extra_paths. Null: the first of rules.extra_paths.",
            examples=["/etc/waybill/rules"],
        ),
    ] = None
    corrections_file: Annotated[
        Text | None,
        Meta(
            description="The file that apply: folder writes corrections into, and that the "
            "sidecars have as corrections.path. Null: corrections.path.",
            examples=["/etc/waybill/corrections/corrections.ndjson"],
        ),
    ] = None
    configmap: Annotated[
        Text | None,
        Meta(
            description="The ConfigMap that apply: configmap patches, NAME or NAMESPACE/NAME. The "
            "sidecars mount it; its keys are rule files and corrections.ndjson.",
            examples=["logging/waybill-workbench"],
        ),
    ] = None
    kubernetes_api: Annotated[
        Url | None,
        Meta(
            description="Address of the Kubernetes API. Null: that of the cluster of this pod.",
            examples=["https://10.0.0.1:6443"],
        ),
    ] = None
    service_account: Annotated[
        Text,
        Meta(description="Folder with token, ca.crt and namespace of the account to patch with."),
    ] = "/var/run/secrets/kubernetes.io/serviceaccount"
    tokens_file: Annotated[
        TokensFile | None,
        Meta(
            description="File with a name, a scope (read, review or apply) and a token on each "
            "line. Null: anyone who reaches the address may do everything.",
            examples=["/etc/waybill/workbench-tokens"],
        ),
    ] = None
    tls: TlsSettings = TlsSettings()
    user_header: Annotated[
        Text | None,
        Meta(
            description="Header in which a proxy names the user it has authenticated. Null: none.",
            examples=["X-Forwarded-User"],
        ),
    ] = None
    trusted_proxies: Annotated[
        tuple[Text, ...],
        Meta(
            description="Addresses or networks of the proxies whose user_header and "
            "X-Forwarded-Proto are believed.",
            examples=[["10.0.0.0/8"]],
        ),
    ] = ()
    hosts: Annotated[
        tuple[Text, ...],
        Meta(
            description="Host names, besides the address itself, by which browsers may ask. A page "
            "asked for by another name is refused.",
            examples=[["waybill.example.com"]],
        ),
    ] = ()
    base_path: Annotated[
        Prefix | None,
        Meta(
            description="Prefix of all addresses behind a proxy. Null: none.",
            examples=["/waybill"],
        ),
    ] = None
    url: Annotated[
        Url | None,
        Meta(
            description="Address of the workbench for people: the page `/` of a sidecar links to "
            "it. Null: no link.",
            examples=["https://waybill.example.com"],
        ),
    ] = None
    collect_secs: Annotated[Seconds, Meta(description="Between two looks at the sidecars.")] = 15
    keep_days: Annotated[
        Count, Meta(description="How long patterns and counts are kept.", extra={"unit": "days"})
    ] = 90
    max_patterns: Annotated[
        Count, Meta(description="Patterns kept; beyond it the least frequent ones go.")
    ] = 100_000
    unsure_below: Annotated[
        Share, Meta(description="A decided pattern with less confidence is shown as unsure.")
    ] = 0.6
    upload_bytes: Annotated[Bytes, Meta(description="Largest file of the CSV page.")] = (
        4_294_967_296
    )
    upload_files: Annotated[
        Count,
        Meta(description="Files of the CSV page that are kept; beyond it one must be deleted."),
    ] = 100
    upload_keep_secs: Annotated[
        Seconds, Meta(description="How long a file of the CSV page and its labels are kept.")
    ] = 86_400
