"""Messages that read alike, as one template: the words that they share, and a pattern of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from waybill.labelling.llm.store import Judgement

__all__ = ["ANY", "Template", "make_templates"]

#: Stands for a word that differs.
ANY = "*"
#: Share of a template's words that two messages must have in common, at the same places.
_ALIKE = 0.7
#: Letters that a pattern must spell out; less would match too much.
_MIN_LETTERS = 12
#: What the mask and the cleaning left in place of what varies.
_PLACEHOLDER = re.compile(r"<(?:ip|id|secret|email|iban|card|phone|private)>|0")
_NUMBER = r"\d+(?:[.,]\d+)*"
_WORD = r"\S+"


class Template:
    """Judged messages with the same words but for some; ``words`` has `ANY` where they differ."""

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
        merged: list[str] = []
        for mine, other in zip(self.words, words, strict=True):
            merged.append(mine if mine == other else ANY)
        if len(merged) - merged.count(ANY) < _ALIKE * len(merged):
            return False
        self.words = merged
        self.judgements.append(judgement)
        return True

    @property
    def label(self) -> str | None:
        """The one label of all judgements; None when they differ."""
        labels = {judgement.label for judgement in self.judgements}
        if len(labels) != 1:
            return None
        return labels.pop()

    @property
    def count(self) -> int:
        """How often it was judged, or met."""
        return max(len(self.judgements), len(self.recorded))

    @property
    def messages(self) -> list[str]:
        """Every message of it, as it was judged or logged."""
        return [judgement.text for judgement in self.judgements] + self.recorded

    def pattern(self) -> str | None:
        """A regular expression for the raw messages; None when it would say too little."""
        letters = 0
        parts: list[str] = []
        for word in self.words:
            if word == ANY:
                parts.append(_WORD)
                continue
            letters += sum(char.isalpha() for char in _PLACEHOLDER.sub("", word))
            parts.append(_word_pattern(word))
        if letters < _MIN_LETTERS:
            return None
        return r"\s+".join(parts)


def _word_pattern(word: str) -> str:
    parts: list[str] = []
    at = 0
    for found in _PLACEHOLDER.finditer(word):
        parts.append(re.escape(word[at : found.start()]))
        parts.append(_NUMBER if found[0] == "0" else _WORD)
        at = found.end()
    parts.append(re.escape(word[at:]))
    # The mask shortens rulers to three characters.
    return re.sub(r"((?:\\)?[.\-=*_#~+])\1\1", r"\1{3,}", "".join(parts))


def make_templates(judgements: Iterable[Judgement]) -> list[Template]:
    """Judgements that read alike, put together."""
    by_length: dict[int, list[Template]] = {}
    for judgement in sorted(judgements, key=lambda one: one.text):
        words = judgement.text.split()
        found = by_length.setdefault(len(words), [])
        if words and not any(template.takes(judgement, words) for template in found):
            found.append(Template(judgement, words))
    return list(itertools.chain.from_iterable(by_length.values()))
