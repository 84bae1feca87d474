"""Nested JSON objects as one flat mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flattened(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted name, behind `prefix`; an empty object is a value."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
