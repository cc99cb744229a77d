"""``waybill rules suggest --from llm``: what the LLM has judged alike often enough, as rules.

Judgements of the store that read alike become a template; a template whose judgements all have one
label and that has been judged (or, with recorded messages, met) often enough becomes a proposed
rule. A person reads, edits and accepts; nothing comes into force by itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from waybill.core.errors import ConfigError
from waybill.core.output import writing
from waybill.labelling.llm.build import open_store
from waybill.labelling.llm.errors import PrivacyError, StoreError
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.llm.store import Judgement
from waybill.labelling.masking import mask
from waybill.learn.messages import read_messages
from waybill.learn.proposals import propose, to_yaml
from waybill.learn.templates import Template, make_templates
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

__all__ = ["suggest"]

_HEADER = """\
# Proposed by `waybill rules suggest --from llm`: what the LLM has judged alike. Read, edit, and
# move what you accept to your rules. A route asks rules only if its tiers begin with `rules`.
"""


async def suggest(
    settings: Settings,
    at_least: int,
    recorded: Path | None,
    output: Path | None,
    mode: str = "",
) -> None:
    """Write the proposals as YAML to ``output`` or stdout, and to stderr what was left out.

    ``mode`` is that of the rules; empty: what a rule without one has.

    Raises:
        ConfigError: the store cannot be read.
        WaybillError: the recorded messages cannot be read.
    """
    judgements = await _judgements(settings)
    templates = make_templates(judgements)
    if recorded is not None:
        messages = await asyncio.to_thread(_recorded, settings, recorded)
        _assign(settings, templates, messages)
    proposals, left_out = await propose(templates, at_least, read_labels(settings.labels.path))
    for proposal in proposals:
        proposal.mode = mode
    text = _HEADER + to_yaml(proposals)
    if output is None:
        sys.stdout.write(text)
    else:
        await asyncio.to_thread(_write, output, text)
    _report(left_out, f"{len(proposals)} rules proposed from {len(judgements)} judgements")
    _note_routes(settings)


def _write(output: Path, text: str) -> None:
    with writing(str(output)) as file:
        file.write(text.encode())


def _report(left_out: Counter[str], summary: str) -> None:
    for reason, count in sorted(left_out.items()):
        print(f"left out: {count} {reason}", file=sys.stderr)
    print(summary, file=sys.stderr)


def _note_routes(settings: Settings) -> None:
    """Say which routes would not ask the new rules."""
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


def _recorded(settings: Settings, file: Path) -> list[str]:
    return [line.message or "" for line in read_messages(file, settings.fields)]


def _assign(settings: Settings, templates: Sequence[Template], messages: Iterable[str]) -> None:
    """Give each recorded message to the template that it was judged under."""
    privacy = Privacy(settings.llm.private_patterns)
    by_text: dict[str, Template] = {}
    for template in templates:
        for judgement in template.judgements:
            by_text[judgement.text] = template
    for message in messages:
        try:
            found = by_text.get(privacy.clean(mask(message)))
        except PrivacyError:
            continue
        if found is not None:
            found.recorded.append(message)
