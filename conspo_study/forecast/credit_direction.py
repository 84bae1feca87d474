"""Angles between the credits of a study's temperatures and margins, expected before it runs.

Gradients are clipped to a norm and Adam divides by their size, so what a temperature or a margin
can change is the direction of the credits (`conspo_study.objective.direction` measures the same
angles on live batches). In one group with n correct and n wrong rollouts, whose scores are the
quantiles (k - 1/2)/n of two normal distributions, the credits of ConSPO are those of Lemma 2 of
arXiv 2605.12969, and those of its linear limit 1/n and -1/n. A margin counts in full, as after its
warm-up. Large temperatures weigh groups of unlike composition by N-/(1 + N-), which the linear
objective does not: within a group their credits are the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

from conspo_study.config import ConSPOLinearOptions, ConSPOOptions, RunConfig, with_overrides
from conspo_study.config.fields import NAME
from conspo_study.definition import StudyDefinition
from conspo_study.definition.space import Choice, Value
from conspo_study.forecast.margin_reach import MARGIN, TAU, some_values

SPREAD, GAP = 0.28, 0.56
"""Standard deviation within each kind, and distance of the means, of the scores of a group of the
embedded task, in nats per token."""
ALIKE = 2.0
"""Degrees; credits that enclose less differ by 3.5 % of a step at most, which no study can show."""
MOST_SHOWN = 8


class Setting(NamedTuple):
    """A temperature and a margin; an infinite temperature is the linear limit."""

    tau: float
    margin: float
    """M in nats per token."""

    def name(self, in_tau: bool) -> str:
        """`tau 0.3, M/tau 5`; `in_tau`: the margin in multiples of tau."""
        if math.isinf(self.tau):
            return "linear"
        if not self.margin:
            return f"tau {self.tau:g}"
        return f"tau {self.tau:g}, " + (
            f"M/tau {self.margin / self.tau:g}" if in_tau else f"M {self.margin:g}"
        )


LINEAR = Setting(math.inf, 0.0)


def credits(setting: Setting, size: int) -> tuple[list[float], float]:
    """Credits of a typical group of `size` rollouts, the correct ones, then the wrong ones, divided
    by a factor; and the logarithm of that factor, for which small temperatures leave no number."""
    wrong, right = size // 2 or 1, size - size // 2
    if math.isinf(setting.tau):
        return [1 / right] * right + [-1 / wrong] * wrong, 0.0
    tau = setting.tau
    low, high = _scores(wrong, 0.0), _scores(right, GAP)
    top = max(low) / tau
    total = top + math.log(sum(math.exp(score / tau - top) for score in low))
    logs = [_log_sigmoid(total - (score - setting.margin) / tau) for score in high]
    pushes = [math.exp(log - max(logs)) / right for log in logs]
    return pushes + [-sum(pushes) * math.exp(score / tau - total) for score in low], max(logs)


def angle(one: Setting, other: Setting, size: int) -> float:
    """Degrees between the credits of two settings in a typical group of `size` rollouts."""
    (x, _), (y, _) = credits(one, size), credits(other, size)
    xy = math.fsum(a * b for a, b in zip(x, y, strict=True))
    return math.degrees(math.acos(min(1.0, xy / math.hypot(*x) / math.hypot(*y))))


def direction_lines(study: StudyDefinition) -> list[str]:
    """Expected angles to the linear limit, and the settings that will behave alike, for people;
    empty unless the study compares temperatures or margins of ConSPO."""
    runs = list(_runs(study))
    settings = sorted({found for run in runs if (found := _setting(run)) is not None})
    if len(settings) < 2:
        return []
    size = study.built_in.rollout.group_size
    in_tau = any(getattr(run.objective, "margin_unit", "") == "tau" for run in runs)
    shown = [setting for setting in settings if setting != LINEAR]
    if len(shown) > MOST_SHOWN:  # the corners of the map: every margin lies between them
        shown = [setting for tau in _taus(shown) for setting in _ends(shown, tau)]
    row = "; ".join(f"{s.name(in_tau)}: {angle(s, LINEAR, size):.2g}" for s in shown)
    return [
        "only the direction of the credits acts, since gradients are clipped and Adam divides by "
        f"their size; expected angles to conspo_linear in degrees ({size - size // 2} right and "
        f"{size // 2} wrong rollouts whose scores have sd {SPREAD:g} and a gap of {GAP:g} nats per "
        f"token, as on the embedded task: an assumption; logged as credit_angle): {row}",
        *_alike(settings, size, in_tau),
    ]


def _alike(settings: Sequence[Setting], size: int, in_tau: bool) -> Iterator[str]:
    """Sentences on settings whose credits point the same way."""
    widest = max(angle(*pair, size) for pair in itertools.combinations(settings, 2))
    if widest < ALIKE:
        yield (
            f"all {len(settings)} settings lie within {_up(widest)} of each other: they will "
            "behave alike, and there is nothing to be found between them. Try smaller temperatures"
        )
        return
    taus = _taus(settings)
    near = [s for s in settings if s != LINEAR and angle(s, LINEAR, size) < ALIKE]
    names = [f"{tau:g}" for tau in taus if all(s in near for s in settings if s.tau == tau)]
    if names:
        margins = ", whatever the margin" if any(setting.margin for setting in near) else ""
        yield (
            f"tau {', '.join(names)}: within {ALIKE:g} degrees of conspo_linear{margins}: "
            + ("it will behave like it" if len(names) == 1 else "these will behave alike")
        )
    flat = [
        f"{tau:g} ({_up(turn)})"
        for tau in taus
        if f"{tau:g}" not in names
        and (turn := _turn([s for s in settings if s.tau == tau], size)) is not None
        and turn < ALIKE
    ]
    if flat:
        yield (
            f"the margins of this study change the credits by less than {ALIKE:g} degrees at tau "
            f"{', '.join(flat)}: there they will behave alike, nothing to be found"
        )


def _turn(same_tau: Sequence[Setting], size: int) -> float | None:
    """The largest angle between margins at one temperature; None where there is only one."""
    pairs = itertools.combinations(same_tau, 2)
    return max((angle(*pair, size) for pair in pairs), default=None)


def _up(degrees: float) -> str:
    return f"{degrees:.1f} degrees" if degrees >= 0.1 else "0.1 degrees"


def _taus(settings: Sequence[Setting]) -> list[float]:
    return sorted({setting.tau for setting in settings if setting != LINEAR})


def _ends(settings: Sequence[Setting], tau: float) -> list[Setting]:
    same = [setting for setting in settings if setting.tau == tau]
    return same if len(same) == 1 else [same[0], same[-1]]


def _setting(run: RunConfig) -> Setting | None:
    match run.objective:
        case ConSPOOptions() as options:
            margin = 0.0 if options.schedule == "off" else options.target_margin
            return Setting(options.tau, margin)
        case ConSPOLinearOptions():
            return LINEAR
        case _:
            return None


def _runs(study: StudyDefinition) -> Iterator[RunConfig]:
    """Every tau with every margin of the space, ranges by their ends and middle; then baselines."""
    searched = {path: study.space[path] for path in (TAU, MARGIN) if path in study.space}
    names = study.space.get(NAME)
    fixed: dict[str, Value] = {}
    if isinstance(names, Choice) and "conspo" in names.values:
        fixed = {NAME: "conspo"}
    if searched and (fixed or isinstance(study.built_in.objective, ConSPOOptions)):
        for values in itertools.product(*(some_values(part) for part in searched.values())):
            yield with_overrides(
                study.built_in, {**fixed, **dict(zip(searched, values, strict=True))}
            )
    for anchor in study.anchors:
        yield with_overrides(study.built_in, anchor.params)


def _scores(count: int, mean: float) -> list[float]:
    normal = NormalDist(mean, SPREAD)
    return [normal.inv_cdf((k + 0.5) / count) for k in range(count)]


def _log_sigmoid(x: float) -> float:
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))
