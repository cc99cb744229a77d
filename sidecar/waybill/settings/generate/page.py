"""``docs/settings.md``: a table for each section."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import msgspec

from waybill.settings.catalogue import Setting, catalogue, nested, settings_of
from waybill.settings.environment import VARIABLES
from waybill.settings.generate.words import default_text, flow, type_words
from waybill.settings.schema import Settings
from waybill.settings.sources import ALIASES

_HEAD = """\
# Settings

<!-- Made by `python -m waybill.settings.generate` from the fields in sidecar/waybill/settings. -->

`waybill serve --config FILE` reads settings from a YAML file; what is left out has its default.
[`config/waybill.yaml`](../config/waybill.yaml) is such a file with every default. Each setting is
also an environment variable (`http.listen` is `WAYBILL_HTTP_LISTEN`) and a flag
(`--set http.listen=127.0.0.1:9000`). Flags win over the environment, the environment over the file.

- Lists are written as YAML there: `WAYBILL_RULES_EXTRA_PATHS='["/etc/waybill/rules"]'`.
- `null` means "none". A variable that is set to nothing counts as not set; only
  `return.tag_prefix` may be empty.
- Numbers have no unit behind them (`30`, not `30s`); the name says it. A text stays as written:
  `version: 1.10` needs no quotes.
- `~` and `$NAME` are not filled in: no shell reads this.
- Relative paths start at the working directory. `rules`, `models/default` and `config/llm.yaml`
  lead to what comes with Waybill when there is nothing of that name.
- Unknown keys, variables and flags are refused, and `waybill check` prints every fault at once.
- Secrets come from files or the environment only. They are never logged.
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([_HEAD, *_sections(), *_variables()]) + "\n"


def _sections() -> Iterator[str]:
    for field in msgspec.structs.fields(Settings):
        key = field.encode_name
        section = nested(field)
        if section is not None:
            yield from _title(key, inspect.getdoc(section) or "")
            yield from _table(settings_of(section, f"{key}."))
            continue
        yield from _title(key, catalogue()[key].description)
        yield from _table([catalogue()[key], *_elements(catalogue()[key])])


def _elements(setting: Setting) -> Iterator[Setting]:
    """The settings of each element of a list, those of lists in it included."""
    if setting.element is None:
        return
    for one in settings_of(setting.element, f"{setting.path}[]."):
        yield one
        yield from _elements(one)


def _title(key: str, text: str) -> Iterator[str]:
    yield f"## {key}"
    yield ""
    yield text
    yield ""


def _table(settings: Iterator[Setting] | list[Setting]) -> Iterator[str]:
    yield "| key | default | values | meaning | environment variable |"
    yield "| --- | --- | --- | --- | --- |"
    for setting in settings:
        yield _row(setting)
    yield ""


def _row(setting: Setting) -> str:
    # An element of a list has no variable of its own.
    variable = "" if "[" in setting.path else f"`{setting.environment}`"
    cells = (
        f"`{setting.path}`",
        f"`{_default(setting)}`",
        type_words(setting),
        setting.description,
        variable,
    )
    return f"| {' | '.join(_cell(text) for text in cells)} |"


def _default(setting: Setting) -> str:
    if setting.element is not None and setting.default:
        if "[" in setting.path:  # it stands in no file of defaults
            return flow(msgspec.to_builtins(setting.default))
        return "see config/waybill.yaml"
    return default_text(setting)


def _cell(text: str) -> str:
    escaped = text.replace("|", "\\|")
    # Outside of code, a word in angle brackets is taken for a tag.
    return escaped if escaped.startswith("`") else escaped.replace("<", "&lt;")


def _variables() -> Iterator[str]:
    yield "## Further environment variables"
    yield ""
    yield "| variable | meaning |"
    yield "| --- | --- |"
    for variable in VARIABLES:
        yield f"| `{variable.name}` | {_cell(variable.description)} |"
    for name, path in ALIASES.items():
        yield f"| `{name}` | Another name of `{path}`; `{catalogue()[path].environment}` wins. |"
    yield ""
    yield "The way to the language model uses no proxy of the environment; see `llm.proxy`."
