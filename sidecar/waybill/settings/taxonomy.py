"""Where the taxonomy of some settings is read from, and which default routes fit it."""

from __future__ import annotations

import msgspec

from waybill.core.errors import ConfigError
from waybill.core.labels import Taxonomy, read_taxonomy
from waybill.settings.resources import resolve_path
from waybill.settings.schema import DEFAULT_ROUTES, Settings

#: The labels that come with Waybill.
DEFAULT_LABELS = "config/labels.yaml"


def read_labels(path: str = DEFAULT_LABELS) -> Taxonomy:
    """The taxonomy in the file ``path``, or in its packaged copy. Raises ConfigError."""
    return read_taxonomy(resolve_path(path)[0])


def with_fitting_routes(settings: Settings) -> Settings:
    """``settings``, where the default routes are in force without those that allow labels which
    there are not: with labels of one's own, what is left asks rules and model for every source.
    """
    if settings.routes != DEFAULT_ROUTES:
        return settings
    try:
        taxonomy = read_labels(settings.labels.path)
    except ConfigError:  # a check says so
        return settings
    known = set(taxonomy.names)
    routes = tuple(route for route in DEFAULT_ROUTES if known.issuperset(route.labels or ()))
    return msgspec.structs.replace(settings, routes=routes)
