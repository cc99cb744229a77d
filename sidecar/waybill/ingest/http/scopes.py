"""Which tokens open which path: the one table, for every endpoint there is.

Shippers post batches and do nothing else. Their tokens stand in many places, and with
one of them nobody must read samples of records, exchange rules or correct labels with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from waybill.ingest.http.errors import LABEL_PATH, OTLP_PATH

__all__ = ["SCOPES", "PathScope", "scope_of"]

#: ``open``: no token is needed; ``ship``: any token; ``all``: one that is not for shipping alone.
PathScope: TypeAlias = Literal["open", "ship", "all"]
#: By path, and all below it. What is not here takes ``all``.
SCOPES: Mapping[str, PathScope] = {
    "/healthz": "open",
    "/readyz": "open",
    "/metrics": "open",
    LABEL_PATH: "ship",
    OTLP_PATH: "ship",
}


def scope_of(path: str) -> PathScope:
    """What the path of a request takes."""
    parts = path.rstrip("/").split("/")
    for count in range(len(parts), 1, -1):
        scope = SCOPES.get("/".join(parts[:count]))
        if scope is not None:
            return scope
    return "all"
