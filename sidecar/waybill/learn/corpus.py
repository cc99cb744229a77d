"""The training corpus: templates in readable YAML, expanded by a seeded generator.

``corpus/*.yaml`` maps software to labels and each label to templates in our own words. In a template
``{name}`` is a slot (a list in ``slots.yaml`` or a generator below), ``{a|b|}`` a choice, ``{{`` and
``}}`` are braces. Each expansion gets one of many frames (syslog, log4j, klog, logfmt, JSON, none) so
that the label hangs on the words and not on the frame. Software ``none`` is what is no event at all:
the fallback label. ``balance.yaml`` says how much of each label is wanted.

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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.labelling.masking import mask
from waybill.settings.taxonomy import DEFAULT_LABELS, read_labels

__all__ = [
    "CORPUS",
    "Balance",
    "Corpus",
    "Example",
    "Template",
    "corpus_hash",
    "expand",
    "generate",
    "load_corpus",
    "main",
]

CORPUS = Path(__file__).parent / "corpus"

Slots = Mapping[str, Sequence[str]]

#: libyaml's is ten times faster; both are safe loaders.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Distinct masked examples wanted per label, before its share.
PER_LABEL = 2000
#: Most examples of one template: beyond that only the prefix changes. Noise never repeats itself.
PER_TEMPLATE, PER_TEMPLATE_NONE = 60, 200
#: Files of a corpus folder that hold no templates.
_SLOTS, _BALANCE = "slots.yaml", "balance.yaml"


class Balance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a corpus wants of one label: a multiple of the lines per label, and its level words."""

    share: float = 1.0
    levels: str = "INFO INFO DEBUG NOTICE WARN ERROR"


class Template(NamedTuple):
    """One template; ``group`` (software, label and number) is what a split must not tear apart."""

    label: str
    text: str
    group: str
    software: str


class Corpus(NamedTuple):
    """A folder of templates; ``fallback`` is the label of what is no event, ``balance`` is by label."""

    templates: list[Template]
    slots: Slots
    balance: Mapping[str, Balance]
    fallback: str

    def balance_of(self, label: str) -> Balance:
        """What is wanted of ``label``."""
        return self.balance.get(label, Balance())


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


def load_corpus(taxonomy: Taxonomy, folder: Path = CORPUS) -> Corpus:
    """Templates of every YAML file of ``folder``, slot lists and balance.

    Raises:
        WaybillError: a file cannot be read, or names a label that is not of ``taxonomy``.
    """
    slots: Slots = _read(folder / _SLOTS)
    balance = {}
    if (folder / _BALANCE).exists():
        balance = _balance(folder / _BALANCE, taxonomy)
    templates: list[Template] = []
    for file in _template_files(folder):
        for software, labels in _read(file).items():
            _check_labels(file, labels, taxonomy)
            for label, texts in labels.items():
                name = f"{software}/{label}"
                for i, text in enumerate(texts):
                    templates.append(Template(label, text, f"{name}/{i}", software))
    return Corpus(templates, slots, balance, taxonomy.fallback)


def _template_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.yaml")) if file.name not in (_SLOTS, _BALANCE)]


def _read(file: Path) -> Any:
    try:
        return yaml.load(file.read_text("utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise WaybillError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WaybillError(f"{file}: {' '.join(str(error).split())}") from None


def _balance(file: Path, taxonomy: Taxonomy) -> dict[str, Balance]:
    try:
        found = msgspec.convert(_read(file), dict[str, Balance])
    except msgspec.ValidationError as error:
        raise WaybillError(f"{file}: {error}") from None
    _check_labels(file, found, taxonomy)
    return found


def _check_labels(file: Path, labels: Collection[str], taxonomy: Taxonomy) -> None:
    if fault := unknown_labels(labels, taxonomy, "--labels or labels.path"):
        raise WaybillError(f"{file}: {fault}; give --corpus a folder with templates for its labels")


def corpus_hash(folder: Path = CORPUS) -> str:
    """sha256 over the names and bytes of the templates and slots."""
    digest = hashlib.sha256()
    for file in sorted([*_template_files(folder), folder / _SLOTS]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def balance_hash(folder: Path = CORPUS) -> str | None:
    """sha256 of the balance; None where there is none."""
    file = folder / _BALANCE
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def generate(
    corpus: Corpus,
    *,
    seed: int = 42,
    per_label: int = PER_LABEL,
) -> list[Example]:
    """Examples with distinct masks: about ``per_label`` times its share of each label, and more of the
    templates that have more alternatives.
    """
    by_label: dict[str, list[Template]] = defaultdict(list)
    for template in corpus.templates:
        by_label[template.label].append(template)
    seen: set[str] = set()
    examples: list[Example] = []
    for label in sorted(by_label):
        weights = [1 + template.text.count("|") for template in by_label[label]]
        unit = per_label * corpus.balance_of(label).share / sum(weights)
        for template, weight in zip(by_label[label], weights, strict=True):
            most = PER_TEMPLATE_NONE if label == corpus.fallback else PER_TEMPLATE
            each = min(most, max(2, round(unit * weight)))
            rng = random.Random(f"{seed} {template.group} {template.text}")
            examples += _variants(corpus, template, each, seen, rng)
    return examples


def expand(template: str, slots: Slots, rng: random.Random) -> str:
    """One random expansion of a template. Raises KeyError for an unknown slot."""
    text, rest = _expand_until(template, 0, slots, rng, top=True)
    assert rest == len(template)
    return text


def _variants(
    corpus: Corpus, template: Template, count: int, seen: set[str], rng: random.Random
) -> Iterator[Example]:
    slots, levels = corpus.slots, corpus.balance_of(template.label).levels.split()
    made = 0
    for attempt in range(count * 3):
        text = expand(template.text, slots, rng)
        if template.label != corpus.fallback and attempt:  # the first stays bare
            text = _frame(text, levels, slots, rng)
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


def _frame(text: str, levels: Sequence[str], slots: Slots, rng: random.Random) -> str:
    """Give the line a random prefix or frame of some logging system."""
    level = rng.choice(levels)
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
    parser.add_argument("--labels", default=DEFAULT_LABELS, help="file of the labels")
    parser.add_argument("--per-label", type=int, default=PER_LABEL)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args(argv)
    taxonomy = read_labels(arguments.labels)
    corpus = load_corpus(taxonomy, arguments.corpus)
    examples = generate(corpus, seed=arguments.seed, per_label=arguments.per_label)
    with arguments.output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "log_message", "target_label", "template"))
        writer.writerows((e.software, e.text, e.label, e.group) for e in examples)
    software = len({template.software for template in corpus.templates})
    print(
        f"{len(examples)} lines of {len(corpus.templates)} templates, {software} groups of software"
    )
    return 0
