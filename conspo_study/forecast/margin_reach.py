"""Largest effect of a margin on ConSPO's gradient, which decides whether a sweep can show anything.

With z = logsumexp_j(s_j - s_i)/tau over a group's N- wrong rollouts, the gradient weight of correct
rollout i is sigmoid(z + m/tau), between 0 and 1 (Lemma 2 of arXiv 2605.12969; its credit is that
over N+). The margin changes it by sigmoid(z + m/tau) - sigmoid(z). With equal scores z = ln N-, and

    shift = N- (e^r - 1) / ((1 + N-)(1 + N- e^r)),  r = m/tau;  about r N- / (1 + N-)^2 for small r.

For any scores it is at most tanh(r/4), reached at z = -r/2.
"""

from __future__ import annotations

import itertools
import math

from conspo_study.config import ContrastiveOptions, RunConfig, with_overrides
from conspo_study.definition import StudyDefinition
from conspo_study.definition.space import Choice, Range, Value

TAU, MARGIN, SCHEDULE = "objective.tau", "objective.margin", "objective.schedule"
NEGLIGIBLE = 1e-3
"""A shift below this is lost in the noise of any study: the margin has no measurable effect."""


def credit_shift(ratio: float, negatives: int) -> float:
    """Change of the gradient weight by a margin of `ratio` = m/tau, with equal scores."""
    # In powers of e^-r, which cannot overflow.
    return negatives * -math.expm1(-ratio) / ((1 + negatives) * (math.exp(-ratio) + negatives))


def margin_lines(study: StudyDefinition) -> list[str]:
    """Effects of the margins of the study's space and baselines at each tau, for people; empty
    unless the study searches ConSPO's margin."""
    base = study.built_in.objective
    if MARGIN not in study.space or not isinstance(base, ContrastiveOptions):
        return []
    size = study.built_in.rollout.group_size
    negatives = max(1, size // 2)
    in_tau = base.margin_unit == "tau"
    shifts: dict[float, dict[float, float]] = {}
    """Shift by tau and M, in the base's unit."""
    for run in _runs(study):
        objective = run.objective
        if isinstance(objective, ContrastiveOptions) and objective.target_margin > 0:
            ratio = objective.target_margin / objective.tau
            margin = ratio if in_tau else objective.target_margin
            shifts.setdefault(objective.tau, {})[margin] = credit_shift(ratio, negatives)
    taus: dict[str, list[float]] = {}
    for tau in sorted(shifts):
        taus.setdefault(_row("M/tau" if in_tau else "M", shifts[tau]), []).append(tau)
    return [
        "largest effect of the margin on a correct rollout's gradient weight, which is between 0 "
        f"and 1 ({negatives} of {size} wrong, equal scores; tanh(M/(4 tau)) bounds it for any "
        "scores):",
        *(f"tau {', '.join(f'{tau:g}' for tau in same)}: {row}" for row, same in taus.items()),
    ]


def _row(unit: str, shifts: dict[float, float]) -> str:
    parts = [
        f"{margin:g} gives {shift:.2g}" + (" (not measurable)" if shift < NEGLIGIBLE else "")
        for margin, shift in sorted(shifts.items())
    ]
    return f"{unit} {', '.join(parts)}"


def _runs(study: StudyDefinition) -> list[RunConfig]:
    """Every tau with every margin of the space, ranges by their ends and middle; then baselines."""
    searched = {path: study.space[path] for path in (TAU, MARGIN) if path in study.space}
    combinations = itertools.product(*(some_values(dimension) for dimension in searched.values()))
    overrides: list[dict[str, Value]] = [
        dict(zip(searched, values, strict=True)) for values in combinations
    ]
    overrides += [anchor.params for anchor in study.anchors if anchor.params.get(SCHEDULE) != "off"]
    return [with_overrides(study.built_in, changes) for changes in overrides]


def some_values(dimension: Choice | Range) -> tuple[Value, ...]:
    """The values of a choice; the ends and the middle of a range."""
    if isinstance(dimension, Choice):
        return dimension.values
    low, high = dimension.low, dimension.high
    return (low, math.sqrt(low * high) if dimension.log else (low + high) / 2, high)
