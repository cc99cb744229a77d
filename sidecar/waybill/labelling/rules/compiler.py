"""The child process that parses, checks and compiles rules: ``python -m waybill.labelling.rules.compiler``.

It reads a request on stdin and writes an artefact to stdout (both msgpack). Faults in the rules end
it with exit code 4 and a list of them. It limits itself in time and memory, and works at a low
priority: what it must never do is trouble the service that waits for it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hyperscan
import msgpack

from waybill.core.errors import RuleError
from waybill.labelling.rules.pattern import SUSPICIOUS_STATES, Translation, translate
from waybill.labelling.rules.ruleset import RuleSet, content_hash
from waybill.labelling.rules.schema import RuleSource, parse_file, rule_files

_FLAGS = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
#: One pattern that compiles for longer is refused: 18 characters can take 3.7 s.
_MAX_PATTERN_SECS = 1.0
#: Not 1, which is also how the interpreter ends on an exception of its own.
EXIT_FAULTS, EXIT_MEMORY = 4, 3


def main() -> int:
    """Answer one request."""
    request = msgpack.unpackb(sys.stdin.buffer.read())
    os.nice(10)
    _limit(request["cpu_secs"], request["memory_bytes"])
    faults: list[RuleError] = []
    try:
        artefact = build(
            [Path(folder) for folder in request["folders"]],
            request["labels"],
            request["max_message_bytes"],
            faults,
        )
    except MemoryError:
        return EXIT_MEMORY
    if faults:
        sys.stdout.buffer.write(
            msgpack.packb(
                [
                    {
                        "code": one.code,
                        "detail": one.detail,
                        "file": one.file,
                        "line": one.line,
                        "rule_id": one.rule_id,
                    }
                    for one in faults
                ]
            )
        )
        return EXIT_FAULTS
    sys.stdout.buffer.write(msgpack.packb(artefact))
    return 0


def build(
    folders: Sequence[Path], labels: Sequence[str], max_message_bytes: int, faults: list[RuleError]
) -> dict[str, Any]:
    """The artefact of the rules in ``folders``; every fault is appended to ``faults``."""
    sources = _read(folders, labels, faults)
    _check_ids(sources, faults)
    translations = [_translate(source, faults) for source in sources]
    if faults:
        return {}
    expressions = [
        translation.expression for translation in translations if translation is not None
    ]
    for source, translation in zip(sources, translations, strict=True):
        if translation is not None and translation.states > SUSPICIOUS_STATES:
            _fits_database(source, translation.expression, faults)
    if faults:
        return {}
    database, held = _compile_together(sources, expressions, faults)
    if faults:
        return {}
    artefact = {
        "version": content_hash(folders),
        "database": hyperscan.dumpb(database) if database is not None else b"",
        "rules": [
            _describe(source, translation, i not in held)
            for i, (source, translation) in enumerate(zip(sources, translations, strict=True))
        ],
    }
    _check_samples(RuleSet(artefact, max_message_bytes), sources, faults)
    return artefact


def _limit(cpu_secs: float, memory_bytes: int) -> None:
    pages = (
        int(Path("/proc/self/statm").read_text().split()[0])
        if Path("/proc/self/statm").exists()
        else 0
    )
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (max(1, int(cpu_secs)),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(what: str) -> None:
    """Tell the parent what we are at; the last line counts if we do not come back."""
    sys.stderr.write(what + "\n")
    sys.stderr.flush()


def _read(
    folders: Sequence[Path], labels: Sequence[str], faults: list[RuleError]
) -> list[RuleSource]:
    sources: list[RuleSource] = []
    try:
        files = rule_files(list(folders))
        for file in files:
            _say(f"while reading {file}")
            sources += parse_file(str(file), file.read_bytes(), labels, faults)
    except OSError as error:
        faults.append(
            RuleError("unreadable", error.strerror or "cannot be read", file=error.filename)
        )
        return []
    if not files:
        places = ", ".join(str(folder) for folder in folders)
        faults.append(RuleError("empty", f"no *.yaml file in {places}"))
    return sources


def _check_ids(sources: Sequence[RuleSource], faults: list[RuleError]) -> None:
    seen: dict[str, RuleSource] = {}
    for source in sources:
        first = seen.setdefault(source.id, source)
        if first is not source:
            detail = f"the id stands at {first.file}:{first.line} already"
            faults.append(_fault("duplicate_id", detail, source))


def _translate(source: RuleSource, faults: list[RuleError]) -> Translation | None:
    try:
        return translate(source.pattern)
    except ValueError as error:
        faults.append(_fault("pattern", str(error), source))
        return None


def _compile_together(
    sources: Sequence[RuleSource], expressions: Sequence[str], faults: list[RuleError]
) -> tuple[Any, Sequence[int]]:
    """One database, and the indexes of the rules that are in it."""
    held: Sequence[int] = range(len(expressions))
    _say("while compiling all patterns together")
    try:
        return _compile(expressions, held), held
    except hyperscan.error:  # it does not say which one it cannot do: find out
        held = [i for i in held if _fits_database(sources[i], expressions[i], faults)]
    return None if faults else _compile([expressions[i] for i in held], held), held


def _fits_database(source: RuleSource, expression: str, faults: list[RuleError]) -> bool:
    """Whether Hyperscan knows the pattern's constructs; one that is too much for it is a fault."""
    _say(f"while compiling rule {source.id} ({source.file}:{source.line})")
    begin = time.perf_counter()
    try:
        _compile([expression], [0])
    except hyperscan.error as error:
        if "memory" in str(error).lower():
            raise MemoryError from None
        if "too large" in str(error):
            faults.append(
                _fault(
                    "pattern",
                    "too many states: repeats within repeats, or a repeat too high",
                    source,
                )
            )
        return False
    if time.perf_counter() - begin > _MAX_PATTERN_SECS:
        faults.append(
            _fault("pattern", f"takes longer than {_MAX_PATTERN_SECS:g} s to compile", source)
        )
    return True


def _compile(expressions: Sequence[str], ids: Sequence[int]) -> Any:
    if not expressions:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    texts = [expression.encode() for expression in expressions]
    database.compile(
        expressions=texts, ids=list(ids), elements=len(texts), flags=[_FLAGS] * len(texts)
    )
    return database


def _describe(
    source: RuleSource, translation: Translation | None, is_always: bool
) -> dict[str, Any]:
    assert translation is not None
    return {
        "id": source.id,
        "label": source.label,
        "pattern": source.pattern,
        "mode": source.mode,
        "file": source.file,
        "line": source.line,
        "sources": source.sources,
        "fields": source.fields,
        "samples": len(source.match) + len(source.no_match),
        "is_exact": translation.is_exact and not is_always,
        "always": is_always,
    }


def _check_samples(rules: RuleSet, sources: Sequence[RuleSource], faults: list[RuleError]) -> None:
    for rule, source in zip(rules.rules, sources, strict=True):
        for sample, expected in [
            *((s, True) for s in source.match),
            *((s, False) for s in source.no_match),
        ]:
            if (rule in rules.matching(sample)) != expected:
                detail = f"{'does not match' if expected else 'matches'} its sample {sample!r}"
                faults.append(_fault("sample", detail, source))


def _fault(code: str, detail: str, source: RuleSource) -> RuleError:
    return RuleError(code, detail, file=source.file, line=source.line, rule_id=source.id)


if __name__ == "__main__":
    sys.exit(main())
