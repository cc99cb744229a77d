"""The pods beside the sidecars: those of `helm test`, the canary, retraining, the workbench."""

from __future__ import annotations

import pytest

from tests.helm.conftest import Install
from tests.helm.values import VALUES
from waybill.settings.sections.listeners import LimitSettings

#: What the default settings take without a batch, after a reload and while rules are compiled.
STANDING_BYTES = 265_000_000
#: What batches under way take beside `limits.inflight_bytes`.
BESIDE_BYTES = 64_000_000


def test_pods_of_the_release_may_ask_whoever_else_may_not(install: Install) -> None:
    """`helm test`, the canary and the workbench are not among the peers that values name."""
    secret = {"tokensSecret": "tokens"}
    more = {"canary": {"enabled": True}, "workbench": {"enabled": True, **secret}, "http": secret}
    installed = install({**VALUES["network"], **more})
    policy = next(
        one for one in installed.of("NetworkPolicy") if one["metadata"]["name"] == "waybill"
    )
    (own,) = (
        rule["from"][0]["podSelector"]
        for rule in policy["spec"]["ingress"]
        if "podSelector" in rule["from"][0]
    )
    (names,) = own["matchExpressions"]
    assert (names["key"], names["operator"]) == ("app.kubernetes.io/name", "In")
    (job,), (hook,) = installed.of("CronJob"), installed.hooks
    bench = next(one for one in installed.of("Deployment"))
    for metadata in (
        job["spec"]["jobTemplate"]["spec"]["template"]["metadata"],
        bench["spec"]["template"]["metadata"],
        hook["metadata"],
    ):
        assert own["matchLabels"].items() <= metadata["labels"].items()
        assert metadata["labels"]["app.kubernetes.io/name"] in names["values"]


@pytest.mark.parametrize("more", ["canary", "retrain", "workbench", "aggregator"])
def test_labels_for_everything_are_on_every_pod(install: Install, more: str) -> None:
    installed = install({**VALUES[more], "commonLabels": {"team": "logs"}})
    templates = [one["spec"]["template"] for one in installed.of("DaemonSet", "Deployment")]
    templates += [one["spec"]["jobTemplate"]["spec"]["template"] for one in installed.of("CronJob")]
    for one in (*templates, *installed.hooks):
        assert one["metadata"]["labels"]["team"] == "logs", one


def test_the_memory_limit_holds_what_the_default_settings_take(install: Install) -> None:
    (workload,) = install({}).workloads()
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
    assert limit >= STANDING_BYTES + BESIDE_BYTES + LimitSettings().inflight_bytes


def test_the_notes_lead_to_the_pages(install: Install) -> None:
    notes = install(VALUES["workbench"]).notes
    assert "port-forward svc/waybill-workbench 9890" in notes
    assert "open https://localhost:9890/waybill and log in" in notes
    assert "workbench" not in install({}).notes


@pytest.mark.parametrize("more", ["defaults", "workbench"])
def test_commands_in_a_container_find_the_settings_of_the_service(
    install: Install, more: str
) -> None:
    """``kubectl exec POD -- waybill explain ...`` names no file."""
    for workload in install(VALUES.get(more, {})).workloads():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            named = {one["name"]: one.get("value") for one in container["env"]}
            file = named["WAYBILL_CONFIG"]
            assert file in " ".join(container["args"])
            assert any(file.startswith(one["mountPath"]) for one in container["volumeMounts"])
