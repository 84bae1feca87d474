"""Values for the settings of objectives that have no default, for tests of all objectives."""

from __future__ import annotations

from conspo_study.config import OPTIONS


def needed(name: str) -> dict[str, float]:
    """Settings without a default of the objective `name`, all of them numbers above 0."""
    fields = OPTIONS[name].model_fields.items()
    return {field: 0.05 for field, info in fields if info.is_required()}


def needed_overrides(name: str) -> dict[str, float]:
    """The same by their paths, `objective.beta`."""
    return {f"objective.{field}": value for field, value in needed(name).items()}
