"""The child process that parses, checks and compiles rules.

    python -m waybill.labelling.rules.compiler

It reads a `CompileRequest` on stdin and writes an `Artefact` to stdout (both msgpack). Faults in
the rules end it with `EXIT_FAULTS` and a list of them. It limits itself in time and memory, and
works at a low priority: what it must never do is trouble the service that waits for it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import hyperscan
import msgspec

from waybill.core.errors import RuleError, RuleSetError
from waybill.core.reasons import RuleCode
from waybill.labelling.rules.advice import advise, hint
from waybill.labelling.rules.artefact import (
    EXIT_FAULTS,
    EXIT_MEMORY,
    TOGETHER,
    Artefact,
    CompiledRule,
    CompileRequest,
    Fault,
    Known,
    Place,
)
from waybill.labelling.rules.dialects import with_remedy
from waybill.labelling.rules.files import hash_files
from waybill.labelling.rules.known import find_known
from waybill.labelling.rules.pattern import (
    SUSPICIOUS_STATES,
    Translation,
    compile_confirmation,
    translate,
)
from waybill.labelling.rules.ruleset import Rule, RuleSet
from waybill.labelling.rules.schema import Disabling, RuleSource, parse_file
from waybill.labelling.rules.selection import SETTING, Selection, select

_FLAGS = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
#: One pattern that compiles for longer, in time of the processor, is refused: 18 characters can
#: take 3.7 s.
_MAX_PATTERN_SECS = 1.0
#: So many faults are told of: one line can have a hundred thousand.
_MOST_FAULTS = 1000


def main() -> int:
    """Answer one request; the exit code."""
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=CompileRequest)
    os.nice(10)
    _limit(request.cpu_secs, request.memory_bytes)
    try:
        artefact = build(request)
    except MemoryError:
        return EXIT_MEMORY
    except RuleSetError as refusal:
        faults = [Fault.of(error) for error in _first_of(refusal.errors)]
        sys.stdout.buffer.write(msgspec.msgpack.encode(faults))
        return EXIT_FAULTS
    # The parent has the database that stood already.
    sent = msgspec.structs.replace(artefact, known_database=b"")
    sys.stdout.buffer.write(msgspec.msgpack.encode(sent))
    return 0


def _first_of(errors: Sequence[RuleError]) -> list[RuleError]:
    left = len(errors) - _MOST_FAULTS
    if left <= 0:
        return list(errors)
    more = RuleError("schema", f"and {left:,} faults more; mend these first")
    return [*errors[:_MOST_FAULTS], more]


def build(request: CompileRequest) -> Artefact:
    """The compiled rules.

    Raises:
        RuleSetError: with every fault that does not merely follow from another.
        MemoryError: Hyperscan ran out of it.
    """
    faults: list[RuleError] = []
    selection = _read(request, faults)
    if selection.has_copies:
        _stop_at(faults)
    sources, translations = _translate_all(selection.sources, faults, request.known)
    expressions = [translation.expression for translation in translations]
    places = find_known(request.known, expressions)
    database, held = _compile_together(
        sources, translations, faults, places.left, is_search=request.is_search
    )
    in_database = {*held, *places.known_rules}
    rules: list[CompiledRule] = []
    for index, (source, translation) in enumerate(zip(sources, translations, strict=True)):
        rules.append(_describe(source, translation, index not in in_database))
    dump = hyperscan.dumpb(database) if database is not None else b""
    version = hash_files(request.files, request.disable)
    artefact = Artefact(version, dump, tuple(rules), replaced=selection.replaced)
    if request.known is not None and places.known_rules:
        artefact = msgspec.structs.replace(
            artefact, known_rules=places.known_rules, known_database=request.known.database
        )
    else:
        artefact = _to_know(artefact, translations)
    rule_set = RuleSet(artefact, request.max_message_bytes)
    _check_samples(rule_set, sources, faults)
    _stop_at(faults)
    _note_place(Place("while looking for what is doubtful"))
    doubts = advise(rule_set, sources)
    return msgspec.structs.replace(
        artefact,
        advice=(*selection.advice, *doubts.advice),
        taken_samples=doubts.taken_samples,
    )


def _to_know(artefact: Artefact, translations: Sequence[Translation]) -> Artefact:
    """The artefact with what its database was made of."""
    expressions: list[str] = []
    done: dict[str, Translation] = {}
    for rule, translation in zip(artefact.rules, translations, strict=True):
        expressions.append("" if rule.is_always else translation.expression)
        done[rule.pattern] = translation
    return msgspec.structs.replace(artefact, expressions=tuple(expressions), translations=done)


def _stop_at(faults: Sequence[RuleError]) -> None:
    if faults:
        raise RuleSetError(faults)


def _limit(cpu_secs: float, memory_bytes: int) -> None:
    pages = 0
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[0])
    address_space = pages * resource.getpagesize() + memory_bytes
    secs = max(1, int(cpu_secs))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CPU, (secs, secs))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _note_place(place: Place) -> None:
    """Tell the parent what we are at; the last line counts if we do not come back."""
    sys.stderr.write(msgspec.json.encode(place).decode() + "\n")
    sys.stderr.flush()


def _note_rule(doing: str, source: RuleSource) -> None:
    _note_place(Place(doing, source.file, source.line, source.id))


def _read(request: CompileRequest, faults: list[RuleError]) -> Selection:
    """The rules that are left of all files."""
    sources: list[RuleSource] = []
    disabled = [Disabling(pattern, SETTING) for pattern in request.disable]
    for file in request.files:
        _note_place(Place("while reading it", file.name))
        parsed = parse_file(file, request.labels, faults, request.reserved)
        sources += [*parsed.rules, *parsed.faulty]
        disabled += parsed.disable
    return select(sources, disabled, faults)


def _translate_all(
    sources: Sequence[RuleSource], faults: list[RuleError], known: Known | None
) -> tuple[list[RuleSource], list[Translation]]:
    """The rules whose pattern can be compiled, and what Hyperscan is to compile of them."""
    kept: list[RuleSource] = []
    translations: list[Translation] = []
    done = known.translations if known is not None else {}
    for source in sources:
        _note_rule("while reading its pattern", source)
        try:
            translation = done.get(source.pattern) or translate(source.pattern)
        except ValueError as error:
            faults.append(_fault("pattern", with_remedy(str(error)), source))
            continue
        if translation.is_exact and not translation.expression.replace("(?:)", ""):
            faults.append(_fault("pattern", "would take every message", source))
            continue
        kept.append(source)
        translations.append(translation)
    return kept, translations


def _compile_together(
    sources: Sequence[RuleSource],
    translations: Sequence[Translation],
    faults: list[RuleError],
    held: Sequence[int],
    *,
    is_search: bool,
) -> tuple[hyperscan.Database | None, Sequence[int]]:
    """One database of the rules ``held``, and the indexes of those that are in it.

    Raises RuleSetError.
    """
    before = len(faults)
    for i in held:
        if is_search or translations[i].states > SUSPICIOUS_STATES:
            _fits_database(sources[i], translations[i], faults)
    if len(faults) > before:
        _stop_at(faults)
    expressions = [translation.expression for translation in translations]
    _note_place(Place(TOGETHER))
    try:
        return _compile([expressions[i] for i in held], held), held
    except hyperscan.error:  # it does not say which one it cannot do: find out
        held = [i for i in held if _fits_database(sources[i], translations[i], faults)]
    if len(faults) > before:
        _stop_at(faults)
    return _compile([expressions[i] for i in held], held), held


def _fits_database(source: RuleSource, translation: Translation, faults: list[RuleError]) -> bool:
    """Whether Hyperscan knows the pattern's constructs; one that is too much for it is a fault."""
    _note_rule("while compiling it", source)
    begin = time.process_time()
    try:
        _compile([translation.expression], [0])
    except hyperscan.error as error:
        if "memory" in str(error).lower():
            raise MemoryError from None
        if "too large" in str(error):
            detail = "too many states: repeats within repeats, or a repeat too high"
            faults.append(_fault("pattern", detail, source))
        else:
            _check_confirmation(source, translation, faults)
        return False
    if time.process_time() - begin > _MAX_PATTERN_SECS:
        detail = f"takes longer than {_MAX_PATTERN_SECS:g} s to compile"
        faults.append(_fault("pattern", detail, source))
    return True


def _check_confirmation(
    source: RuleSource, translation: Translation, faults: list[RuleError]
) -> None:
    """Each message will be put to this pattern: `regex` must know it."""
    try:
        compile_confirmation(translation.confirmation)
    except ValueError as error:
        faults.append(_fault("pattern", str(error), source))


def _compile(expressions: Sequence[str], ids: Sequence[int]) -> hyperscan.Database | None:
    if not expressions:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    texts = [expression.encode() for expression in expressions]
    database.compile(
        expressions=texts, ids=list(ids), elements=len(texts), flags=[_FLAGS] * len(texts)
    )
    return database


def _describe(source: RuleSource, translation: Translation, is_always: bool) -> CompiledRule:
    return CompiledRule(
        id=source.id,
        label=source.label,
        pattern=source.pattern,
        mode=source.mode,
        file=source.file,
        line=source.line,
        sources=source.sources,
        fields=source.fields,
        samples=len(source.match) + len(source.no_match),
        confirmation=translation.confirmation if is_always or not translation.is_exact else None,
        is_always=is_always,
    )


def _check_samples(rules: RuleSet, sources: Sequence[RuleSource], faults: list[RuleError]) -> None:
    for rule, source in zip(rules.rules, sources, strict=True):
        _note_rule("while trying its samples", source)
        for sample in source.match:
            _check_sample(rules, rule, sample, source, faults, is_match=True)
        for sample in source.no_match:
            _check_sample(rules, rule, sample, source, faults, is_match=False)


def _check_sample(
    rules: RuleSet,
    rule: Rule,
    sample: str,
    source: RuleSource,
    faults: list[RuleError],
    *,
    is_match: bool,
) -> None:
    if (rule in rules.matching(sample)) == is_match:
        return
    verb = "does not match" if is_match else "matches"
    reason = hint(source) if is_match else ""
    faults.append(_fault("sample", f"{verb} its sample {sample!r}{reason}", source))


def _fault(code: RuleCode, detail: str, source: RuleSource) -> RuleError:
    line = source.pattern_line if code == "pattern" else source.line
    return RuleError(code, detail, file=source.file, line=line, rule_id=source.id)


if __name__ == "__main__":
    sys.exit(main())
