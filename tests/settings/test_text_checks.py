"""Texts that look right and cannot work are refused when settings are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.settings.sources import read_settings


def said(*overrides: str) -> list[str]:
    return [str(problem) for problem in read_settings(None, overrides, {}).problems]


@pytest.mark.parametrize(
    "setting", ["dead_letter.path", "patterns.path", "llm.store", "rules.path"]
)
@pytest.mark.parametrize("text", ["~/a", "~me/a", "$HOME/a", "a/${NAME}", "{{ .Values.a }}"])
def test_what_a_shell_would_fill_in_is_refused(setting: str, text: str) -> None:
    (told,) = said(f"{setting}={text}")
    assert told == (
        f"{setting}: {text!r} is taken as it stands: write out what a shell or template would "
        "fill in"
    )


@pytest.mark.parametrize("text", ["a~b", "/var/lib/a$", "cost$5", "~~", "a$b"])
def test_signs_that_mean_nothing_to_a_shell_are_taken(text: str) -> None:
    assert said(f"dead_letter.path={text}") == []


@pytest.mark.parametrize(
    "url",
    ["http://", "http://:80/", "http://h:0", "http://h:99999", "http://h:abc/", "http://ho st/",
     "http://h,http://i", "http://h\\p", "https:///path", "http://[::1/"],
)  # fmt: skip
def test_an_address_that_nobody_can_ask_is_refused(url: str) -> None:
    for setting in ("rules.follow.source", "workbench.url", "llm.base_url", "llm.proxy"):
        (told,) = said(f"{setting}={url}")
        assert told.startswith(f"{setting}: ")
    assert any("workbench.sidecars: " in told for told in said(f"workbench.sidecars=['{url}']"))
    assert any("return.url: " in told for told in said("return.type=http", f"return.url={url}"))


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://u:p@h:1/p?x=1", "http://[::1]:9880", "http://a_b.c:80/", "http://ü/"],
)
def test_an_address_that_can_be_asked_is_taken(url: str) -> None:
    assert said(f"llm.base_url={url}", "return.type=http", f"return.url={url}") == []


@pytest.mark.parametrize(
    "url", ["forward://u:p@h:1", "forward://h:1/path", "forward://h:1?x=1", "forward://h i:1"]
)
def test_what_forward_would_not_heed_is_refused(url: str) -> None:
    (told,) = said("return.type=forward", f"return.url={url}")
    assert told.startswith("return.url: expected a URL for return.type forward")


@pytest.mark.parametrize("listen", ["*:80", "a b:80", "u@h:80", "h:80,i:80", "h:８０", "unix:/a:1"])
def test_an_address_that_nothing_can_listen_on_is_refused(listen: str) -> None:
    (told,) = said(f"http.listen={listen}")
    assert told.startswith("http.listen: expected host:port")


def test_the_name_of_this_machine_is_known_in_any_case() -> None:
    assert said("http.listen=LOCALHOST:1") == []


def test_a_file_in_place_of_a_folder_of_rules_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("rules: []")
    for setting in (f"rules.path={file}", f"rules.extra_paths=['{file}']"):
        (told,) = said(setting)
        assert told.endswith(f"{file} is not a folder: name the folder that it lies in, {tmp_path}")


@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [
        ("workbench.trusted_proxies", ["nginx", "10.0.0.0/33", "10.0.0.1:80", "*"],
         ["10.0.0.1", "10.0.0.1/8", "::1", "fd00::/8"]),
        ("workbench.hosts", ["https://a.example/", "a.example:443", "a.example/x", "*.example", "a b"],
         ["a.example", "a_b", "localhost", "10.0.0.1", "::1"]),
    ],
)  # fmt: skip
def test_names_and_networks_are_looked_at(setting: str, bad: list[str], good: list[str]) -> None:
    for text in bad:
        (told,) = said(f"{setting}=['{text}']")
        assert told.startswith(f"{setting}: {text!r} is not a")
    assert said(f"{setting}={good}") == []
