"""``waybill rules suggest --from llm``: what the LLM has judged alike often enough, as rules.

Judgements of the store that read alike become a template; a template whose judgements all have one
label and that has been judged (or, with recorded messages, met) often enough becomes a proposed rule.
Each proposal goes through the service's own rule engine: it must match all of its own messages and no
other, or it is not proposed. A person reads, edits and accepts; nothing comes into force by itself.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import yaml

from waybill.core.errors import ConfigError, RuleSetError
from waybill.core.labels import Taxonomy
from waybill.labelling.llm.build import open_store
from waybill.labelling.llm.errors import PrivacyError, StoreError
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.llm.store import Judgement
from waybill.labelling.masking import mask
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.ruleset import RuleSet
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels
from waybill.wire import FieldPlan, Wire
from waybill.wire.csv import RowSplitter, Table

#: Share of a template's words that two messages must have in common, at the same places.
_ALIKE = 0.7
#: Letters that a pattern must spell out; less would match too much.
_MIN_LETTERS = 12
_SAMPLES = 3
_HEADER = """\
# Proposed by `waybill rules suggest --from llm`: what the LLM has judged alike. Read, edit, and move what
# you accept to your rules. A route asks rules only if its tiers begin with `rules`.
"""
#: What the mask and the cleaning left in place of what varies.
_PLACEHOLDER = re.compile(r"<(?:ip|id|secret|email|iban|card|phone|private)>|0")
_ANY = "*"


class Template:
    """Messages with the same words but for some; ``words`` has `_ANY` where they differ."""

    def __init__(self, judgement: Judgement, words: Sequence[str]) -> None:
        self.words = list(words)
        self.sources = judgement.sources
        self.judgements = [judgement]
        #: Recorded messages, as they were logged.
        self.recorded: list[str] = []

    def takes(self, judgement: Judgement, words: Sequence[str]) -> bool:
        """Take a judgement in if it reads alike."""
        if len(words) != len(self.words) or judgement.sources != self.sources:
            return False
        merged = [
            mine if mine == other else _ANY for mine, other in zip(self.words, words, strict=True)
        ]
        if sum(word != _ANY for word in merged) < _ALIKE * len(merged):
            return False
        self.words = merged
        self.judgements.append(judgement)
        return True

    @property
    def label(self) -> str | None:
        """The one label of all judgements; None when they differ."""
        labels = {judgement.label for judgement in self.judgements}
        return labels.pop() if len(labels) == 1 else None

    @property
    def count(self) -> int:
        """How often it was judged, or met."""
        return max(len(self.judgements), len(self.recorded))

    def pattern(self) -> str | None:
        """A regular expression for the raw messages; None when it would say too little."""
        letters = sum(
            char.isalpha()
            for word in self.words
            if word != _ANY
            for char in _PLACEHOLDER.sub("", word)
        )
        if letters < _MIN_LETTERS:
            return None
        return r"\s+".join(r"\S+" if word == _ANY else _word_pattern(word) for word in self.words)


class Proposal(msgspec.Struct):
    """A rule as it will be written."""

    id: str
    label: str
    pattern: str
    description: str
    match: list[str]
    no_match: list[str]
    where: dict[str, list[str]] | None = None


def _word_pattern(word: str) -> str:
    parts, at = [], 0
    for found in _PLACEHOLDER.finditer(word):
        parts += [
            re.escape(word[at : found.start()]),
            r"\d+(?:[.,]\d+)*" if found[0] == "0" else r"\S+",
        ]
        at = found.end()
    # The mask shortens rulers to three characters.
    return re.sub(r"((?:\\)?[.\-=*_#~+])\1\1", r"\1{3,}", "".join(parts) + re.escape(word[at:]))


async def suggest(
    settings: Settings, at_least: int, recorded: Path | None, output: Path | None
) -> None:
    """Write the proposals as YAML to ``output`` or stdout, and to stderr what was left out.

    Raises:
        ConfigError: the store or the recorded messages cannot be read.
    """
    judgements = await _judgements(settings)
    templates = make_templates(judgements)
    messages = await asyncio.to_thread(read_recorded, settings, recorded) if recorded else []
    _assign(settings, templates, messages)
    proposals, left_out = await propose(templates, at_least, read_labels(settings.labels.path))
    text = _HEADER + _yaml(proposals)
    if output is None:
        sys.stdout.write(text)
    else:
        await asyncio.to_thread(output.write_text, text, "utf-8")
    for reason, count in sorted(left_out.items()):
        print(f"left out: {count} {reason}", file=sys.stderr)
    print(f"{len(proposals)} rules proposed from {len(judgements)} judgements", file=sys.stderr)
    for route in settings.routes:
        if "llm" in route.tiers and "rules" not in route.tiers:
            print(
                f"note: the route of {', '.join(route.source)} asks no rules; put `rules` first",
                file=sys.stderr,
            )


async def _judgements(settings: Settings) -> list[Judgement]:
    store, _, _ = await open_store(settings.llm)
    try:
        kept = await store.judgements()
    except StoreError as error:
        raise ConfigError([f"llm.store: cannot be read [{error.code}]"]) from None
    finally:
        await store.close()
    # The newest judgement of a text counts: an older one may come from another prompt or model.
    newest = {(judgement.text, judgement.sources): judgement for judgement in kept}
    return list(newest.values())


def make_templates(judgements: Iterable[Judgement]) -> list[Template]:
    """Judgements that read alike, put together."""
    by_length: dict[int, list[Template]] = {}
    for judgement in sorted(judgements, key=lambda one: one.text):
        words = judgement.text.split()
        found = by_length.setdefault(len(words), [])
        if words and not any(template.takes(judgement, words) for template in found):
            found.append(Template(judgement, words))
    return [template for templates in by_length.values() for template in templates]


def read_recorded(settings: Settings, file: Path) -> list[tuple[str, str]]:
    """(message, source) of every record in a CSV, JSON or NDJSON file. Raises MalformedError."""
    fields = msgspec.structs.replace(settings.fields, relabel=True)
    body = file.read_bytes()
    if file.suffix.lower() == ".csv":
        header, *rows = RowSplitter(settings.limits.body_bytes).feed(body, is_last=True) or [[]]
        table = Table(header, fields)
        return [(table.message(row) or "", table.source(row)) for row in rows]
    _, batch = Wire(FieldPlan(fields)).decode(body, "application/json")
    return [
        (message or "", source)
        for message, source in zip(batch.messages, batch.sources, strict=True)
    ]


def _assign(
    settings: Settings, templates: Sequence[Template], messages: Iterable[tuple[str, str]]
) -> None:
    """Give each recorded message to the template that it was judged under."""
    privacy = Privacy(settings.llm.private_patterns)
    by_text = {
        judgement.text: template for template in templates for judgement in template.judgements
    }
    for message, _ in messages:
        try:
            template = by_text.get(privacy.clean(mask(message)))
        except PrivacyError:
            continue
        if template is not None:
            template.recorded.append(message)


async def propose(
    templates: Sequence[Template], at_least: int, taxonomy: Taxonomy
) -> tuple[list[Proposal], Counter[str]]:
    """The proposals that hold, and how many templates were left out for which reason."""
    left_out: Counter[str] = Counter()
    proposals: dict[str, tuple[Proposal, Template]] = {}
    for template in templates:
        label, pattern = template.label, template.pattern()
        if label is None:
            left_out["judged differently"] += 1
        elif label == taxonomy.fallback:
            left_out[f"judged {taxonomy.fallback}"] += 1
        elif template.count < at_least:
            left_out[f"judged fewer than {at_least} times"] += 1
        elif pattern is None:
            left_out["with too few words of their own"] += 1
        else:
            proposal = _proposal(template, label, pattern, templates, len(proposals) + 1)
            proposals[proposal.id] = proposal, template
    held: list[Proposal] = []
    for proposal, template in proposals.values():
        if await _holds(proposal, template, templates, taxonomy):
            held.append(proposal)
        else:
            left_out["whose pattern does not tell them from others"] += 1
    return held, left_out


def _proposal(
    template: Template, label: str, pattern: str, templates: Sequence[Template], number: int
) -> Proposal:
    words = [re.sub(r"[^a-z]", "", word.lower()) for word in template.words if word != _ANY]
    slug = "-".join([word for word in words if len(word) > 2][:4])
    own = set(template.words)
    others = [
        judgement.text
        for other in templates
        if other is not template
        for judgement in other.judgements[:1]
    ]
    # Of the rest, what shares most words is the best proof.
    others.sort(key=lambda text: -len(own & set(text.split())))
    versions = sorted({judgement.version for judgement in template.judgements})
    return Proposal(
        id=f"llm-{slug}-{number}",
        label=label,
        pattern=pattern,
        description=f"judged alike {template.count} times by {', '.join(versions)}",
        # The cleaned texts, not the logged ones: a rule file is read by more people than a log.
        match=[judgement.text for judgement in template.judgements[:_SAMPLES]],
        no_match=others[:_SAMPLES],
        where=None if "*" in template.sources else {"source": list(template.sources)},
    )


async def _holds(
    proposal: Proposal, template: Template, templates: Sequence[Template], taxonomy: Taxonomy
) -> bool:
    """Whether the rule engine takes the proposal, and it takes all of its messages and no others."""
    try:
        rules = await _load([proposal], taxonomy)
    except RuleSetError:
        return False
    own = [judgement.text for judgement in template.judgements] + template.recorded
    others = [
        text
        for other in templates
        if other is not template
        for text in ([judgement.text for judgement in other.judgements] + other.recorded)
    ]
    return all(rules.first_match(text) for text in own) and not any(
        rules.first_match(text) for text in others
    )


async def _load(proposals: Sequence[Proposal], taxonomy: Taxonomy) -> RuleSet:
    file = RuleFile("suggested.yaml", _yaml(proposals).encode())
    return await compile_rules([file], labels=taxonomy.names)


def _yaml(proposals: Sequence[Proposal]) -> str:
    rules = []
    for proposal in proposals:
        rule = msgspec.to_builtins(proposal)
        rules.append({key: value for key, value in rule.items() if value})
    return yaml.safe_dump({"rules": rules}, sort_keys=False, allow_unicode=True, width=1000)
