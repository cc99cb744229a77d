"""Where the taxonomy of some settings is read from."""

from __future__ import annotations

from waybill.core.labels import Taxonomy, read_taxonomy
from waybill.settings.resources import resolve_path

#: The labels that come with Waybill.
DEFAULT_LABELS = "config/labels.yaml"


def read_labels(path: str = DEFAULT_LABELS) -> Taxonomy:
    """The taxonomy in the file ``path``, or in its packaged copy. Raises ConfigError."""
    return read_taxonomy(resolve_path(path)[0])
