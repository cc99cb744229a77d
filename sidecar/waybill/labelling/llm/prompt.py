"""The prompt of the language model, and the check of its answers.

A call carries lines, each as a JSON object with its index, and two canaries: lines of known label
at places chosen by lot. Indexes are drawn by lot, too, so that no line can name another's, and a
model that loses count is noticed. The answer must hold each index exactly once and the canaries'
labels, or it is thrown away as a whole; a label outside the route's set makes its own line
undecided and no other.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from waybill.core.errors import ConfigError
from waybill.core.files import read_small
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.core.records import Verdict
from waybill.labelling.llm.errors import BadAnswer
from waybill.labelling.tier import Scope
from waybill.settings.yaml_file import mapping_in

#: Part of every prompt's version: raise it when the way texts are cleaned or packed changes.
_REVISION = "1"
_MAX_BYTES = 262_144
_CANARIES = 2
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line with its label: an example or a canary."""

    line: str
    label: str


class PromptSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``config/llm.yaml`` as written.

    ``labels`` describes some labels otherwise than the taxonomy does.
    """

    instructions: str
    question: str
    labels: dict[str, str] = {}
    examples: tuple[Line, ...] = ()
    canaries: tuple[Line, ...] = ()


class Question(msgspec.Struct, frozen=True):
    """One call: the messages to send, the labels that may come back, where the canaries stand."""

    system: str
    user: str
    labels: tuple[str, ...]
    #: The lines' indexes, in order.
    indexes: tuple[int, ...]
    #: Index -> the label that must come back.
    canaries: dict[int, str]

    def schema(self) -> dict[str, object]:
        """The JSON schema of the answer, in the subset that strict decoding takes."""
        answer = {
            "type": "object",
            "properties": {
                "index": {"type": "integer"},
                "label": {"type": "string", "enum": list(self.labels)},
            },
            "required": ["index", "label"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"answers": {"type": "array", "items": answer}},
            "required": ["answers"],
            "additionalProperties": False,
        }

    def judge(self, text: str) -> list[str | None]:
        """The label of each line that was asked, in order; None where it is outside the set.

        Raises BadAnswer.
        """
        found = self._by_index(text)
        for index, label in self.canaries.items():
            if found[index] != label:
                raise BadAnswer("canary")
        asked = [found[index] for index in self.indexes if index not in self.canaries]
        return list(map(self._in_set, asked))

    def _in_set(self, label: str) -> str | None:
        return label if label in self.labels else None

    def _by_index(self, text: str) -> dict[int, str]:
        text = _THOUGHT.sub("", text)
        try:
            # What stands around the object (a code fence, a sentence) does no harm; the object is
            # read strictly.
            answers = msgspec.json.decode(
                text[text.index("{") : text.rindex("}") + 1], type=_Answers
            ).answers
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            raise BadAnswer("bad_answer") from None
        found = {answer.index: answer.label for answer in answers}
        if len(answers) != len(self.indexes) or found.keys() != set(self.indexes):
            raise BadAnswer("bad_answer")
        return found


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    index: int
    label: str


class _Answers(msgspec.Struct, forbid_unknown_fields=True):
    answers: list[_Answer]


class Prompt:
    """A checked prompt.

    ``chance`` places and chooses the canaries: nobody who writes lines can know them.
    """

    def __init__(
        self,
        source: PromptSource,
        taxonomy: Taxonomy,
        chance: random.Random | None = None,
        *,
        file_hash: str = "",
    ) -> None:
        source = msgspec.structs.replace(source, labels=taxonomy.descriptions | source.labels)
        self._source = source
        #: The labels that lines may get.
        self.taxonomy = taxonomy
        #: Of the file that it was read from.
        self.file_hash = file_hash
        self._chance = chance or random.SystemRandom()
        digest = hashlib.sha256(
            _REVISION.encode() + msgspec.json.encode(source, order="deterministic")
        )
        #: Hash of everything that can change an answer.
        self.version = digest.hexdigest()[:12]

    def permitted(self, scope: Scope) -> tuple[str, ...]:
        """The labels that can be asked for within ``scope``, in the order of the taxonomy."""
        names = list(self.taxonomy.names)
        names.remove(self.taxonomy.fallback)
        return tuple(filter(scope.permits, names))

    def verdict(self, label: str, version: str) -> Verdict:
        """The verdict of an answer; ``version`` is ``<model>@<prompt version>``."""
        if label == self.taxonomy.fallback:
            return self.taxonomy.unclassified("none_of_these", "llm", rule=version)
        return Verdict(label, "llm", None, version)

    def compose(self, texts: Sequence[str], labels: Sequence[str]) -> Question:
        """The call that asks ``texts`` (cleaned) for one of ``labels`` or the fallback each."""
        asked = {*labels, self.taxonomy.fallback}
        permitted = tuple(filter(asked.__contains__, self.taxonomy.names))
        lines = list(texts)
        canaries: dict[int, str] = {}
        chosen = self._canaries(permitted)
        count = len(lines) + len(chosen)
        indexes = tuple(self._chance.sample(range(100, 1000 + 2 * count), count))
        places = sorted(self._chance.sample(range(count), len(chosen)))
        for place, canary in zip(places, chosen, strict=True):
            lines.insert(place, canary.line.replace("{word}", self._word()))
            canaries[indexes[place]] = canary.label
        return Question(
            self._system(permitted), self._user(indexes, lines), permitted, indexes, canaries
        )

    def _canaries(self, labels: Sequence[str]) -> list[Line]:
        """Canaries of different labels: one answer for all lines is wrong for one of them."""
        by_label: dict[str, list[Line]] = {}
        for canary in self._source.canaries:
            if canary.label in labels:
                by_label.setdefault(canary.label, []).append(canary)
        chosen = self._chance.sample(sorted(by_label), min(_CANARIES, len(by_label)))
        return [self._chance.choice(by_label[label]) for label in chosen]

    def _word(self) -> str:
        return "".join(
            self._chance.choice("bcdfgklmnprstvz") + self._chance.choice("aeiou") for _ in range(4)
        )

    def _system(self, labels: Sequence[str]) -> str:
        described = "\n".join(f"- {label}: {self._source.labels[label]}" for label in labels)
        examples = [example for example in self._source.examples if example.label in labels]
        shown = "\n".join(f"{_quoted(example.line)} -> {example.label}" for example in examples)
        text = self._source.instructions.replace("{labels}", described)
        return text.replace("{examples}", f"Examples:\n{shown}" if shown else "").strip()

    def _user(self, indexes: Sequence[int], lines: Sequence[str]) -> str:
        pairs = zip(indexes, lines, strict=True)
        shown = "\n".join(f'{{"index": {index}, "line": {_quoted(line)}}}' for index, line in pairs)
        return self._source.question.replace("{lines}", shown).strip()


def _quoted(line: str) -> str:
    """A line as a JSON string: no quote, backslash or line break in it can end it."""
    return json.dumps(line, ensure_ascii=False)


def load_prompt(
    path: Path, taxonomy: Taxonomy, route_labels: Sequence[Sequence[str]] = ()
) -> Prompt:
    """Read and check a prompt file; ``route_labels`` are the label sets that will be asked for.

    Raises:
        ConfigError: with every fault found.
    """
    try:
        content = read_small(path, _MAX_BYTES)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    try:
        source = msgspec.convert(mapping_in(content, path), PromptSource)
    except msgspec.ValidationError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    problems = [f"{path}: {problem}" for problem in _faults(source, taxonomy, route_labels)]
    if problems:
        raise ConfigError(problems)
    return Prompt(source, taxonomy, file_hash=hashlib.sha256(content).hexdigest())


def hash_file(path: Path) -> str:
    """sha256 of a prompt file. Raises OSError."""
    return hashlib.sha256(read_small(path, _MAX_BYTES)).hexdigest()


def _faults(
    source: PromptSource, taxonomy: Taxonomy, route_labels: Sequence[Sequence[str]]
) -> list[str]:
    faults = []
    if "{labels}" not in source.instructions:
        faults.append("instructions: {labels} is missing")
    if "{lines}" not in source.question:
        faults.append("question: {lines} is missing")
    named = [*source.labels, *(line.label for line in (*source.examples, *source.canaries))]
    told = unknown_labels(named, taxonomy)
    if told:
        faults.append(
            f"{told}. With labels of your own, set llm.prompt to a copy of this file whose "
            "examples and canaries have your labels"
        )
        return faults
    with_canary = {canary.label for canary in source.canaries}
    for labels in route_labels:
        known = with_canary & {*labels, taxonomy.fallback}
        if len(known) < _CANARIES:
            faults.append(
                f"canaries: of {', '.join(labels)} and {taxonomy.fallback} "
                "at least two need a canary"
            )
    return sorted(set(faults))
