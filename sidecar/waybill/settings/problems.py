"""What is wrong with settings: problems with the path, variable or file that they belong to."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from waybill.core.near import closest


class Problem(msgspec.Struct, frozen=True):
    """One fault. ``path`` is a dotted path, or what else was given: a variable, a flag, a file."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Findings:
    """The problems found so far, and the settings whose value is not what was meant.

    A check that compares settings asks `doubts` first: a fault that only follows from
    another one is no news, and may not even be true.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._doubtful: set[str] = set()
        self._noted: set[str] = set()
        self._doubts_all = False

    def add(self, problem: Problem, *meant: str) -> None:
        """Note a problem; ``meant`` are further settings that it may be about."""
        self.problems.append(problem)
        self._doubtful.update((problem.path, *meant))

    def note(self, problem: Problem) -> None:
        """Note what a check has found. Settings below its path are still what was meant."""
        self.problems.append(problem)
        self._noted.add(problem.path)

    def add_unreadable(self, problem: Problem) -> None:
        """Note that a source could not be read at all: no setting is what was meant."""
        self.problems.append(problem)
        self._doubts_all = True

    def doubts(self, path: str) -> bool:
        """Whether the value at ``path``, or below it, may be another than was meant."""
        if self._doubts_all or path in self._noted:
            return True
        return any(_touches(path, other) for other in self._doubtful)

    def concern(self, section: str) -> bool:
        """Whether anything found is about a section of the settings, or a setting in it."""
        return self.doubts(section) or any(_is_within(path, section) for path in self._noted)


class Suggestion(msgspec.Struct, frozen=True):
    """Known words that may have been meant: none or one."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f" (did you mean {self.words[0]}?)" if self.words else ""


def suggest(word: str, known: Iterable[str]) -> Suggestion:
    """The known word that is closest to ``word``, if any is close."""
    name = closest(word, known, cutoff=0.7)
    return Suggestion((name,) if name is not None else ())


def _touches(path: str, other: str) -> bool:
    """Whether one of two dotted paths is the other, or lies within it."""
    return path == other or _is_within(path, other) or _is_within(other, path)


def _is_within(inner: str, outer: str) -> bool:
    return inner.startswith((f"{outer}.", f"{outer}["))
