"""Reading a YAML file that holds one mapping: faults with file and line, no key given twice.

Of settings, scalars stay as they are written: what `convert` makes of `1.10`, `010`, `1e6` or `no`
is for the setting to say, and not for YAML, which takes them for 1.1, 8, a text and false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import yaml

from waybill.core.errors import ConfigError
from waybill.core.text import not_utf8, text_of_file
from waybill.core.yaml_advice import yaml_advice
from waybill.core.yaml_text import TextLoader
from waybill.settings.problems import Problem

#: Of a line with a fault, so much is told.
_SHOWN_CHARS = 160
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeyLoader(TextLoader):
    """SafeLoader that refuses a key given twice (PyYAML lets the last one win)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            # `<<: *base` takes keys over from another mapping; own keys stand before those.
            key = None if key_node.tag == _MERGE else self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                continue
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class WrittenLoader(_UniqueKeyLoader):
    """A loader that leaves every scalar the text that it is, but for null."""


WrittenLoader.yaml_implicit_resolvers = {}
for _first, _resolvers in _UniqueKeyLoader.yaml_implicit_resolvers.items():
    _kept = [one for one in _resolvers if one[0] in (_NULL, _MERGE)]
    WrittenLoader.yaml_implicit_resolvers[_first] = _kept


class Written(msgspec.Struct, frozen=True):
    """The values of a settings file, and where each stands: ``file:line`` by its dotted path."""

    values: dict[str, object]
    places: Mapping[str, str]


def read_written(file: Path) -> Written:
    """The settings in a YAML file; an empty file has none.

    Raises:
        ConfigError: one problem that names the file and, for a fault of YAML, the line.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _error(str(file), f"no such file; looked for {file.absolute()}") from None
    except OSError as error:
        raise _error(str(file), f"cannot be read: {error.strerror}") from None
    root, values = _read(data, file, WrittenLoader)
    return Written(values, dict(_places(root, file, "", set())))


def mapping_in(content: bytes, file: Path) -> dict[str, object]:
    """The mapping in ``content``, as YAML takes it; ``file`` stands in messages.

    Raises:
        ConfigError: as `read_written`.
    """
    return _read(content, file, _UniqueKeyLoader)[1]


def _read(
    content: bytes, file: Path, kind: type[_UniqueKeyLoader]
) -> tuple[yaml.Node | None, dict[str, object]]:
    try:
        text = text_of_file(content)
    except UnicodeDecodeError as error:
        line, told = not_utf8(error)
        raise _error(f"{file}:{line}", told) from None
    try:
        loader = kind(text)
        root = loader.get_single_node()
        data = loader.construct_document(root) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        raise _error(_place(file, error), _what_is_wrong(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _error(
            f"{file}:{line}",
            f"the character U+{error.character:04X} is not allowed in YAML; "
            "leave it out, or save the file as UTF-8",
        ) from None
    except RecursionError:
        raise _error(str(file), "is nested too deeply") from None
    if data is None:
        return None, {}
    if not isinstance(data, dict):
        raise _error(str(file), "expected a mapping at the top, for example log: {level: info}")
    return root, data


def _places(
    node: yaml.Node | None, file: Path, path: str, seen: set[int]
) -> Iterator[tuple[str, str]]:
    """The places of what is below ``node``; what an alias names has that of its first one."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}".removeprefix(".")
            yield below, f"{file}:{key.start_mark.line + 1}"
            yield from _places(value, file, below, seen)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield f"{path}[{i}]", f"{file}:{value.start_mark.line + 1}"
            yield from _places(value, file, f"{path}[{i}]", seen)


def _error(path: str, text: str) -> ConfigError:
    return ConfigError([str(Problem(path, text))])


def _place(file: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"{file}:{mark.line + 1}" if mark is not None else str(file)


def _what_is_wrong(error: yaml.MarkedYAMLError, text: str) -> str:
    """The fault in one line, with the line of the file that it was found in."""
    said = ", ".join(part for part in (error.context, error.problem) if part)
    advice = yaml_advice(error.problem)
    mark = error.problem_mark
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines) or not lines[mark.line].strip():
        return said + advice
    shown = lines[mark.line].strip()[:_SHOWN_CHARS]
    return f"{said} (column {mark.column + 1} of: {shown}){advice}"
