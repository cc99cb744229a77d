"""A refused setting is answered with its name, the value, what is allowed and an example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waybill.core.errors import ConfigError
from waybill.settings.catalogue import catalogue
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings, read_settings


def said(*overrides: str, file: Path | None = None, **environ: str) -> list[str]:
    return [str(problem) for problem in read_settings(file, overrides, environ).problems]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("log.level=chatty", "log.level: 'chatty' is not one of debug, info, warning, error"),
        ("log.level=warnin", ("log.level: 'warnin' is not one of debug, info, warning, error"
                             " (did you mean warning?)")),
        ("return.type=forwrd", ("return.type: 'forwrd' is not one of body, http, forward, otlp"
                               " (did you mean forward?)")),
        ("http.workers=many", "http.workers: 'many' is not a whole number; for example 2"),
        ("http.workers=2.5", "http.workers: 2.5 is not a whole number; for example 2"),
        ("http.workers=true", "http.workers: 'true' is not a whole number; for example 2"),
        ("http.workers=", "http.workers: is empty; expected a whole number, for example 2"),
        ("http.workers=0", "http.workers: expected at least 1, got 0"),
        ("limits.body_bytes=-1", "limits.body_bytes: expected at least 1 (bytes), got -1"),
        ("http.drain_secs=soon", "http.drain_secs: 'soon' is not a number (seconds); for example 20"),
        ("http.drain_secs=20s", "http.drain_secs: '20s' is not a number (seconds); write 20"),
        ("http.drain_secs=1.5 min", "http.drain_secs: '1.5 min' is not a number (seconds); write 90"),
        ("http.drain_secs=1:30", "http.drain_secs: '1:30' is not a number (seconds); for example 20"),
        ("limits.body_bytes=1MB", ("limits.body_bytes: '1MB' is not a whole number (bytes);"
                                  " write 1000000")),
        ("limits.body_bytes=64 MiB", ("limits.body_bytes: '64 MiB' is not a whole number (bytes);"
                                     " write 67108864")),
        ("limits.body_bytes=64Mi", ("limits.body_bytes: '64Mi' is not a whole number (bytes);"
                                   " write 67108864")),
        ("llm.wait_ms=2s", "llm.wait_ms: '2s' is not a whole number (milliseconds); write 2000"),
        ("llm.store_days=7 days", "llm.store_days: '7 days' is not a number (days); write 7"),
        ("http.drain_secs=inf", "http.drain_secs: inf is not a number to work with; for example 20"),
        ("http.drain_secs=nan", "http.drain_secs: expected more than 0 (seconds), got nan"),
        ("return.timeout_secs=60", ("return.timeout_secs: expected more than 0, at most 30 (seconds),"
                                   " got 60")),
        ("model.threshold=1.5", "model.threshold: expected 0 to 1, got 1.5"),
        ("http.allow_anonymous=perhaps", "http.allow_anonymous: 'perhaps' is neither true nor false"),
        ("rules.extra_paths=/etc/rules", ("rules.extra_paths: expected a list, for example"
                                         ' ["/etc/waybill/rules"]; got \'/etc/rules\'')),
        ("rules.extra_paths=[a: b]", ("rules.extra_paths: expected a list of texts, but a mapping is"
                                     " not a text; write it in quotes")),
        ("workbench.sidecars=[a:9880]", ("workbench.sidecars: 'a:9880' is not a URL that begins with"
                                        " http:// or https://; for example"
                                        ' ["http://waybill-headless.logging:9880"]')),
        ("fields.message=[]", ("fields.message: expected at least one element; for example"
                              ' ["log", "message", "log_message", "msg", "body"]')),
        ("http.listen=127.0.0.1", ("http.listen: expected host:port, for example 127.0.0.1:9880;"
                                  " got '127.0.0.1'")),
        ("llm.base_url=vllm:8000", ("llm.base_url: 'vllm:8000' is not a URL that begins with http:// or"
                                   " https://; for example http://vllm:8000/v1")),
        ("model.follow.version=1.0", "model.follow.version: '1.0' is not a version; for example v1.2"),
        ('routes=[{source: ["*"], tiers: [magic]}]',
         "routes[0].tiers: 'magic' is not one of rules, model, llm"),
    ],
)  # fmt: skip
def test_a_value_is_answered_with_what_is_allowed(override: str, expected: str) -> None:
    assert said(override) == [expected]


@pytest.mark.parametrize("path", [path for path, one in catalogue().items() if one.words])
def test_every_closed_set_names_its_words(path: str) -> None:
    setting = catalogue()[path]
    (problem,) = read_settings(None, (), {setting.environment: "chatty"}).problems
    told = str(problem)
    assert told.startswith(f"{path}: 'chatty' is not one of {', '.join(setting.words)}")
    assert told.endswith(f" (from {setting.environment})")


def test_a_word_that_is_close_to_none_is_answered_with_what_each_of_them_means() -> None:
    (told,) = said("llm.provider=openai")
    assert "is not one of groq, gemini. groq (and every server that speaks the OpenAI chat" in told
    assert said("llm.provider=grok") == [
        "llm.provider: 'grok' is not one of groq, gemini (did you mean groq?)"
    ]


@pytest.mark.parametrize(
    "path", [path for path, one in catalogue().items() if one.form in ("whole", "number", "switch")]
)
def test_every_number_and_switch_refuses_a_word_in_words(path: str) -> None:
    (problem,) = said(f"{path}=[chatty]")
    assert problem.startswith(f"{path}: ")
    assert "`" not in problem, "no type names of the library"
    assert "for example" in problem or "neither true nor false" in problem


@pytest.mark.parametrize(
    ("value", "level"),
    [("Info", "info"), ("WARN", "warning"), ("ERROR ", "error"), ("Debug\r\n", "debug")],
)
def test_words_are_taken_in_any_case(tmp_path: Path, value: str, level: str) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(f"log: {{level: {value.strip()}}}")
    assert load_settings(file, environ={}).log.level == level
    assert load_settings(environ={"LOG_LEVEL": value}).log.level == level
    assert load_settings(overrides=[f"log.level={value}"], environ={}).log.level == level


@pytest.mark.parametrize("value", ["TRUE", "tRuE", "Yes", "on", "'true'", "1", "'1'"])
def test_switches_are_taken_in_any_case(value: str) -> None:
    assert load_settings(
        overrides=[f"http.allow_anonymous={value}"], environ={}
    ).http.allow_anonymous
    off = load_settings(environ={"WAYBILL_PATTERNS_ENABLED": "0"})
    assert not off.patterns.enabled


def test_a_whole_number_stands_for_a_fraction_and_an_exponent_is_a_number() -> None:
    settings = load_settings(overrides=["memo.bytes=1_000", "model.threshold=1e-1"], environ={})
    assert (settings.memo.bytes, settings.model.threshold) == (1000, 0.1)
    assert load_settings(overrides=["llm.requests_per_minute=5"]).llm.requests_per_minute == 5.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5), ('"5"', 5), ("' 5 '", 5), ("5.0", 5), ("05", 5), ("010", 10), ("0x10", 16),
        ("1e6", 1_000_000), ("5.36870912e+08", 536_870_912), ("1_000", 1000),
    ],
)  # fmt: skip
def test_a_number_is_what_people_mean_by_it(tmp_path: Path, text: str, expected: int) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(f"memo: {{bytes: {text}}}\nrules: {{poll_secs: {text}}}")
    environ = {"WAYBILL_MEMO_BYTES": text, "WAYBILL_RULES_POLL_SECS": text}
    for settings in (load_settings(file, environ={}), load_settings(environ=environ)):
        assert (settings.memo.bytes, settings.rules.poll_secs) == (expected, expected)
        assert isinstance(settings.memo.bytes, int)


@pytest.mark.parametrize("text", ["1.10", "0010", "2024-01-01", "1:30", "no", "on", "1e3", "0x10"])
def test_a_text_is_what_is_written(tmp_path: Path, text: str) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(f"return: {{tag_prefix: {text}}}\nfields: {{message: [{text}]}}")
    settings = load_settings(file, environ={})
    assert (settings.return_.tag_prefix, settings.fields.message) == (text, (text,))


@pytest.mark.parametrize("path", sorted(catalogue()))
def test_an_emptied_variable_is_one_that_is_not_set(path: str) -> None:
    setting = catalogue()[path]
    if path == "return.tag_prefix":
        # This text may be empty, so emptied is what it is.
        for empty in ("", "''", '""'):
            assert load_settings(environ={setting.environment: empty}).return_.tag_prefix == ""
        return
    for empty in ("", " ", "\n", "\r\n"):
        assert load_settings(environ={setting.environment: empty}) == Settings()


def test_texts_are_taken_as_written_but_for_quotes_around_them() -> None:
    for given, expected in (
        ("1.0", "1.0"),
        ("'my model'", "my model"),
        ("it's", "it's"),
        ("a: b", "a: b"),
    ):
        assert load_settings(environ={"WAYBILL_MODEL_PATH": given}).model.path == expected


def test_a_fault_brings_no_second_one_that_only_follows_from_it() -> None:
    assert len(said("http.listen=10.0.0.1")) == 1
    assert len(said("http.listen=0.0.0.0:1", "http.token_file=/x")) == 1
    assert len(said("http.listen=0.0.0.0:1", WAYBILL_HTTP_TOKEN_FILE="/x")) == 1
    assert len(said("return.type=htp", "return.url=forward://h:1")) == 1
    assert len(said("limits.body_bytes=x", "limits.inflight_bytes=5")) == 1
    assert len(said("llm.budget_per_day=5", "llm.price_in=x", "llm.price_out=1")) == 1


def test_an_unreadable_file_brings_no_faults_of_other_settings(tmp_path: Path) -> None:
    problems = said("http.listen=0.0.0.0:1", "log.level=x", file=tmp_path / "nope.yaml")
    assert [problem.partition(":")[0] for problem in problems] == ["--config", "log.level"]


def test_a_pair_of_files_that_is_not_whole_hides_no_fault_of_its_files() -> None:
    pair, file = said("http.tls.cert_file=/proc/nowhere")
    assert pair.startswith("http.tls: ")
    assert file == "http.tls.cert_file: cannot read /proc/nowhere"


def test_faults_that_do_not_follow_from_each_other_are_all_said() -> None:
    found = said("log.level=x", "http.listen=nowhere", "return.type=http", "memo.bytes=0")
    assert [problem.partition(":")[0] for problem in found] == [
        "log.level", "memo.bytes", "http.listen", "return.url",
    ]  # fmt: skip


def test_a_missing_settings_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "nope.yaml"
    (flag,) = said(file=file)
    assert flag.startswith(f"--config: {file}: no such file; looked for {file}. ")
    (variable,) = said(WAYBILL_CONFIG=str(file))
    assert variable.startswith(f"WAYBILL_CONFIG: {file}: no such file")


def test_a_relative_path_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "w.yaml"
    file.write_text("rules: {extra_paths: [r]}\nhttp: {tokens_file: t}")
    rules, tokens = sorted(said(file=file), reverse=True)
    assert rules.startswith(f"rules.extra_paths: no such folder: r; looked for {tmp_path}/r")
    assert tokens.startswith(f"http.tokens_file: cannot read t; looked for {tmp_path}/t")
    file.write_text("rules: {extra_paths: [/proc/nowhere]}")
    assert said(file=file) == [f"rules.extra_paths: no such folder: /proc/nowhere (from {file}:1)"]


@pytest.mark.parametrize("path", ["rules.path", "llm.prompt", "labels.path"])
def test_what_must_be_there_is_said_with_its_setting_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (problem,) = said("llm.provider=groq", f"{path}=mine")
    assert problem.startswith(f"{path}: no such ")
    assert (
        f"looked for {tmp_path}/mine, as relative paths start at the working directory" in problem
    )
    (absolute,) = said("llm.provider=groq", f"{path}=/proc/nowhere")
    assert absolute.endswith(": /proc/nowhere")


def test_what_is_not_used_need_not_be_there() -> None:
    assert said("llm.prompt=nope") == []
    assert said("model.path=null") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log:\n  level: info\n level: x\n", ":3: while parsing a block mapping, expected"),
        ("log:\n\tlevel: info\n", ":2: while scanning for the next token, found character '\\t'"),
        ("a: [1, 2\nb: 3\n", ":2: "),
        ("log: {level: info}\nlog: {level: info}", ":2: key 'log' given twice"),
        ("log: {level: info}\nhttp: '\x01'\n", ":2: the character U+0001 is not allowed in YAML"),
        ("[" * 100_000, ": is nested too deeply"),
        ("- a\n", ": expected a mapping at the top, for example log: {level: info}"),
    ],
)
def test_a_fault_of_yaml_is_said_with_file_and_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(text)
    (problem,) = said(file=file)
    assert problem.startswith(f"{file}{expected}")
    assert "\n" not in problem
    assert "^" not in problem
    assert "unicode string" not in problem


def test_a_file_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_bytes(b"log: {level: \xff}")
    assert said(file=file) == [f"{file}:1: not UTF-8: invalid start byte; save it as UTF-8"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_that_windows_saved_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "w.yaml"
    file.write_bytes("log: {level: error}\r\n".encode(encoding))
    assert load_settings(file, environ={}).log.level == "error"


def test_merge_keys_of_yaml_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("http:\n  <<: &tls {drain_secs: 7, keepalive_secs: 8}\n  keepalive_secs: 9\n")
    http = load_settings(file, environ={}).http
    assert (http.drain_secs, http.keepalive_secs) == (7, 9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n- {id: a, label: Error, pattern: x}\n", "put it into a folder of rules.path"),
        ("labels:\n- {name: A, description: x}\n", "name it in labels.path"),
    ],
)
def test_another_kind_of_file_given_as_settings_is_recognised(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="expected a mapping") as caught:
        load_settings(file, environ={})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http.listen: 127.0.0.1:9\n", "keys stand below their section, as in http: {listen: ...}"),
        ("y-base: &b {level: debug}\nlog: {<<: *b}\n", "y-base: no such key"),
        ("log: {x-level: debug}\n", "log.x-level: no such key"),
    ],
)
def test_keys_in_odd_places_are_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "waybill.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_settings(file, environ={})


def test_keys_at_the_top_may_hold_what_others_take_over(tmp_path: Path) -> None:
    file = tmp_path / "waybill.yaml"
    file.write_text("x-base: &b {level: debug}\nlog: {<<: *b}\n")
    assert load_settings(file, environ={}).log.level == "debug"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "http=5",
            "--set http: a section, and no setting; name one of its keys, as in http.listen",
        ),
        ("http.listen=http://127.0.0.1:9880", "http.listen: expected host:port"),
    ],
)
def test_overrides_that_are_near_are_told(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_settings(overrides=[override], environ={})
