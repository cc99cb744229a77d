"""JSON texts by category: what RFC 8259 accepts (``y``), rejects (``n``) and leaves open (``i``).

Each is one value, as it may stand in a batch between two good records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["y", "n", "i"]


class Case(NamedTuple):
    """One JSON text, and whether a parser must accept it."""

    name: str
    kind: Kind
    text: bytes


def _record(value: bytes) -> bytes:
    return b'{"log":"x","v":' + value + b"}"


def _structure() -> Iterator[tuple[Kind, bytes]]:
    for text in (
        b"{}", b"[]", b"[[]]", b"[{}]", b'{"":0}', b'{"a":{}}', b'{"a":[]}', b'{"a":[{},[]]}', b"null", b"true",
        b"false", b'""', b'"alone"', b"0", b"-1", b'{"log":{"log":"x"}}', b'{"log":["x"]}', b'{"log":null}',
        b'{"log":1}', b'{"log":true}', b'{"log":""}', b'[{"log":"a"},{"log":"b"}]', b'{"a":1,"log":"x"}',
    ):  # fmt: skip
        yield "y", text
    for text in (
        b"{", b"}", b"[", b"]", b"{]", b"[}", b"{}}", b"{{}", b"[]]", b"[[]", b"[,]", b"[1,]", b"[1,,2]", b"[1 2]",
        b"[,1]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1,,"b":2}', b'{"a" 1}', b'{"a"::1}', b"{:1}",
        b"{a:1}", b"{'a':1}", b"{1:1}", b"{null:1}", b'{"a":1 "b":2}', b'{"a":1;"b":2}', b'{"a"=1}', b'["a":1]',
        b'["a",', b'["a"', b'{"a":1', b'{"a":', b'{"a"', b'{"a', b'{"', b"[1]x", b'{"a":1}x', b'{"a":1}}', b"tru",
        b"nul", b"fals", b"True", b"NULL", b"nullx", b"undefined", b"*", b"<a/>", b"//c", b'{"a":1}//c',
        b'{"a":1/*c*/}', b"/*c*/{}", b"#c", b"{}#c", b'{"a":@}', b"[*]", b"[\x00]", b"\x00", b"a", b"\\", b":", b",",
        b'{"log":"x"', b'{"log":"x"]', b'{"log":"x",', b'{"log":"x",}', b'{"log":x}', b'{"log":"x}', b'{"log:"x"}',
        b'{log":"x"}', b'{"log""x"}', b'[{"log":"x"}', b'[{"log":"x"},', b'{"log":"x"},',
    ):  # fmt: skip
        yield "n", text


def _numbers() -> Iterator[tuple[Kind, bytes]]:
    for text in (
        b"0", b"-0", b"0.0", b"-0.0", b"1", b"-12", b"0e0", b"0E+1", b"0e-1", b"1e1", b"1E22", b"1e-2", b"1.5E+3",
        b"0.1", b"10.01", b"123.456789", b"9007199254740993", b"-9223372036854775808", b"18446744073709551615",
        b"1.7976931348623157e308", b"5e-324", b"1e-400", b"0.00000000000000000000000000000000001", b"3.0",
    ):  # fmt: skip
        yield "y", _record(text)
    for text in (
        b"00", b"01", b"-01", b"-", b"+", b"+1", b"--1", b"++1", b"- 1", b".5", b"-.5", b"1.", b"-1.", b"1.e1",
        b"1..2", b"1.2.3", b"1e", b"1e+", b"1E-", b"1e1.5", b"1eE2", b"e1", b"0x1F", b"0b1", b"0o7", b"1_000",
        b"1,000,", b"1a", b"1f", b"NaN", b"-NaN", b"nan", b"Inf", b"Infinity", b"-Infinity", b"+Inf", b"1+2", b"1-2",
        b"2.e+3", b"0.e1", b"0.3e", b"0e", b"-foo", b"-1x", b"1/2", b"1 000", b"$1", b"1%", b"\xef\xbc\x91", b"1\x00",
    ):  # fmt: skip
        yield "n", _record(text)
    for text in (
        b"1e999",
        b"-1e999",
        b"1" * 400,
        b"9" * 5000,
        b"-" + b"9" * 30,
        b"0." + b"3" * 3000,
        b"1e" + b"9" * 30,
    ):
        yield "i", _record(text)
    for text in (
        b"18446744073709551616",
        b"100000000000000000000000000000",
        b"1.0000000000000000000000000000001",
    ):
        yield "i", _record(text)


def _strings() -> Iterator[tuple[Kind, bytes]]:
    for body in (
        b"", b" ", b"a", b"\x7f", b"}{", b"],[", b"/", b"//", b"/*", b"'", b",", b":", b"\\\\", b'\\"', b"\\/", b"\\b",
        b"\\f", b"\\n", b"\\r", b"\\t", b"\\\\n", b"\\\\\\\\", b'\\\\\\"', b"\\u0000", b"\\u0041", b"\\u00e9",
        b"\\u2028", b"\\uFFFF", b"\\uabCD", b"\\ud83d\\ude00", b"\\uD834\\uDD1E", b"\\u0022", b"\\u005c", b"a\\u0000b",
        b"\\u001b[31m", b"%s%n", b"${jndi:x}", b"../../etc", b"\\u003c", b"x" * 5000, b"\\n" * 2000, b'{\\"log\\":1}',
    ):  # fmt: skip
        yield "y", b'{"log":"' + body + b'"}'
    for body in (
        b"\\", b"\\a", b"\\x41", b"\\0", b"\\'", b"\\u", b"\\u0", b"\\u00", b"\\u000", b"\\u000g", b"\\U0041", b"\\u-041",
        b"\\u 041", b"\\\n", b"\\\t", b"\\ ", b"\\e", b"\\v", b"\\N", b"\\ud83d\\u", b"\\ud83d\\", b"\\u{41}", b"\\&",
        b"\\\xc3\xa9", b"\t", b"\n", b"\r", b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x1f", b"a\x00b", b'"', b'"a',
    ):  # fmt: skip
        yield "n", b'{"log":"' + body + b'"}'


def _unicode() -> Iterator[tuple[Kind, bytes]]:
    for text in (
        "é", "€", "😀", "\u2028", "\u2029", "\ufeff", "\u200b", "\u202e", "\uffff", "\U0010ffff", "\x80", "日本語", "a\u0301",
    ):  # fmt: skip
        yield "y", _record(f'"{text}"'.encode())
        yield "y", b'{"log":"' + text.encode() + b'"}'
    yield "y", '{"é":1,"log":"x"}'.encode()
    for body in (
        b"\xff", b"\xfe", b"\x80", b"\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xc1\xbf",
        b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80",
        b"a\xc3(", b"\xe2(\xa1", b"\\ud800", b"\\udc00", b"\\ud800\\ud800", b"\\udc00\\ud800", b"\\ud800a", b"\\ud800\\n",
        b"\\uDFFF", b"\\ud83dx\\ude00", b"\\ud800\\u0041", b"\\ud83d\\ude00\\ud83d",
    ):  # fmt: skip
        yield "i", b'{"log":"' + body + b'"}'
        yield "i", _record(b'"' + body + b'"')
        yield "i", b'{"log":"x","k' + body + b'":1}'
    for broken in (
        b"\xff",
        b"\xc3\xa9",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"[\xff]",
        b'{"log":"x"}\xff',
        b'{\xff"log":"x"}',
    ):
        yield "n", broken
    for codec in ("utf-16-le", "utf-16-be", "utf-16", "utf-32-le"):
        yield "i", '{"log":"x"}'.encode(codec)
    yield "i", b'\xef\xbb\xbf{"log":"x"}'
    yield "i", b"\xef\xbb\xbf{}"


def _whitespace() -> Iterator[tuple[Kind, bytes]]:
    for text in (
        b' {"log":"x"}', b'{"log":"x"} ', b'\t{"log":"x"}\t', b'{ "log" : "x" }', b'{\t"log"\t:\t"x"\t}', b"{ }", b"[ ]",
        b'{"log":"x" }', b'{"log":"x"\r}', b'{"log":"x"}\r', b'\r{"log":"x"}', b'{ "a" : [ 1 , 2 ] , "log" : "x" }',
        b'{"log":' + b" " * 5000 + b'"x"}',
    ):  # fmt: skip
        yield "y", text
    for space in (
        b"\x0b",
        b"\x0c",
        b"\xc2\xa0",
        b"\xe2\x80\x83",
        b"\xe2\x81\xa0",
        b"\x1c",
        b"\x85",
        b"\\t",
    ):
        yield "n", b'{"log":' + space + b'"x"}'
        yield "n", space + b'{"log":"x"}'
    for text in (b'{\n"log":"x"\n}', b'\n{"log":"x"}', b'{"log":"x"}\n', b'{"log":\r\n"x"}'):
        yield "y", text
    for text in (
        b" ",
        b"\n",
        b"",
        b"\x0b",
        b"\x0c",
        b"\x0b\x0c \x0b",
        b"[\x0b",
        b"[\x0c]",
        b"[1,\x0b",
        b"{}\x0b",
    ):
        yield "n", text


def _nesting() -> Iterator[tuple[Kind, bytes]]:
    for depth in (2, 20, 200):
        yield "y", _record(b"[" * depth + b"]" * depth)
        yield "y", _record(b'{"a":' * depth + b"0" + b"}" * depth)
    for depth in (255, 1000, 1023, 1025, 5000, 100_000):
        yield "i", _record(b"[" * depth + b"]" * depth)
        yield "i", _record(b'{"a":' * depth + b"0" + b"}" * depth)
        yield "i", b"[" * depth + b"]" * depth
        yield "n", b"[" * depth
        yield "n", b'{"a":' * depth
        yield "n", _record(b"[" * depth)
        yield "n", b"]" * depth
        yield "n", b'[{"":' * depth


def _duplicates() -> Iterator[tuple[Kind, bytes]]:
    for text in (
        b'{"log":"x","log":"y"}', b'{"log":"x","log":1}', b'{"log":1,"log":"x"}', b'{"a":1,"a":1}', b'{"a":1,"a":{"a":1}}',
        b'{"log":"x","\\u006cog":"y"}', b'{"\\u006c\\u006f\\u0067":"x"}', b'{"":1,"":2,"log":"x"}', b'{"log":"x","LOG":"y"}',
        b'{"a\\u0000":1,"a":2,"log":"x"}', b'{"source":"a","source":"b","log":"x"}', b'{"log":"x","message":"y","msg":"z"}',
        b'{"__proto__":{"log":"x"}}', b'{"log":"x","kubernetes":1}', b'{"log":"x","kubernetes":{"labels":[]}}',
    ):  # fmt: skip
        yield "y", text


_CATEGORIES = (_structure, _numbers, _strings, _unicode, _whitespace, _nesting, _duplicates)


def all_cases() -> list[Case]:
    """Every case, named by category and place."""
    return [
        Case(f"{kind}_{category.__name__[1:]}_{i}", kind, text)
        for category in _CATEGORIES
        for i, (kind, text) in enumerate(category())
    ]
