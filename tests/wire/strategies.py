"""Generated bodies: JSON in spellings that no encoder of ours would choose, msgpack of every type."""

from __future__ import annotations

import json
import struct

from hypothesis import strategies as st

space = st.sampled_from([b"", b"", b" ", b"\t", b"  "])
wide_space = st.sampled_from([b"", b" ", b"\n", b"\r\n  "])
numbers = st.sampled_from(
    [
        b"0",
        b"-0",
        b"1e5",
        b"1E+05",
        b"0.10",
        b"18446744073709551616",
        b"9" * 400,
        b"-1.50e-3",
        b"1.0000000000000001",
    ]
)
_escapes = st.sampled_from(
    [r"\u0041", r"\u00e9", r"\n", r"\/", r"\"", r"\\", r"\ud83d\ude00", "é", "}{", "],[", "x", " "]
)
strings = st.lists(_escapes, max_size=6).map(lambda parts: ('"' + "".join(parts) + '"').encode())
keys = st.one_of(
    strings, st.sampled_from([b'"log"', b'"source"', b'"kubernetes"', b'"a"', b'"level"'])
)


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> bytes:
    """JSON text of any value."""
    kind = draw(st.integers(0, 6 if depth else 3))
    if kind == 0:
        return draw(numbers)
    if kind == 1:
        return draw(strings)
    if kind <= 3:
        return draw(st.sampled_from([b"true", b"false", b"null", b"[]", b"{}"]))
    if kind == 4:
        items = draw(st.lists(values(depth=depth - 1), max_size=3))
        return b"[" + b",".join(draw(space) + item + draw(space) for item in items) + b"]"
    return draw(objects(depth=depth - 1))


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> bytes:
    """JSON text of an object; keys may repeat."""
    members = draw(st.lists(st.tuples(keys, values(depth=depth)), max_size=4))
    if draw(st.booleans()):
        members.append((b'"log"', draw(strings)))
    pad = draw(space)
    return (
        b"{"
        + pad
        + b",".join(k + draw(space) + b":" + draw(space) + v for k, v in members)
        + pad
        + b"}"
    )


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """An array, lines, or concatenated objects."""
    records = draw(st.lists(objects(), min_size=1, max_size=5))
    form = draw(st.sampled_from(["array", "lines", "concatenated"]))
    if form == "array":
        padded = [draw(wide_space) + record + draw(wide_space) for record in records]
        return draw(wide_space) + b"[" + b",".join(padded) + b"]" + draw(wide_space)
    if form == "lines":
        return b"".join(
            record + draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"])) for record in records
        )
    return b"".join(records)


packed_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=40),
        st.binary(max_size=40),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
packed_records = st.dictionaries(
    st.one_of(st.text(max_size=8), st.integers(0, 300), st.sampled_from(["log", "source"])),
    packed_values,
    max_size=20,
)
event_times = st.builds(
    lambda s, n: struct.pack(">BBII", 0xD7, 0, s, n),
    st.integers(0, 2**31),
    st.integers(0, 10**9 - 1),
)


def plain(text: bytes) -> object:
    """A JSON value that remembers order, repeats and spellings: pairs for objects, text for
    numbers.
    """
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: ("object", pairs),
        parse_float=str,
        parse_int=str,
        strict=False,
    )
