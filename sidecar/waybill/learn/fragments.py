"""Made texts that are not log lines: the model must call them `Unclassified`.

They are measured on and never trained on.

>>> fragments(6, seed=1) == fragments(6, seed=1)
True
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable

__all__ = ["KINDS", "fragments"]

_SUBJECTS = (
    "The baker", "My aunt", "A tired violinist", "Our neighbour's parrot", "The ferry captain",
    "Nobody in the village",
    "The second chapter", "Her grandfather", "That old bridge", "The museum guide",
)  # fmt: skip
_ACTS = (
    "bought three oranges", "painted the fence blue", "was reading by the window",
    "never learned to swim",
    "told a story about wolves", "prefers tea without sugar", "hummed a tune from childhood",
    "kept bees for years",
    "planted tulips along the path", "had forgotten the umbrella",
)  # fmt: skip
_ENDS = (
    "before the rain began.", "and everybody laughed.", "as the sun went down.",
    "every other Thursday.",
    "which made them happy.", "although it was rather cold.", "while soup was cooking.",
    "in a town by the sea.",
)  # fmt: skip
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890")
_NAMES = (
    "total",
    "width",
    "colour",
    "items",
    "price",
    "left",
    "node",
    "score",
    "shape",
    "angle",
    "buffer",
    "row",
)
_CODE = (
    "def {a}({b}, {c}=None):\n    return [{b} * 2 for {b} in {c} or []]",
    "for (let {a} = 0; {a} < {b}.length; {a}++) {{ {c}.push({b}[{a}]); }}",
    "public static int {a}(int {b}) {{ return {b} <= 1 ? 1 : {b} * {a}({b} - 1); }}",
    "SELECT {a}, COUNT({b}) FROM {c} GROUP BY {a} ORDER BY 2 DESC;",
    "let mut {a}: Vec<u32> = {b}.iter().map(|{c}| {c} + 1).collect();",
    "<div class=\"{a}\"><span id='{b}'>{c}</span></div>",
    ".{a} {{ margin: 0 auto; {b}: 12px; }}",
    "#define {A}({b}) (({b}) > 0 ? ({b}) : -({b}))",
    "template <typename T> T {a}(T {b}) {{ return {b} + {b}; }}",
    "if ({a} == {b}) {{ {c} = {a} << 2; }}",
    "{a} = lambda {b}: {b} ** 2 + {c}",
    "func {a}({b} int) (int, bool) {{ {c} := {b} / 2; return {c}, true }}",
)
_VALUES = (
    "amber",
    "Lisbon",
    "oak",
    "M",
    "XL",
    "north",
    "2019-05-01",
    "n/a",
    "true",
    "Bach",
    "kiwi",
    "Q2",
)


def _prose(rng: random.Random) -> str:
    return " ".join(rng.choice(part) for part in (_SUBJECTS, _ACTS, _ENDS))


def _keyboard(rng: random.Random) -> str:
    return " ".join(_keys(rng) for _ in range(rng.randint(1, 5)))


def _keys(rng: random.Random) -> str:
    """Some keys of one row, as a hand that lies on it presses them."""
    return "".join(rng.choices(rng.choice(_ROWS), k=rng.randint(3, 11)))


def _code(rng: random.Random) -> str:
    a, b, c = rng.sample(_NAMES, 3)
    return rng.choice(_CODE).format(a=a, b=b, c=c, A=a.upper())


def _csv(rng: random.Random) -> str:
    cells = [
        rng.choice((rng.choice(_VALUES), str(rng.randint(0, 9999)), f"{rng.uniform(0, 99):.2f}"))
        for _ in range(rng.randint(4, 9))
    ]
    return rng.choice((",", ";", "\t")).join(cells)


def _base64(rng: random.Random) -> str:
    return base64.b64encode(rng.randbytes(rng.randint(12, 120))).decode()


def _json(rng: random.Random) -> str:
    def value(depth: int) -> object:
        kind = rng.randrange(5 if depth else 3)
        if kind < 2:
            return rng.choice(
                (
                    rng.choice(_VALUES),
                    rng.randint(-50, 5000),
                    round(rng.uniform(0, 1), 4),
                    None,
                    True,
                )
            )
        if kind == 2:
            return [rng.randint(0, 99) for _ in range(rng.randint(0, 6))]
        return {name: value(depth - 1) for name in rng.sample(_NAMES, rng.randint(1, 4))}

    return json.dumps({name: value(2) for name in rng.sample(_NAMES, rng.randint(1, 5))})


#: Each kind of fragment and what makes one.
KINDS: dict[str, Callable[[random.Random], str]] = {
    "prose": _prose,
    "keyboard": _keyboard,
    "code": _code,
    "csv": _csv,
    "base64": _base64,
    "json": _json,
}


def fragments(count: int, seed: int = 42) -> list[tuple[str, str]]:
    """``count`` pairs of kind and text, each kind in turn; one ``seed`` gives the same pairs."""
    rng = random.Random(seed)
    in_turn = itertools.islice(itertools.cycle(KINDS.items()), count)
    return [(kind, make(rng)) for kind, make in in_turn]
