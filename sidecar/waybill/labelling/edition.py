"""One edition: the rules, corrections and routes in force between two reloads, and their memo."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from waybill.labelling.corrections.table import CorrectionTable
from waybill.labelling.groups import SourceGroups
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.slow_path import SlowPath

#: A sample of exact messages that is kept when they hardly ever come twice: one in so many.
_SAMPLE_EVERY = 16
#: Below this share of exact hits only the sample is kept: among messages that repeat all the time,
#: a memo that keeps one in 16 would find about this share.
_RARE_HITS = 0.05
#: Records after which the share of hits has forgotten what was before.
_HITS_MEMORY = 4096


class Edition:
    """Corrections, one rule set and one set of slow paths, with the verdicts given under them.

    A batch is labelled under the edition it began with; a reload makes a new one.
    """

    def __init__(
        self,
        rules: RuleSet,
        paths: Sequence[SlowPath],
        memo_bytes: int,
        corrections: CorrectionTable | None = None,
    ) -> None:
        self.rules = rules
        self.paths = paths
        #: None without any, which then costs nothing.
        self.corrections = corrections
        self.groups = SourceGroups(rules, paths, memo_bytes, corrections)
        #: 1: every exact message is kept; 16: one in 16 is, because hardly any comes twice.
        self.keep_every = 1
        self._hit_share = 1.0

    def path_for(self, source: str) -> SlowPath:
        """The path of ``source``; looking it up leaves no trace."""
        return self.paths[self.groups.path_index(source)]

    def note_hits(self, hits: int, count: int) -> None:
        """Learn from ``hits`` in ``count`` records how often exact messages come again.

        Messages with a clock or a counter in them never do; keeping each would cost more than it
        saves. The sample that is still kept shows when that changes.
        """
        if count == 0:
            return
        weight = min(1.0, count / _HITS_MEMORY)
        self._hit_share += weight * (hits / count - self._hit_share)
        self.keep_every = _SAMPLE_EVERY if self._hit_share < _RARE_HITS else 1

    def kept(self) -> list[Sized]:
        """What has most of its memory; another edition may share the memos of the paths."""
        found = self.groups.kept()
        for path in self.paths:
            found += path.memo.kept()
        return found

    def memo_entries(self) -> int:
        """Verdicts kept, over all groups and levels."""
        return sum(len(path.memo) for path in self.paths) + self.groups.entries()
