"""What stands for ``{name}`` in a template: a list of ``slots.yaml``, or a generator here.

Random numbers are drawn in an order that must not change: a seed names the lines that it makes.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

from waybill.learn.corpus.entries import Slots

__all__ = ["fill", "is_slot"]

_STATUS = (200, 200, 200, 201, 204, 301, 304, 400, 401, 404, 429, 500, 503)
_UUID_DIGITS = (8, 4, 4, 4, 12)


def fill(name: str, slots: Slots, rng: random.Random) -> str:
    """A value for the slot ``name``. Raises KeyError for an unknown one."""
    if name in _GENERATED:
        return _GENERATED[name](rng)
    return str(rng.choice(slots[name]))


def is_slot(name: str, slots: Slots) -> bool:
    """Whether there is a slot of that name."""
    return name in _GENERATED or name in slots


def _join(rng: random.Random, count: int, high: int, mark: str, form: str = "d") -> str:
    return mark.join(format(rng.randint(0, high), form) for _ in range(count))


def _number(rng: random.Random) -> str:
    return str(rng.randint(0, 10 ** rng.randint(1, 6)))


def _decimal(rng: random.Random) -> str:
    value = rng.uniform(0, 90)
    return f"{value:.{rng.randint(1, 6)}f}"


def _hexadecimal(rng: random.Random) -> str:
    prefix = rng.choice(("0x", ""))
    return f"{prefix}{rng.getrandbits(64):016x}"


def _uuid(rng: random.Random) -> str:
    return "-".join(f"{rng.getrandbits(4 * n):0{n}x}" for n in _UUID_DIGITS)


def _apache_time(rng: random.Random) -> str:
    day = rng.randint(10, 28)
    return f"{day}/Mar/2026:{rng.randint(10, 23)}:13:55 +0000"


def _letters_of(alphabet: str, low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: "".join(rng.choices(alphabet, k=rng.randint(low, high)))


_GENERATED: dict[str, Callable[[random.Random], str]] = {
    "n": _number,
    "f": _decimal,
    "pct": lambda rng: str(rng.randint(0, 100)),
    "ip": lambda rng: _join(rng, 4, 255, "."),
    "mac": lambda rng: _join(rng, 6, 255, ":", "02x"),
    "hex": _hexadecimal,
    "uuid": _uuid,
    "ver": lambda rng: _join(rng, 3, 20, "."),
    "status": lambda rng: str(rng.choice(_STATUS)),
    "apache_time": _apache_time,
    "base64": lambda rng: base64.b64encode(rng.randbytes(rng.randint(6, 60))).decode(),
    "noise": _letters_of("asdfghjklqwertyuiopzxcvbnm;, ", 4, 40),
    "symbols": _letters_of("!@#$%^&*()_+-=[]{}|;:,.<>/?~", 1, 20),
    "letters": _letters_of("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", 3, 24),
}
