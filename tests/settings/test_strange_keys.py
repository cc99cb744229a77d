"""A key that no section has is answered with its place, and with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.settings.sources import read_settings


def said(file: Path, text: str) -> list[str]:
    file.write_text(text)
    return [str(problem) for problem in read_settings(file, (), {}).problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Log: {level: debug}", "Log: no such key (did you mean log?)"),
        ("http: {Keepalive-Secs: 1}",
         "http.Keepalive-Secs: no such key (did you mean keepalive_secs?)"),
        ("http: {readTimeoutSecs: 1}",
         "http.readTimeoutSecs: no such key (did you mean read_timeout_secs?)"),
        ("WAYBILL_LOG_LEVEL: debug", ("WAYBILL_LOG_LEVEL: no such key; keys stand below their"
                                     " section, as in log: {level: ...}")),
        ("model_follow_source: x", ("model_follow_source: no such key; keys stand below their"
                                   " section, as in model: {follow: {source: ...}}")),
        ("return.url: x", ("return.url: no such key; keys stand below their section, as in"
                          " return: {url: ...}")),
        ("level: debug", "level: no such key; it is one of another section: log.level"),
        ("model: {extra_paths: [a]}",
         "model.extra_paths: no such key; it is one of another section: rules.extra_paths"),
        ("http: {port: 9880}", ("http.port: no such key; write both parts of the address in one,"
                               " as in listen: 127.0.0.1:9880")),
        ("config: {log: {level: debug}}",
         "config: no such key; log stands at the top of the file, below no other key"),
        ("log:level:debug", "expected a mapping at the top, for example log: {level: info}"),
        ("log:\n  level:debug", ("log: expected a mapping, got 'level:debug'; put a blank (no"
                                " U+00A0) behind each colon")),
        ("log: debug", ("log: expected a mapping, got 'debug'; keys stand below their section, as"
                       " in log: {level: ...}")),
        ("nonsense: 1", "nonsense: no such key"),
    ],
)  # fmt: skip
def test_a_strange_key_says_what_to_write(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "w.yaml"
    assert said(file, text) in ([f"{expected} (from {file}:1)"], [f"{file}: {expected}"])


def test_a_manifest_is_named_as_one(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    (told,) = said(file, "apiVersion: v1\nkind: ConfigMap\ndata: {waybill.yaml: 'log: {}'}\n")
    assert told.startswith(f"{file}: a manifest of Kubernetes; name a file with what stands in it")


def test_a_fault_names_the_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    told = said(
        file,
        "log:\n  level: x\nroutes:\n- source: ['*']\n  tiers:\n  - magic\n"
        "http:\n  listen: nowhere\n  port: 1\nx-a: &a {lisen: 1}\nforward:\n  <<: *a\n",
    )
    places = [problem.rpartition(" (from ")[2] for problem in told if "lisen" not in problem]
    assert places == [f"{file}:{n})" for n in (2, 5, 9, 8)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("waybill_log_level", "(did you mean WAYBILL_LOG_LEVEL?)"),
        ("Waybill_Log_Level", "(did you mean WAYBILL_LOG_LEVEL?)"),
        ("WAYBILL_LOG__LEVEL", "(did you mean WAYBILL_LOG_LEVEL?)"),
        ("WAYBILL_CONFIG_FILE", "(did you mean WAYBILL_CONFIG?)"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_no_silence(name: str, told: str) -> None:
    (problem,) = read_settings(None, (), {name: "debug"}).problems
    assert str(problem) == f"{name}: no such setting {told}"


def test_variables_of_others_are_theirs() -> None:
    assert read_settings(None, (), {"waybill_version": "1", "WAYBILL": "1"}).problems == ()


@pytest.mark.parametrize(
    "flag", ["HTTP.LISTEN", "http-listen", "WAYBILL_HTTP_LISTEN", "http.listn "]
)
def test_a_flag_that_is_nearly_a_setting_names_it(flag: str) -> None:
    (problem,) = read_settings(None, (f"{flag}=127.0.0.1:1",), {}).problems
    assert str(problem) == f"--set {flag}: no such setting (did you mean http.listen?)"


@pytest.mark.parametrize("written", ["{}", " {}\n", '"{}"', "'{}'"])
def test_the_name_of_the_file_may_have_what_variables_have(tmp_path: Path, written: str) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("log: {level: debug}")
    environ = {"WAYBILL_CONFIG": written.format(file)}
    assert read_settings(None, (), environ).settings.log.level == "debug"
    assert read_settings(None, (), {"WAYBILL_CONFIG": " "}).problems == ()
