"""The search space of a study: dotted settings of `RunConfig`, each with its dimension."""

from conspo_study.config.values import Value
from conspo_study.definition.space.dimensions import Choice, Dimension, Range, Space, When
from conspo_study.definition.space.points import (
    MAX_POINTS,
    active,
    contains,
    number_of_points,
    ordered,
    point,
    points,
)

__all__ = [
    "MAX_POINTS",
    "Choice",
    "Dimension",
    "Range",
    "Space",
    "Value",
    "When",
    "active",
    "contains",
    "number_of_points",
    "ordered",
    "point",
    "points",
]
