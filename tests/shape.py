"""The shape of the code in figures: ``python -m tests.shape [FOLDER] [--worst]``.

Lengths are without docstrings and blank lines for functions, and whole files for modules.
Cyclomatic complexity counts what radon counts: a branch each for `if`, `for`, `while`, `except`,
`assert`, conditional expression, comprehension and its conditions, `case`, and each further boolean
operand.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ROOT / "sidecar" / "waybill"
Function = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
    ast.IfExp,
    ast.comprehension,
)


@dataclass
class Shape:
    """What was counted in a folder; functions by ``path:name``."""

    modules: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)
    complexity: dict[str, int] = field(default_factory=dict)
    conditionals: int = 0
    comprehensions: int = 0
    anys: int = 0
    long_lines: list[str] = field(default_factory=list)

    def per_thousand(self, count: int) -> float:
        """``count`` for each 1,000 lines."""
        return 1000 * count / max(1, sum(self.modules.values()))

    def complex_share(self) -> float:
        """The share of functions whose complexity is over 10."""
        return sum(value > 10 for value in self.complexity.values()) / max(1, len(self.complexity))


def complexity(function: Function) -> int:
    """Cyclomatic complexity, nested functions included."""
    total = 1
    for node in ast.walk(function):
        if isinstance(node, _BRANCHES):
            total += 1
        if isinstance(node, ast.comprehension):
            total += len(node.ifs)
        if isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        if isinstance(node, ast.Match):
            total += len(node.cases)
    return total


def length(function: Function, lines: list[str]) -> int:
    """Lines of code of a function: no docstring, no blank line."""
    body = function.body
    has_doc = ast.get_docstring(function, clean=False) is not None
    first = body[0]
    skipped = set(range(first.lineno, (first.end_lineno or 0) + 1)) if has_doc else set()
    span = range(function.lineno, (function.end_lineno or 0) + 1)
    return sum(1 for n in span if n not in skipped and lines[n - 1].strip())


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def measure(folder: Path = CODE) -> Shape:
    """The shape of all modules below ``folder``."""
    shape = Shape()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text("utf-8")
        lines = text.splitlines()
        tree = ast.parse(text)
        shape.modules[name] = len(lines)
        for function in functions(tree):
            key = f"{name}:{function.lineno} {function.name}"
            shape.functions[key] = length(function, lines)
            shape.complexity[key] = complexity(function)
        for node in ast.walk(tree):
            shape.conditionals += isinstance(node, ast.IfExp)
            shape.comprehensions += isinstance(
                node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
            )
            shape.anys += isinstance(node, ast.Name) and node.id == "Any"
        shape.long_lines += [f"{name}:{n}" for n, line in enumerate(lines, 1) if len(line) > 100]
    return shape


def main() -> None:
    """Print the figures, and the places that stand out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=CODE)
    parser.add_argument("--worst", action="store_true", help="name the places")
    arguments = parser.parse_args()
    shape = measure(arguments.folder.resolve())
    sizes = sorted(size for size in shape.modules.values() if size > 3)
    print(f"modules {len(shape.modules)}, lines {sum(shape.modules.values())}")
    print(f"module median {statistics.median(sizes):g} (90..150), largest {sizes[-1]} (350)")
    print(f"functions over 40 lines {sum(n > 40 for n in shape.functions.values())} (0)")
    print(f"complexity over 10: {shape.complex_share():.1%} of functions (2 %)")
    print(
        f"conditional expressions per 1,000 lines {shape.per_thousand(shape.conditionals):.1f} (10.1)"
    )
    print(f"comprehensions per 1,000 lines {shape.per_thousand(shape.comprehensions):.1f} (13.5)")
    print(f"Any per 1,000 lines {shape.per_thousand(shape.anys):.1f} (5)")
    print(f"lines over 100 characters {len(shape.long_lines)} (0)")
    if arguments.worst:
        places = [f"{name}: {n} lines" for name, n in shape.modules.items() if n > 350]
        places += [f"{name}: {n} lines" for name, n in shape.functions.items() if n > 40]
        places += [f"{name}: complexity {n}" for name, n in shape.complexity.items() if n > 10]
        print("\n".join(places + shape.long_lines))


if __name__ == "__main__":
    main()
