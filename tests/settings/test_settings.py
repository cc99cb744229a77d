"""Settings: one tree, every problem with its path, and no place where the defaults disagree."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml

from waybill.core.errors import ConfigError
from waybill.settings.addresses import split_address
from waybill.settings.catalogue import catalogue
from waybill.settings.dump import dump_settings
from waybill.settings.resources import hidden_copy, resolve_path
from waybill.settings.schema import Settings
from waybill.settings.sources import ALIASES, load_settings

ROOT = Path(__file__).parents[2]
DEFAULTS = ROOT / "config" / "waybill.yaml"


def problems(
    *overrides: str, environ: dict[str, str] | None = None, file: Path | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, overrides, environ or {})
    return caught.value.problems


def test_the_shipped_file_holds_exactly_the_defaults() -> None:
    assert load_settings(DEFAULTS, environ={}) == Settings()


def test_the_shipped_file_names_every_key() -> None:
    def leaves(tree: dict[str, object], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for key, value in tree.items():
            found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
        return found

    secrets = {"llm.api_key"}
    assert leaves(yaml.safe_load(DEFAULTS.read_text())) == set(catalogue()) - secrets


def test_every_key_of_the_shipped_file_has_a_comment() -> None:
    lines = DEFAULTS.read_text().splitlines()
    bare = [
        line.strip()
        for above, line in itertools.pairwise(lines)
        if re.match(r" +[a-z_]+: \S", line) and "#" not in line and "#" not in above
    ]
    allowed = {"key_file: null", "verify: true", "embedding_cache_bytes: 16777216", "tiers: [llm]",
               "labels: [Workflow Error, Deprecation Warning]", "tiers: [rules, model]", "labels: null"}  # fmt: skip
    assert set(bare) <= allowed


@pytest.mark.parametrize(
    "file", sorted((ROOT / "config").glob("*/waybill.yaml")), ids=lambda path: path.parent.name
)
def test_the_example_files_are_valid(file: Path) -> None:
    assert load_settings(file, environ={}).return_.type in ("http", "forward", "otlp")


def test_a_flag_beats_the_environment_and_the_environment_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("model: {threshold: 0.1}\nmemo: {bytes: 11}\nhttp: {listen: 'localhost:1'}")
    environ = {
        "WAYBILL_MODEL_THRESHOLD": "0.2",
        "WAYBILL_MEMO_BYTES": "22",
        "CONFIDENCE_THRESHOLD": "0.9",
    }
    settings = load_settings(file, ["model.threshold=0.3"], environ)
    assert (settings.model.threshold, settings.memo.bytes, settings.http.listen) == (
        0.3,
        22,
        "localhost:1",
    )


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("log: {level: error}")
    assert load_settings(environ={"WAYBILL_CONFIG": str(file)}).log.level == "error"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LOG_LEVEL", "WARNING", "warning"),
        ("BATCH_SIZE", "8", 8),
        ("MODEL_PATH", "1.0", "1.0"),
        ("CONFIDENCE_THRESHOLD", "0.7", 0.7),
        ("GROQ_API_KEY", "gsk_x", "gsk_x"),
    ],
)
def test_names_of_earlier_systems_work(name: str, value: str, expected: object) -> None:
    section, _, key = ALIASES[name].partition(".")
    assert getattr(getattr(load_settings(environ={name: value}), section), key) == expected


def test_the_names_that_kubernetes_makes_of_services_are_no_settings() -> None:
    links = {
        "WAYBILL_SERVICE_HOST": "10.0.0.1",
        "WAYBILL_SERVICE_PORT": "9880",
        "WAYBILL_SERVICE_PORT_HTTP": "9880",
        "WAYBILL_PORT": "tcp://10.0.0.1:9880",
        "WAYBILL_PORT_9880_TCP": "tcp://10.0.0.1:9880",
        "WAYBILL_PORT_9880_TCP_PROTO": "tcp",
        "WAYBILL_AGGREGATOR_SERVICE_HOST": "10.0.0.2",
        "WAYBILL_AGGREGATOR_PORT_24224_TCP_ADDR": "10.0.0.2",
    }
    assert load_settings(environ=links) == Settings()
    assert problems(environ={"WAYBILL_PORTS": "1"})[0].startswith("WAYBILL_PORTS:")


def test_every_setting_has_an_environment_name_of_its_own() -> None:
    names = [path.replace(".", "_") for path in catalogue()]
    assert len(set(names)) == len(names)


def test_every_problem_is_reported_at_once_with_its_path(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "htp: {}\nmodel: {treshold: 1, threads: many}\nroutes: [{source: ['*'], tiers: [magic]}]\nlimits: 5\n"
    )
    found = problems(file=file, environ={"WAYBILL_NONSENSE": "1"})
    assert [problem.split(":")[0] for problem in found] == [
        "WAYBILL_NONSENSE", "htp", "model.treshold", "model.threads", "routes[0].tiers", "limits",
    ]  # fmt: skip
    assert "did you mean http" in found[1]
    assert "did you mean threshold" in found[2]


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        (["http.listen=nowhere"], "http.listen"),
        (["http.listen=host:99999"], "http.listen"),
        (["model.threshold=1.5"], "model.threshold"),
        (["limits.inflight_bytes=5"], "limits.inflight_bytes"),
        (["return.timeout_secs=60"], "return.timeout_secs"),
        (["return.type=http"], "return.url"),
        (["return.type=http", "return.url=forward://h:1"], "return.url"),
        (["return.type=forward", "return.url=forward://h"], "return.url"),
        (
            ["return.type=forward", "return.url=forward://h:1", "return.compression=zstd"],
            "return.compression",
        ),
        (["return.type=otlp"], "return.url"),
        (["return.type=otlp", "return.url=forward://h:1"], "return.url"),
        (["return.type=otlp", "return.url=http://h:1"], "return.url"),
        (
            ["return.type=otlp", "return.url=http://h:1/v1/logs", "return.compression=zstd"],
            "return.compression",
        ),
        (["forward.listen=127.0.0.1:24224"], "return.type"),
        (['routes=[{source: ["*"], tiers: [model, rules]}]'], "routes[0].tiers"),
        (['routes=[{source: ["*"], tiers: [model, model]}]'], "routes[0].tiers"),
        (['routes=[{source: ["*"], labels: [Eror]}]'], "routes[0].labels"),
        (["routes=[{source: [a]}]"], "routes"),
        (["routes=[{tiers: [model]}]"], "routes[0].source"),
        (["fields.message=[]"], "fields.message"),
        (["fields.tier=target_label"], "fields"),
        (["http.tokens_file=/does/not/exist"], "http.tokens_file"),
        (["http.tls.cert_file=/etc/hostname"], "http.tls"),
        (["memo.bytes=0"], "memo.bytes"),
        (["model.budget_ms=-1"], "model.budget_ms"),
        (["llm.provider=grok"], "llm.provider"),
        (["llm.wait_ms=9000"], "llm.wait_ms"),
        (["llm.requests_per_minute=0"], "llm.requests_per_minute"),
        (["llm.budget_per_day=5"], "llm.budget_per_day"),
        (["llm.base_url=groq.example"], "llm.base_url"),
        (["llm.private_patterns=['(']"], "llm.private_patterns"),
        (["nothing.here=1"], "--set nothing.here"),
        (["just words"], "--set just words"),
    ],
)
def test_what_cannot_work_is_refused(overrides: list[str], path: str) -> None:
    assert any(problem.startswith(path + ":") for problem in problems(*overrides))


def test_secrets_are_taken_from_the_environment_only_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("llm: {api_key: gsk_secret}")
    assert problems(file=file)[0].startswith("llm.api_key:")
    assert problems("llm.api_key=gsk_secret")[0].startswith("llm.api_key:")
    settings = load_settings(
        environ={"WAYBILL_LLM_API_KEY": "gsk_secret"},
        overrides=[
            "return.type=http",
            "return.url=http://user:hunter2@host:1/?a=b&key=open-sesame",
        ],
    )
    assert settings.llm.api_key == "gsk_secret"
    shown = repr(settings.llm) + str(dump_settings(settings))
    assert "gsk_secret" not in shown
    assert "hunter2" not in shown
    assert "open-sesame" not in shown
    assert "//***@host:1/?a=***&key=***" in shown


def test_a_provider_gets_no_key_that_was_meant_for_another() -> None:
    environ = {"GROQ_API_KEY": "gsk_x"}
    assert load_settings(overrides=["llm.provider=groq"], environ=environ).llm.api_key == "gsk_x"
    assert load_settings(overrides=["llm.provider=gemini"], environ=environ).llm.api_key is None
    environ["GEMINI_API_KEY"] = "g"
    assert load_settings(overrides=["llm.provider=gemini"], environ=environ).llm.api_key == "g"
    environ["WAYBILL_LLM_API_KEY"] = "w"
    for provider in ("groq", "gemini"):
        assert (
            load_settings(overrides=[f"llm.provider={provider}"], environ=environ).llm.api_key
            == "w"
        )


@pytest.mark.parametrize(
    "text",
    ["- a\n- b", "a: 1\na: 2", "{", "a: \x00", "http: 1"],
    ids=["list", "twice", "syntax", "nul", "no mapping"],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(text)
    assert problems(file=file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "missing.yaml" in problems(file=tmp_path / "missing.yaml")[0]


@pytest.mark.parametrize(("text", "expected"), [("h:1", ("h", 1)), ("[::1]:80", ("::1", 80))])
def test_an_address_is_split_into_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


def test_a_relative_path_falls_back_to_the_packaged_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_path("rules")[1]
    (tmp_path / "rules").mkdir()
    assert resolve_path("rules") == (Path("rules"), False)
    assert resolve_path("/nowhere") == (Path("/nowhere"), False)
    # A folder of one's own is used, and said to stand before ours; ours itself hides nothing.
    assert hidden_copy("rules") == ROOT / "rules"
    assert (
        hidden_copy("models")
        is hidden_copy("/nowhere")
        is hidden_copy(str(tmp_path / "rules"))
        is None
    )
    monkeypatch.chdir(ROOT)
    assert hidden_copy("rules") is None


@pytest.mark.parametrize(
    "path", ["tests", "docs", "examples", "models", "config", "rules/..", "rules/../tests", "."]
)
def test_nothing_else_of_a_checkout_is_taken_for_a_packaged_copy(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not resolve_path(path)[1]


@pytest.mark.parametrize("path", ["rules", "./rules/", "models/default", "config/labels.yaml"])
def test_what_comes_with_waybill_is_found_from_any_folder(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_path(path)[1]


def test_further_rules_are_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (problem,) = problems('rules.extra_paths=["rules"]')
    assert "rules.extra_paths: no such folder: rules; looked for" in problem
    (tmp_path / "one.yaml").write_text("rules: []")
    (problem,) = problems('rules.extra_paths=["one.yaml"]')
    assert problem.startswith("rules.extra_paths: one.yaml is not a folder: name the folder")


def test_the_collector_example_meets_waybills_own() -> None:
    collector = yaml.safe_load((ROOT / "config" / "otel" / "collector.yaml").read_text())
    waybill = load_settings(ROOT / "config" / "otel" / "waybill.yaml", environ={})
    pipelines = collector["service"]["pipelines"]
    assert all(
        name in collector["receivers"]
        for pipeline in pipelines.values()
        for name in pipeline["receivers"]
    )
    assert all(
        name in collector["exporters"]
        for pipeline in pipelines.values()
        for name in pipeline["exporters"]
    )
    assert (
        collector["exporters"]["otlphttp/waybill"]["logs_endpoint"]
        == f"http://{waybill.http.listen}/v1/logs"
    )
    endpoint = collector["receivers"]["otlp/labelled"]["protocols"]["http"]["endpoint"]
    assert waybill.return_.url == f"http://{endpoint}/v1/logs"


@pytest.mark.parametrize(
    "address", [":9880", "0.0.0.0:9880", "[::]:9880", "10.1.2.3:9880", "waybill:9880"]
)
def test_beyond_the_loopback_address_a_secret_is_asked_for(tmp_path: Path, address: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("secret\n")
    for section, key in (("http", "tokens_file"), ("forward", "shared_key_file")):
        push = [
            "return.type=forward",
            "return.url=forward://127.0.0.1:1",
            f"{section}.listen={address}",
        ]
        (problem,) = problems(*push)
        assert problem.startswith(f"{section}.listen: ")
        assert f"{section}.{key}" in problem
        load_settings(overrides=[*push, f"{section}.{key}={tokens}"], environ={})
        load_settings(overrides=[*push, f"{section}.allow_anonymous=true"], environ={})


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0", "127.8.9.1:0"])
def test_the_loopback_address_needs_no_secret(address: str) -> None:
    settings = load_settings(overrides=[f"http.listen={address}"], environ={})
    assert (settings.http.listen, settings.http.tokens_file) == (address, None)
