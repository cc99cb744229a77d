"""Where message and source of an OTLP record are among plain values, in both encodings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from waybill.core.prepare import is_blank
from waybill.wire.fields import FieldPlan, Path
from waybill.wire.otlp.frames import Frame
from waybill.wire.policy import Names, Reading, make_reading

#: Where OpenTelemetry's semantic conventions say who wrote a record; asked after ``fields.source``.
CONVENTIONS: tuple[Path, ...] = (
    ("service.name",),
    ("k8s.deployment.name",),
    ("k8s.container.name",),
    ("container.name",),
)


class Lookup:
    """Reads records and resources for one `FieldPlan`."""

    def __init__(self, plan: FieldPlan) -> None:
        self._plan = plan
        names = [".".join(path) for path in plan.source]
        names += [path[0] for path in (*plan.source, *CONVENTIONS)]
        #: The attributes worth reading: all others can be skipped.
        self.wanted = frozenset((*names, *plan.policy.added))

    def read(self, attributes: Mapping[str, object], body: object, resource: Frame) -> Reading:
        """Message and source of a record with ``body`` and (the wanted of its) ``attributes``."""
        source = self._source(attributes, body, resource)
        body = text_if_bytes(body)
        if isinstance(body, str) and not is_blank(body):
            return Reading(body, source)
        if not isinstance(body, Mapping):
            return make_reading(None, source, is_other=not isinstance(body, str | None))
        is_other = False
        for path in self._plan.message:
            value = text_if_bytes(at_path(body, path))
            if not isinstance(value, str):
                is_other = is_other or value is not None
            elif not is_blank(value):
                return Reading(value, source)
        return make_reading(None, source, is_other=is_other)

    def _source(self, attributes: Mapping[str, object], body: object, resource: Frame) -> str:
        """Attributes first, then a body that is a map, then the resource."""
        if not attributes and isinstance(body, str):
            return resource.name or resource.fallback
        for paths, fallback in (
            (self._plan.source, resource.name),
            (CONVENTIONS, resource.fallback),
        ):
            found = first_text(attributes, paths)
            if not found and isinstance(body, Mapping):
                found = first_text(body, paths)
            if found or fallback:
                return found or fallback
        return ""

    def note_source(self, attributes: Mapping[str, object], frame: Frame) -> None:
        """Note in ``frame`` what a resource's attributes say about the source of its records."""
        frame.name = first_text(attributes, self._plan.source)
        frame.fallback = first_text(attributes, CONVENTIONS)

    def taken(self, attributes: Mapping[str, object]) -> Names:
        """Our own names among ``attributes``."""
        return self._plan.policy.taken(attributes)


def text_if_bytes(value: object) -> object:
    """``value``, and as text where it is bytes of text, as a collector's encoding ``nop`` sends."""
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
    return value


def first_text(values: Mapping[str, object], paths: Sequence[Path]) -> str:
    """The first of ``paths`` that leads to a string that is not blank, or ``""``."""
    for path in paths:
        value = at_path(values, path)
        if isinstance(value, str) and not is_blank(value):
            return value
    return ""


def at_path(values: Mapping[str, object], path: Path) -> object:
    """What stands at ``path``: under its dotted name, or map by map; else None.

    Attributes are named with dots: ``service.name`` is one name.
    """
    flat = values.get(".".join(path))
    if flat is not None or len(path) == 1:
        return flat
    below = values.get(path[0])
    return at_path(below, path[1:]) if isinstance(below, Mapping) else None
