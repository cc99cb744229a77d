"""Rules proposed from templates: each goes through the service's own rule engine before it is
proposed.

A proposal must match all messages of its own template and none of the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec
import yaml

from waybill.core.errors import RuleSetError
from waybill.core.labels import Taxonomy
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.learn.templates import ANY, Template

__all__ = ["Proposal", "propose", "to_yaml"]

#: Messages that a rule shows, of those that it matches and of others.
_SAMPLES = 3
#: Words of a rule's id.
_ID_WORDS = 4
#: Letters that a word must have to be one of them.
_ID_LETTERS = 3


class Proposal(msgspec.Struct):
    """A rule as it will be written."""

    id: str
    label: str
    pattern: str
    description: str
    match: list[str]
    no_match: list[str]
    where: dict[str, list[str]] | None = None
    mode: str = ""


async def propose(
    templates: Sequence[Template], at_least: int, taxonomy: Taxonomy
) -> tuple[list[Proposal], Counter[str]]:
    """The proposals that hold, and how many templates were left out for which reason."""
    left_out: Counter[str] = Counter()
    made: list[tuple[Proposal, Template]] = []
    for template in templates:
        found = _proposal(template, templates, at_least, len(made) + 1, taxonomy.fallback)
        if isinstance(found, Proposal):
            made.append((found, template))
        else:
            left_out[found] += 1
    held: list[Proposal] = []
    for proposal, template in made:
        if await _holds(proposal, template, templates, taxonomy):
            held.append(proposal)
        else:
            left_out["whose pattern does not tell them from others"] += 1
    return held, left_out


def _proposal(
    template: Template,
    templates: Sequence[Template],
    at_least: int,
    number: int,
    fallback: str,
) -> Proposal | str:
    """The rule of a template, or the reason for leaving it out."""
    label = template.label
    if label is None:
        return "judged differently"
    if label == fallback:
        return f"judged {fallback}"
    if template.count < at_least:
        return f"judged fewer than {at_least} times"
    pattern = template.pattern()
    if pattern is None:
        return "with too few words of their own"
    return _rule(template, label, pattern, _others(template, templates), number)


def _rule(
    template: Template, label: str, pattern: str, others: Sequence[str], number: int
) -> Proposal:
    versions = sorted({judgement.version for judgement in template.judgements})
    where = None
    if "*" not in template.sources:
        where = {"source": list(template.sources)}
    return Proposal(
        id=f"llm-{_slug(template)}-{number}",
        label=label,
        pattern=pattern,
        description=f"judged alike {template.count} times by {', '.join(versions)}",
        # The cleaned texts, not the logged ones: a rule file is read by more people than a log.
        match=[judgement.text for judgement in template.judgements[:_SAMPLES]],
        no_match=list(others[:_SAMPLES]),
        where=where,
    )


def _slug(template: Template) -> str:
    words: list[str] = []
    for word in template.words:
        letters = re.sub(r"[^a-z]", "", word.lower())
        if word != ANY and len(letters) >= _ID_LETTERS:
            words.append(letters)
    return "-".join(words[:_ID_WORDS])


def _others(template: Template, templates: Sequence[Template]) -> list[str]:
    """The first message of each other template; what shares most words is the best proof."""
    own = set(template.words)
    others = [other.judgements[0].text for other in templates if other is not template]
    return sorted(others, key=lambda text: -len(own & set(text.split())))


async def _holds(
    proposal: Proposal, template: Template, templates: Sequence[Template], taxonomy: Taxonomy
) -> bool:
    """Whether the rule engine takes the proposal, and the rule all its messages and no others."""
    file = RuleFile("suggested.yaml", to_yaml([proposal]).encode())
    try:
        rules = await compile_rules([file], labels=taxonomy.names)
    except RuleSetError:
        return False
    if not all(rules.first_match(text) for text in template.messages):
        return False
    for other in templates:
        if other is not template and any(rules.first_match(text) for text in other.messages):
            return False
    return True


def to_yaml(proposals: Sequence[Proposal]) -> str:
    """The rule file."""
    rules: list[dict[str, object]] = []
    for proposal in proposals:
        rule: dict[str, object] = msgspec.to_builtins(proposal)
        rules.append({key: value for key, value in rule.items() if value})
    return yaml.safe_dump({"rules": rules}, sort_keys=False, allow_unicode=True, width=1000)
