"""Reading a YAML file that holds one mapping: faults with file and line, no key given twice."""

from __future__ import annotations

from pathlib import Path

import yaml

from waybill.core.errors import ConfigError
from waybill.core.text import not_utf8, text_of_file
from waybill.core.yaml_advice import yaml_advice
from waybill.core.yaml_text import TextLoader
from waybill.settings.problems import Problem

#: Of a line with a fault, so much is told.
_SHOWN_CHARS = 160
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


def read_mapping(file: Path) -> dict[str, object]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        ConfigError: one problem that names the file and, for a fault of YAML, the line.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _error(str(file), f"no such file; looked for {file.absolute()}") from None
    except OSError as error:
        raise _error(str(file), f"cannot be read: {error.strerror}") from None
    return mapping_in(data, file)


def mapping_in(content: bytes, file: Path) -> dict[str, object]:
    """`read_mapping` of what was read already; ``file`` stands in messages."""
    try:
        text = text_of_file(content)
    except UnicodeDecodeError as error:
        line, told = not_utf8(error)
        raise _error(f"{file}:{line}", told) from None
    try:
        data = yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
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
        return {}
    if not isinstance(data, dict):
        raise _error(str(file), "expected a mapping at the top, for example log: {level: info}")
    return data


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
