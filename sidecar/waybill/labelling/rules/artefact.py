"""What the compiler process is asked and what it answers: plain structs, msgpack on the pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Required, TypedDict

import msgspec

from waybill.core.errors import RuleError
from waybill.core.reasons import RuleAdviceCode, RuleCode
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.pattern import Translation

#: Exit codes of the compiler: faults in the rules, memory used up.
#: Not 1, which is also how the interpreter ends on an exception of its own.
EXIT_FAULTS = 4
EXIT_MEMORY = 3
#: What the compiler is at when no rule by itself can be at fault.
TOGETHER = "while compiling all patterns together"


class Known(msgspec.Struct, frozen=True):
    """A database that stands already, and its expressions: the id of each is its place here.

    ``translations``: what patterns were translated to.
    """

    expressions: tuple[str, ...]
    database: bytes
    translations: dict[str, Translation]


class CompileRequest(msgspec.Struct, frozen=True):
    """Texts to compile; ``cpu_secs`` is processor time, ``memory_bytes`` address space on top.

    ``reserved`` are names that no rule may give to a field. ``is_search``: a compiler of these
    texts has crashed, so compile rule by rule and say each time which one it is. ``disable`` are
    ids, or patterns of them, of rules that are left out (`rules.disable`). What ``known`` holds is
    not compiled again.
    """

    files: Sequence[RuleFile]
    labels: Sequence[str]
    cpu_secs: float = 30
    memory_bytes: int = 512 << 20
    max_message_bytes: int = 64 << 10
    reserved: Sequence[str] = ()
    is_search: bool = False
    disable: Sequence[str] = ()
    known: Known | None = None


class CompileOptions(TypedDict, total=False):
    """What `CompileRequest` asks beside its files."""

    labels: Required[Sequence[str]]
    cpu_secs: float
    memory_bytes: int
    max_message_bytes: int
    reserved: Sequence[str]
    disable: Sequence[str]
    known: Known | None


class Place(msgspec.Struct, frozen=True):
    """What the compiler is at, a line of JSON on its stderr: the last one counts when it dies."""

    doing: str
    file: str | None = None
    line: int | None = None
    rule_id: str | None = None


class CompiledRule(msgspec.Struct, frozen=True):
    """One rule as the rule set needs it.

    ``confirmation``: what a match of the database is confirmed with (`regex`); None where it is
    certain. ``is_always``: no database holds the pattern, so each message is put to it.
    """

    id: str
    label: str
    pattern: str
    mode: str
    file: str
    line: int
    sources: tuple[str, ...] | None
    fields: dict[str, str | int | float | bool] | None
    samples: int
    confirmation: str | None
    is_always: bool


class Advice(msgspec.Struct, frozen=True):
    """Something doubtful about rules that are in force all the same."""

    code: RuleAdviceCode
    detail: str
    file: str | None = None
    line: int | None = None
    rule_id: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        place = f"{where}: " if where else ""
        rule = f"rule {self.rule_id!r}: " if self.rule_id else ""
        return f"{place}{rule}{self.detail} [{self.code}]"


class Replaced(msgspec.Struct, frozen=True):
    """A rule that is not in force, and where it says so: a rule that overrides it, or `disable`.

    ``by_line`` is None where the settings disable it.
    """

    id: str
    file: str
    line: int
    by: str
    by_line: int | None = None

    def __str__(self) -> str:
        by = ":".join(str(part) for part in (self.by, self.by_line) if part is not None)
        return f"{self.file}:{self.line}  {self.id}  (not in force: {by})"


class Artefact(msgspec.Struct, frozen=True):
    """A compiled rule set: ``version`` is `hash_files` of its texts, ``database`` Hyperscan's.

    ``taken_samples``: ``match`` samples that another rule decides, in another way. ``replaced``:
    the rules that files or settings disable or override.

    Of a database that stood already (`Known`), ``known_rules`` has for each expression the index of
    its rule, -1 where no rule has it any more; it is ``known_database``. ``expressions``: what
    ``database`` was made of, by its ids, where it is the only one, with their ``translations``.
    """

    version: str
    database: bytes = b""
    rules: tuple[CompiledRule, ...] = ()
    advice: tuple[Advice, ...] = ()
    taken_samples: int = 0
    replaced: tuple[Replaced, ...] = ()
    known_rules: tuple[int, ...] = ()
    known_database: bytes = b""
    expressions: tuple[str, ...] = ()
    translations: dict[str, Translation] = {}

    def known(self) -> Known | None:
        """What need not be compiled again for rules that are mostly these; None: nothing."""
        if not self.expressions or not self.database:
            return None
        return Known(self.expressions, self.database, self.translations)


class Fault(msgspec.Struct, frozen=True):
    """A `RuleError` on its way through a pipe."""

    code: RuleCode
    detail: str
    file: str | None
    line: int | None
    rule_id: str | None

    @classmethod
    def of(cls, error: RuleError) -> Fault:
        """The fault that `error` tells of."""
        return cls(error.code, error.detail, error.file, error.line, error.rule_id)

    def error(self) -> RuleError:
        """The error again."""
        return RuleError(
            self.code, self.detail, file=self.file, line=self.line, rule_id=self.rule_id
        )
