"""One YAML file of a corpus as it was written: nodes, so that each fault has its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

from waybill.core.errors import WaybillError
from waybill.core.text import not_utf8, text_of_file
from waybill.core.yaml_advice import yaml_advice
from waybill.core.yaml_cuts import cuts
from waybill.core.yaml_text import VALUE_ERRORS

__all__ = ["Written", "read_written"]

#: libyaml's is ten times faster; both are safe loaders.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR = "tag:yaml.org,2002:str"
_SHOWN_CHARS = 60


def read_written(file: Path) -> Written:
    """The file as it is written. Raises WaybillError."""
    try:
        text = text_of_file(file.read_bytes())
        return Written(file, text, yaml.compose(text, _Loader))
    except OSError as error:
        raise WaybillError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line, told = not_utf8(error)
        raise WaybillError(f"{file}:{line}: {told}") from None
    except yaml.MarkedYAMLError as error:
        place = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        told = f"{error.problem}{yaml_advice(error.problem)}"
        raise WaybillError(f"{file}{place}: {told}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise WaybillError(f"{file}: {' '.join(str(error).split())}") from None


class Written:
    """The nodes of one file. Every method raises WaybillError with file and line."""

    def __init__(self, file: Path, text: str, root: yaml.Node | None) -> None:
        self.file = file
        self._text = text
        self._root = root

    def members(self, node: yaml.Node | None = None) -> Iterator[tuple[str, yaml.Node]]:
        """The members of a mapping, by default of the whole file; an empty file has none."""
        node = node or self._root
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            raise self._fault(node, "expected a mapping, as in `software: {label: [templates]}`")
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(key_node.value)
            if key in seen:
                raise self._fault(key_node, f"key {key!r} given twice; put its list under one")
            seen.add(key)
            yield key, value

    def texts(self, node: yaml.Node) -> Iterator[str]:
        """The texts of a list."""
        for item in self._items(node):
            if not isinstance(item, yaml.ScalarNode) or item.tag != _STR:
                said = self._text[item.start_mark.index : item.end_mark.index]
                shown = said.partition("\n")[0][:_SHOWN_CHARS]
                raise self._fault(item, f"YAML takes {shown!r} for no text; put it in quotes")
            yield str(item.value)

    def slots(self) -> dict[str, list[str]]:
        """Named lists of texts and numbers."""
        for _, values in self.members():
            self._items(values)
        try:
            found = msgspec.convert(self.value() or {}, dict[str, list[str | int | float]])
        except msgspec.ValidationError as error:
            raise WaybillError(f"{self.file}: {error}; put texts in quotes") from None
        return {name: list(map(str, values)) for name, values in found.items()}

    def value(self) -> object:
        """The value of the whole file."""
        if self._root is None:
            return None
        list(self.members())
        try:
            return yaml.load(self._text, _Loader)  # noqa: S506 - a safe loader
        except (yaml.YAMLError, RecursionError, *VALUE_ERRORS) as error:
            raise WaybillError(f"{self.file}: {' '.join(str(error).split())}") from None

    def cut(self) -> list[str]:
        """The texts that YAML seems to have cut, as ``FILE:LINE: SENTENCE``."""
        found = cuts(self._text, self._root, are_lines=True)
        return [f"{self.file}:{line}: {told}" for line, told in found]

    def _items(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._fault(node, "expected a list, each of its entries behind - and a blank")
        return list(node.value)

    def _fault(self, node: yaml.Node, told: str) -> WaybillError:
        return WaybillError(f"{self.file}:{node.start_mark.line + 1}: {told}")
