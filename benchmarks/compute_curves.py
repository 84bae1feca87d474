"""Simulates learning curves with a known truth: do the intervals of their fits cover it, and are
comparisons called asymptote and efficiency rightly?

    python benchmarks/compute_curves.py [--runs 200] [--json results.json]

A response is right with a probability whose logit adds up the level of the policy, its problem's
difficulty, and their combination; 8 responses to each of 100 problems at every evaluation. A seed
has an asymptote and a C_mid of its own, and its policy wobbles from evaluation to evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from harness import parser, write

from analysis.findings.curve_differences import curve_family
from analysis.findings.curve_fits import CurveFit, curve_fit
from analysis.findings.curve_settings import CurveSetting
from analysis.statistics.learning_curves import LearningCurve
from conspo_study.results.table import TrialRow

Floats = npt.NDArray[np.float64]
PROBLEMS, SAMPLES = 100, 8
PROBLEM_SD, MIXED_SD = 1.0, 0.3
"""In logits."""
TOP_SD, MIDDLE_SD, WOBBLE_SD = 0.012, 0.1, 0.008
"""Between seeds: of A, of log C_mid, and of a policy's level at one evaluation."""


@dataclass(frozen=True)
class Truth:
    """The curve that seeds scatter about."""

    start: float = 0.2
    top: float = 0.7
    steepness: float = 1.7
    middle: float = 20.0

    def at(self, compute: Floats, top: float, middle: float) -> Floats:
        """The level of one seed."""
        share = 1 / (1 + (middle / compute) ** self.steepness)
        return np.asarray(self.start + (top - self.start) * share)


def simulated(
    rng: np.random.Generator,
    truth: Truth,
    seeds: int = 5,
    evaluations: int = 10,
    last: float = 80.0,
    ease: Floats | None = None,
    shape: Callable[[Floats], Floats] | None = None,
) -> LearningCurve:
    """A curve of so many seeds.

    last: compute of the last evaluation. ease: of the problems, to share them between settings.
    shape: level by compute in place of the truth's.
    """
    compute = np.linspace(last / evaluations, last, evaluations)
    ease = rng.normal(0, PROBLEM_SD, PROBLEMS) if ease is None else ease
    scores = np.empty((seeds, 1 + evaluations, PROBLEMS))
    for seed in range(seeds):
        top = truth.top + TOP_SD * rng.normal()
        middle = truth.middle * float(np.exp(MIDDLE_SD * rng.normal()))
        levels = truth.at(compute, top, middle) if shape is None else shape(compute)
        levels = levels + WOBBLE_SD * rng.normal(size=evaluations)
        logits = _logits(np.concatenate([[truth.start], levels]))[:, None] + ease
        mixed = MIXED_SD * rng.normal(size=logits.shape)
        scores[seed] = rng.binomial(SAMPLES, 1 / (1 + np.exp(-(logits + mixed)))) / SAMPLES
    names = tuple(f"p{index:03d}" for index in range(PROBLEMS))
    return LearningCurve(
        *(tuple(range(seeds)), np.tile(compute, (seeds, 1))),
        *(scores[:, 1:].mean(axis=2), scores[:, 0].mean(axis=1), 1.0, names, scores),
    )


def fitted(curve: LearningCurve, name: str = "simulated") -> CurveFit:
    """What a report would say of it."""
    study = SimpleNamespace(
        **{"metric": "eval/simulated/avg@8", "direction": "max", "function": "", "configs": {}},
        **{"definition": {}, "folder": Path(), "table": SimpleNamespace(rows=())},
    )
    row = TrialRow("t0000", label=name, seeds=curve.seeds)
    steps = tuple(range(1, 1 + curve.values.shape[1]))
    return curve_fit(CurveSetting(name, cast(Any, study), row, steps, curve))


def coverage(runs: int) -> dict[str, Any]:
    """How often 95 % intervals cover the truth, of all fits; the share that is claimed, and the
    coverage of A among those."""
    found: dict[str, Any] = {}
    truth = Truth()
    for seeds in (3, 5, 10):
        for last in (80.0, 50.0):
            rng = np.random.default_rng([1, seeds, int(last)])
            fits = [fitted(simulated(rng, truth, seeds, last=last)) for _ in range(runs)]
            claimed = [fit for fit in fits if fit.claimed]
            found[f"{seeds} seeds, trained to {last / truth.middle:g} C_mid"] = {
                **{"A": _covered(fits, truth)},
                "C_mid": _covers(fits, "log_midpoint", np.log(truth.middle)),
                "B": _covers(fits, "log_steepness", np.log(truth.steepness)),
                "width of A": float(np.median([_width(f) for f in fits if f.asymptote])),
                "claimed": len(claimed) / runs,
                "A of claimed": _covered(claimed, truth),
            }
    return found


def refusals(runs: int) -> dict[str, Any]:
    """What becomes of curves that do not saturate, and of one that does: shares by reason."""
    shapes: dict[str, Callable[[Floats], Floats] | None] = {
        "saturates": None,
        "flat": lambda c: np.full_like(c, 0.2),
        "straight line to 0.6": lambda c: 0.2 + 0.4 * c / c[-1],
        "rises to 0.6, falls to 0.5": lambda c: np.interp(c / c[-1], [0, 0.6, 1], [0.2, 0.6, 0.5]),
        "two rises": lambda c: 0.2 + 0.2 / (1 + (8 / c) ** 3) + 0.3 / (1 + (60 / c) ** 12),
    }
    found: dict[str, Any] = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng([2, len(name)])
        fits = [fitted(simulated(rng, Truth(), shape=shape)) for _ in range(runs)]
        counts = Counter(str(fit.refusal) if fit.refusal else "claimed" for fit in fits)
        found[name] = {reason: count / runs for reason, count in sorted(counts.items())}
    return found


def comparisons(runs: int) -> dict[str, Any]:
    """Verdicts about two settings with the same problems and 5 seeds: shares."""
    base = Truth()
    others = {
        "no difference": base,
        "A higher by 0.06": replace(base, top=0.76),
        "C_mid halved": replace(base, middle=10.0),
        "A higher by 0.06, C_mid halved": replace(base, top=0.76, middle=10.0),
    }
    found: dict[str, Any] = {}
    for name, other in others.items():
        rng = np.random.default_rng([3, len(name)])
        verdicts: Counter[str] = Counter()
        for _ in range(runs):
            ease = rng.normal(0, PROBLEM_SD, PROBLEMS)
            pair = [
                fitted(simulated(rng, truth, ease=ease), label)
                for truth, label in ((base, "a"), (other, "b"))
            ]
            (one,) = curve_family(pair, share=True, reference="a").differences
            verdicts[f"not claimed: {one.verdict}" if one.reason else one.verdict] += 1
        found[name] = {verdict: count / runs for verdict, count in sorted(verdicts.items())}
    return found


TABLES = {
    "coverage of 95 % intervals": coverage,
    "what is claimed": refusals,
    "verdicts": comparisons,
}


def main() -> None:
    """Print every table, and write them all."""
    given = parser(__doc__, 200).parse_args()
    result = {}
    for title, table in TABLES.items():
        result[title] = table(given.runs)
        print(f"\n{title}")
        for row, cells in result[title].items():
            shown = ", ".join(f"{name} {value:.3f}" for name, value in cells.items())
            print(f"  {row}: {shown}", flush=True)
    write(given.json, result)


_GRID = np.linspace(-8, 8, 4001)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
_SPREAD = float(np.hypot(PROBLEM_SD, MIXED_SD))
_LEVELS = (1 / (1 + np.exp(-(_GRID[:, None] + _SPREAD * _NODES)))) @ _WEIGHTS / _WEIGHTS.sum()


def _logits(levels: Floats) -> Floats:
    """The logits at which the mean over all possible problems is so high."""
    return np.asarray(np.interp(levels, _LEVELS, _GRID))


def _width(fit: CurveFit) -> float:
    assert fit.asymptote is not None
    low, high = fit.asymptote.interval()
    return high - low


def _covered(fits: list[CurveFit], truth: Truth) -> float:
    return _covers(fits, "asymptote", truth.top)


def _covers(fits: list[CurveFit], name: str, truth: float) -> float:
    found = [getattr(fit, name) for fit in fits if getattr(fit, name) is not None]
    ends = [one.interval() for one in found]
    return float(np.mean([low <= truth <= high for low, high in ends])) if ends else float("nan")


if __name__ == "__main__":
    main()
