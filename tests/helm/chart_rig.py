"""What these tests share."""

from __future__ import annotations

from typing import Any


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server does when asked to be strict."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {
        key: closed(value) if key in ("items", "additionalProperties") else value
        for key, value in schema.items()
    }
    if "properties" in schema:
        found["properties"] = {key: closed(value) for key, value in schema["properties"].items()}
        if "metadata" not in schema["properties"]:
            found.setdefault("additionalProperties", False)
    return found
