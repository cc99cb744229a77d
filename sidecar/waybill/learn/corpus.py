"""The training corpus: templates in readable YAML, expanded by a seeded generator.

``corpus/*.yaml`` maps software to labels and each label to templates in our own words. In a template
``{name}`` is a slot (a list in ``slots.yaml`` or a generator below), ``{a|b|}`` a choice, ``{{`` and
``}}`` are braces. Each expansion gets one of many dresses (syslog, log4j, klog, logfmt, JSON, none) so
that the label hangs on the words and not on the dress. Software ``none`` is what is no event at all:
`Unclassified`.

>>> expand("{red|red} {{x}}", {}, random.Random(1))
'red {x}'
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from waybill.core.records import LABELS, UNCLASSIFIED
from waybill.labelling.masking import mask

__all__ = [
    "CORPUS",
    "Example",
    "Template",
    "corpus_hash",
    "expand",
    "generate",
    "load_templates",
    "main",
]

CORPUS = Path(__file__).parent / "corpus"

Slots = Mapping[str, Sequence[str]]

#: libyaml's is ten times faster; both are safe loaders.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Distinct masked examples wanted per label, before `SHARES`.
PER_LABEL = 2000
#: Labels wanted more often: routine lines and failures are most of what is logged, and none-of-these is
#: wider than any label. Even shares call too much of the routine critical.
SHARES = {"System Notification": 3.0, "Error": 2.0, UNCLASSIFIED: 2.0}
#: Most examples of one template: beyond that only the prefix changes. Noise never repeats itself.
PER_TEMPLATE, PER_TEMPLATE_NONE = 60, 200

#: How likely each level word is in a prefix; "-" is none of these. Levels lie in real logs, so each
#: label sees every level.
_LEVELS: dict[str, str] = {
    "Security Alert": "INFO WARN WARN ERROR NOTICE ERROR",
    "HTTP Status": "INFO INFO INFO DEBUG WARN ERROR",
    "Critical Error": "FATAL CRITICAL ERROR ERROR ALERT INFO",
    "Resource Usage": "INFO INFO WARN DEBUG WARN ERROR",
    "Deprecation Warning": "WARN WARN WARN INFO ERROR",
    "Workflow Error": "ERROR ERROR WARN INFO",
    "User Action": "INFO INFO INFO NOTICE DEBUG",
    "Error": "ERROR ERROR ERROR WARN WARN INFO FATAL",
    "System Notification": "INFO INFO INFO DEBUG NOTICE WARN ERROR FATAL TRACE",
}


class Template(NamedTuple):
    """One template; ``group`` (software, label and number) is what a split must not tear apart."""

    label: str
    text: str
    group: str
    software: str


class Example(NamedTuple):
    """One line, its label, its template's group and the software it is of."""

    text: str
    label: str
    group: str
    software: str


def _digits(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(low, high))


def _join(rng: random.Random, count: int, high: int, mark: str, form: str = "d") -> str:
    return mark.join(format(rng.randint(0, high), form) for _ in range(count))


_GENERATED: dict[str, Callable[[random.Random], str]] = {
    "n": lambda rng: str(rng.randint(0, 10 ** rng.randint(1, 6))),
    "f": lambda rng: f"{rng.uniform(0, 90):.{rng.randint(1, 6)}f}",
    "pct": _digits(0, 100),
    "ip": lambda rng: _join(rng, 4, 255, "."),
    "mac": lambda rng: _join(rng, 6, 255, ":", "02x"),
    "hex": lambda rng: f"{rng.choice(('0x', ''))}{rng.getrandbits(64):016x}",
    "uuid": lambda rng: "-".join(f"{rng.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12)),
    "ver": lambda rng: _join(rng, 3, 20, "."),
    "status": lambda rng: str(
        rng.choice((200, 200, 200, 201, 204, 301, 304, 400, 401, 404, 429, 500, 503))
    ),
    "apache_time": lambda rng: f"{rng.randint(10, 28)}/Mar/2026:{rng.randint(10, 23)}:13:55 +0000",
    "base64": lambda rng: base64.b64encode(rng.randbytes(rng.randint(6, 60))).decode(),
    "noise": lambda rng: "".join(
        rng.choices("asdfghjklqwertyuiopzxcvbnm;, ", k=rng.randint(4, 40))
    ),
    "symbols": lambda rng: "".join(
        rng.choices("!@#$%^&*()_+-=[]{}|;:,.<>/?~", k=rng.randint(1, 20))
    ),
    "letters": lambda rng: "".join(
        rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=rng.randint(3, 24))
    ),
}


def load_templates(folder: Path = CORPUS) -> tuple[list[Template], Slots]:
    """Templates of every YAML file and the slot lists. Raises ValueError for an unknown label."""
    slots: Slots = yaml.safe_load((folder / "slots.yaml").read_text("utf-8"))
    templates: list[Template] = []
    for file in sorted(folder.glob("*.yaml")):
        if file.name == "slots.yaml":
            continue
        for software, labels in yaml.load(file.read_text("utf-8"), _Loader).items():  # noqa: S506 - a safe loader
            for label, texts in labels.items():
                if label not in LABELS:
                    raise ValueError(f"{file}: {label!r} is no label")
                name = f"{software}/{label}"
                templates += [
                    Template(label, text, f"{name}/{i}", software) for i, text in enumerate(texts)
                ]
    return templates, slots


def corpus_hash(folder: Path = CORPUS) -> str:
    """sha256 over the names and bytes of the corpus files."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.yaml")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def generate(
    templates: Sequence[Template],
    slots: Slots,
    *,
    seed: int = 42,
    per_label: int = PER_LABEL,
) -> list[Example]:
    """Examples with distinct masks: about ``per_label`` times its share of each label, and more of the
    templates that have more alternatives.
    """
    by_label: dict[str, list[Template]] = defaultdict(list)
    for template in templates:
        by_label[template.label].append(template)
    seen: set[str] = set()
    examples: list[Example] = []
    for label in sorted(by_label):
        weights = [1 + template.text.count("|") for template in by_label[label]]
        unit = per_label * SHARES.get(label, 1.0) / sum(weights)
        for template, weight in zip(by_label[label], weights, strict=True):
            most = PER_TEMPLATE_NONE if label == UNCLASSIFIED else PER_TEMPLATE
            each = min(most, max(2, round(unit * weight)))
            rng = random.Random(f"{seed} {template.group} {template.text}")
            examples += _variants(template, slots, each, seen, rng)
    return examples


def expand(template: str, slots: Slots, rng: random.Random) -> str:
    """One random expansion of a template. Raises KeyError for an unknown slot."""
    text, rest = _expand_until(template, 0, slots, rng, top=True)
    assert rest == len(template)
    return text


def _variants(
    template: Template, slots: Slots, count: int, seen: set[str], rng: random.Random
) -> Iterator[Example]:
    made = 0
    for attempt in range(count * 3):
        text = expand(template.text, slots, rng)
        if template.label != UNCLASSIFIED and attempt:  # the first stays bare
            text = _dress(text, template.label, slots, rng)
        if (key := mask(text)) in seen:
            continue
        seen.add(key)
        yield Example(text, template.label, template.group, template.software)
        made += 1
        if made == count:
            return


#: Two braces of which the second opens a slot: a choice that begins with one.
_SLOT_FIRST = re.compile(r"\{\{[a-z_]+\}(?!\})")


def _expand_until(
    template: str, at: int, slots: Slots, rng: random.Random, *, top: bool
) -> tuple[str, int]:
    """Expand from ``at`` to the end, or (below the top) to the closing brace; text and position."""
    parts: list[str] = []
    options: list[str] = []
    start = at
    has_choice = False
    while at < len(template):
        if top and template[at : at + 2] in ("{{", "}}") and not _SLOT_FIRST.match(template, at):
            parts.append(template[at])
            at += 2
        elif template[at] == "{":
            inner, at = _expand_until(template, at + 1, slots, rng, top=False)
            parts.append(inner)
        elif template[at] == "}" and not top:
            break
        elif template[at] == "|" and not top:
            options.append("".join(parts))
            parts, has_choice = [], True
            at += 1
        else:
            parts.append(template[at])
            at += 1
    if top:
        return "".join(parts), at
    if not has_choice:
        return _fill(template[start:at], slots, rng, parts), at + 1
    chosen = rng.choice([*options, "".join(parts)])
    return (_slot(chosen, slots, rng) if chosen in slots else chosen), at + 1


def _fill(name: str, slots: Slots, rng: random.Random, parts: Sequence[str]) -> str:
    if name in _GENERATED or name in slots:
        return _slot(name, slots, rng)
    return "{" + "".join(parts) + "}"  # plain braces of code and JSON


def _slot(name: str, slots: Slots, rng: random.Random) -> str:
    if name in _GENERATED:
        return _GENERATED[name](rng)
    return str(rng.choice(slots[name]))


def _dress(text: str, label: str, slots: Slots, rng: random.Random) -> str:
    """Give the line a random prefix or frame of some logging system."""
    level = rng.choice(_LEVELS[label].split())
    level = level if rng.random() < 0.7 else level.lower()
    frame = rng.choice(_FRAMES)
    if callable(frame):
        return frame(text, level, slots, rng)
    pick = {
        name: _slot(name, slots, rng)
        for name in ("host", "service", "logger", "thread", "n", "app", "pod")
    }
    return frame.format(text=text, level=level, l=level[0].upper(), **pick)


def _extras(slots: Slots, rng: random.Random) -> list[tuple[str, str | int]]:
    """Some of the fields that structured loggers put beside the message, in any order."""
    pick: dict[str, Callable[[], str | int]] = {
        "logger": lambda: _slot("logger", slots, rng),
        "caller": lambda: (
            f"{rng.choice(('server', 'worker', 'handler', 'pkg/store/db'))}.go:{rng.randint(1, 999)}"
        ),
        "service": lambda: _slot("service", slots, rng),
        "host": lambda: _slot("host", slots, rng),
        "pod": lambda: _slot("pod", slots, rng),
        "namespace": lambda: _slot("ns", slots, rng),
        "trace_id": lambda: f"{rng.getrandbits(128):032x}",
        "pid": lambda: rng.randint(1, 99999),
        "thread": lambda: _slot("thread", slots, rng),
        "version": lambda: _slot("ver", slots, rng),
        "env": lambda: rng.choice(("prod", "staging", "dev")),
        "component": lambda: _slot("component", slots, rng),
    }
    names = rng.sample(sorted(pick), rng.randint(0, 4))
    return [(name, pick[name]()) for name in names]


def _as_json(text: str, level: str, slots: Slots, rng: random.Random) -> str:
    keys = rng.choice(
        (
            ("level", "msg"),
            ("severity", "message"),
            ("lvl", "event"),
            ("level", "message"),
            ("L", "M"),
        )
    )
    fields = [
        ("ts", "2026-03-04T10:11:12.345Z"),
        (keys[0], level),
        (keys[1], text),
        *_extras(slots, rng),
    ]
    rng.shuffle(fields)
    return json.dumps(dict(fields))


def _as_logfmt(text: str, level: str, slots: Slots, rng: random.Random) -> str:
    quoted = text.replace('"', '\\"')
    fields = [
        ("time", "2026-03-04T10:11:12Z"),
        ("level", level),
        ("msg", f'"{quoted}"'),
        *_extras(slots, rng),
    ]
    return " ".join(f"{key}={value}" for key, value in fields)


_FRAMES: tuple[str | Callable[[str, str, Slots, random.Random], str], ...] = (
    "{text}",
    "{text}",
    "{text}",
    "{text}",
    "{text}",
    "{text}",
    "Mar  4 10:11:12 {host} {service}[{n}]: {text}",
    "Mar  4 10:11:12 {host} {service}: {text}",
    "Mar  4 10:11:12 {host} kernel: {text}",
    "<134>1 2026-03-04T10:11:12Z {host} {service} {n} - - {text}",
    "2026-03-04 10:11:12,345 {level} [{thread}] {logger}: {text}",
    "2026-03-04 10:11:12.345 {level} {n} --- [{thread}] {logger} : {text}",
    "26/03/04 10:11:12 {level} {logger}: {text}",
    "2026-03-04T10:11:12Z {level} {text}",
    "2026-03-04T10:11:12.345678Z  {level} {logger}: {text}",
    "2026-03-04T10:11:12.345Z stdout F {level} {text}",
    "[2026-03-04 10:11:12] {level}: {text}",
    "[Wed Mar 04 10:11:12 2026] [{level}] {text}",
    "2026-03-04 10:11:12.345 {n} {level} {logger} [-] {text}",
    "{l}0304 10:11:12.345678       {n} server.go:{n}] {text}",
    "{level}:{logger}:{text}",
    "{level} {text}",
    "[{level}] {app}: {text}",
    "{level} [{thread}] {logger} - {text}",
    "{pod} {text}",
    _as_json,
    _as_json,
    _as_json,
    _as_logfmt,
    _as_logfmt,
)


def main(argv: Sequence[str] | None = None) -> int:
    """``waybill model corpus``: write the expanded lines as CSV; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="waybill model corpus", description="Write the training corpus as CSV."
    )
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of template files")
    parser.add_argument("--per-label", type=int, default=PER_LABEL)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args(argv)
    templates, slots = load_templates(arguments.corpus)
    examples = generate(templates, slots, seed=arguments.seed, per_label=arguments.per_label)
    with arguments.output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "log_message", "target_label", "template"))
        writer.writerows((e.software, e.text, e.label, e.group) for e in examples)
    software = len({template.software for template in templates})
    print(f"{len(examples)} lines of {len(templates)} templates, {software} groups of software")
    return 0
