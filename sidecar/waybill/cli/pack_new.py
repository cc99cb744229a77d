"""The folder of a new pack: each part small, whole and working, to be replaced piece by piece."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from waybill.cli.labels import FALLBACK, labels_text
from waybill.core.errors import ConfigError

__all__ = ["write_pack"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
#: Templates of the stub for each label; a model needs several kinds of lines to tell labels apart.
_TEMPLATES = (
    "{what} example one: {{service}} reported case {{n}}",
    "{what} example two after {{n}} seconds on {{host}}",
    "{{component}} wrote a line that means {what}",
    "this is {what} because of {{component}} number {{n}}",
    "{what}: replace this line with what your software writes",
    "{{service}} says {what} again, attempt {{n}}",
)
_SLOTS = """\
# What templates choose from: {service} in a template is one of these. Frames (syslog, JSON and so
# on) are put around the lines by themselves and use the first nine.
host: [host-1, host-2]
service: [billing, shop, search]
logger: [com.example.Job, app.worker]
thread: [main, worker-1]
app: [shop]
pod: [shop-6d9f-x2kq]
ns: [prod]
component: [the cache, the importer, the queue]
word: [lamp, moss, carpet, window, ladder, soup]
"""
_NONE = (
    "{noise}",
    "{symbols}",
    "{base64}",
    "{word} {word} {word}",
    "the {word} is next to the {word}",
    "{n} {n} {n}",
)


def write_pack(into: Path, name: str, labels: Sequence[str]) -> Path:
    """Write the pack ``name`` with ``labels`` below ``into``; gives its folder.

    Raises:
        ConfigError: the name or the labels cannot be used, or the folder is there already.
        OSError: it cannot be written; nothing is left of it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            [f"NAME: {name!r} is not a name of small letters, digits, - and _, for example urgency"]
        )
    own = [label for label in dict.fromkeys(labels) if label != FALLBACK]
    if len(own) < 2:
        raise ConfigError(["--labels: at least two labels are needed, for example High,Low"])
    folder = into / name
    if folder.exists():
        raise ConfigError([f"{folder} exists already; choose another name, or remove it"])
    try:
        for file, text in _files(name, folder, own):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError:  # half a pack would be in the way of the next try
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _files(name: str, folder: Path, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "labels.yaml", labels_text([*labels, FALLBACK], FALLBACK)
    yield f"rules/40-{name}.yaml", _rules(name, labels)
    yield "corpus/slots.yaml", _SLOTS
    yield f"corpus/{name}.yaml", _corpus(labels)
    yield "evaluation/held-out.csv", _evaluation(name, labels)
    yield "README.md", _readme(name, folder)


def _rules(name: str, labels: Sequence[str]) -> str:
    lines = [
        f"# Rules of the pack {name}: what can be said for certain. The first that matches wins,",
        "# and each is checked against its samples at every load (docs/rules.md).",
        "rules:",
    ]
    for number, label in enumerate(labels, 1):
        lines += [
            f"  - id: {name}-{number}",
            f"    label: {_quoted(label)}",
            f"    pattern: '^{name} rule {number}: '",
            f'    match: ["{name} rule {number}: replace me"]',
            f'    no_match: ["{name} rule: replace me"]',
        ]
    return "\n".join(lines) + "\n"


def _corpus(labels: Sequence[str]) -> str:
    lines = [
        "# Lines that the model learns from: software -> label -> templates. {n} is a number,",
        "# {a|b} a choice, {service} one of slots.yaml (docs/model.md).",
        "example software:",
    ]
    for label in labels:
        lines.append(f"  {_quoted(label)}:")
        lines += [f"    - {_quoted(template.format(what=label))}" for template in _TEMPLATES]
    lines += ["none:", f"  {FALLBACK}:"]
    lines += [f"    - {_quoted(template)}" for template in _NONE]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """The text as YAML takes it on one line, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def _evaluation(name: str, labels: Sequence[str]) -> str:
    field = name.replace("-", "_")
    rows = [f"source,log_message,{field}"]
    for label in labels:
        cell = _quoted(f"a line as somebody else would write it: {label}")
        rows.append(f"app,{cell},{label}")
    rows.append(f"app,soup on the ladder,{FALLBACK}")
    return "\n".join(rows) + "\n"


def _readme(name: str, folder: Path) -> str:
    field = name.replace("-", "_")
    return f"""\
# {name}

Labels of their own beside those of Waybill. What is where:

| part | what it is |
| --- | --- |
| `labels.yaml` | the labels, and what each means |
| `rules/` | what can be said for certain, with samples |
| `corpus/` | templates that the model learns from |
| `evaluation/` | lines to measure on, which are never trained on |
| `model/` | the trained bundle, once there is one |

Check, train, measure, serve:

```sh
waybill pack check {folder}
waybill model train --output {folder}/model --name {name} --labels {folder}/labels.yaml \\
  --corpus {folder}/corpus --share-encoder
waybill model evaluate {folder}/evaluation/held-out.csv --labelling {field} \\
  --set 'labellings=[{{name: {field}, pack: {folder}}}]'
waybill serve --set 'labellings=[{{name: {field}, pack: {folder}}}]'
```
"""
