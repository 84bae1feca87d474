"""The Pareto front: the best compromises between several objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from analysis.load.study import StudyResults
from conspo_study.results.table import TrialRow


def pareto_front(points: Mapping[str, Sequence[float]], signs: Sequence[float]) -> list[str]:
    """Names of the points that no other point dominates, the best in the first objective first.

    points: name to one number per objective. signs: +1 where more is better, -1 where less is. One
    that is as good in every objective and better in one dominates; equal points stay.
    """
    better = {
        name: [sign * value for sign, value in zip(signs, values, strict=True)]
        for name, values in points.items()
    }

    def dominated(point: Sequence[float]) -> bool:
        return any(
            other != point and all(x >= y for x, y in zip(other, point, strict=True))
            for other in better.values()
        )

    front = [name for name, point in better.items() if not dominated(point)]
    return sorted(front, key=lambda name: [-value for value in better[name]])


def front_of(study: StudyResults) -> list[tuple[TrialRow, tuple[float, ...]]]:
    """The front of a study with further objectives, as means over seeds; empty without any.

    Only finished trials with all seeds in all objectives take part: a mean over fewer seeds does
    not compare.
    """
    aims = study.definition.get("also") or []
    if not aims:
        return []
    points: dict[str, tuple[float, ...]] = {}
    for row in study.table.rows:
        by_seed = [row.values, *(row.also.get(aim["metric"], {}) for aim in aims)]
        if row.state.has_result and all(
            found and set(found) >= set(row.seeds) for found in by_seed
        ):
            points[row.id] = tuple(fmean(found.values()) for found in by_seed)
    directions = [study.direction, *(aim["direction"] for aim in aims)]
    signs = [1.0 if direction == "max" else -1.0 for direction in directions]
    return [(study.table.row(name), points[name]) for name in pareto_front(points, signs)]
