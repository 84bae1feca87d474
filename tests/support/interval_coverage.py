"""How often the intervals of `analysis.statistics.bootstrap` cover the truth, in simulations.

    python tests/support/interval_coverage.py [REPEATS]

The table in the docstring of `analysis.statistics.bootstrap` is that of 1000 repeats. A response is
right with a probability whose logit adds up a benchmark's difficulty, a seed's effect, a problem's
and that of
their combination; each problem has 8 samples. Two methods that are compared share their problems'
difficulty and differ in everything else.
"""

import sys
from collections.abc import Callable

import numpy as np

from analysis.statistics.bootstrap import Estimate, difference, estimate
from analysis.statistics.scores import Floats, ProblemScores, Scores

SAMPLES = 8
PROBLEM_SD, METHOD_PROBLEM_SD, MIXED_SD = 1.5, 0.3, 0.5
SHIFT = 0.3
"""In logits, what the better of two methods gains on every problem."""
LEVELS = (1.5, 0.5, 0.0, -1.0)
"""Mean logits of the benchmarks of an interquartile mean."""
DRAWS = 600


def coverage(
    kind: str, seeds: int, seed_sd: float, repeats: int, problems: int = 96
) -> tuple[float, float]:
    """Share of 95 % intervals that cover the truth, and their median width."""
    rng = np.random.default_rng([seeds, round(100 * seed_sd)])
    draw, truth = _KINDS[kind]
    target = truth(seed_sd)
    found = [draw(rng, seeds, problems, seed_sd) for _ in range(repeats)]
    ends = np.array([[one.low, one.high] for one in found], dtype=float)
    covered = (ends[:, 0] <= target) & (target <= ends[:, 1])
    return float(covered.mean()), float(np.median(ends[:, 1] - ends[:, 0]))


def _mean(rng: np.random.Generator, seeds: int, problems: int, seed_sd: float) -> Estimate:
    hard = rng.normal(0, PROBLEM_SD, problems)
    return estimate(_scores(_method(rng, seeds, seed_sd, hard[None], 0.5)), draws=DRAWS)


def _difference(rng: np.random.Generator, seeds: int, problems: int, seed_sd: float) -> Estimate:
    hard = rng.normal(0, PROBLEM_SD, problems)
    better, worse = (
        _scores(
            _method(
                rng,
                seeds,
                seed_sd,
                (hard + rng.normal(0, METHOD_PROBLEM_SD, problems))[None],
                0.5 + shift,
            )
        )
        for shift in (SHIFT, 0.0)
    )
    found = difference(better, worse, draws=DRAWS)
    assert found is not None
    return found


def _iqm(rng: np.random.Generator, seeds: int, problems: int, seed_sd: float) -> Estimate:
    hard = rng.normal(0, PROBLEM_SD, (len(LEVELS), problems)) + np.array(LEVELS)[:, None]
    return estimate(_scores(_method(rng, seeds, seed_sd, hard, 0.0)), "iqm", draws=DRAWS)


def _method(
    rng: np.random.Generator, seeds: int, seed_sd: float, hard: Floats, logit: float
) -> Floats:
    """hard: [benchmarks, problems]. Returns [seeds, benchmarks, problems]."""
    luck = rng.normal(0, seed_sd, (seeds, 1, 1))
    mixed = rng.normal(0, MIXED_SD, (seeds, *hard.shape))
    return rng.binomial(SAMPLES, 1 / (1 + np.exp(-(logit + hard + luck + mixed)))) / SAMPLES


def _scores(values: Floats) -> Scores:
    names = tuple(f"p{index}" for index in range(values.shape[2]))
    return Scores(
        tuple(range(len(values))),
        {f"b{k}": ProblemScores(names, values[:, k]) for k in range(values.shape[1])},
    )


def _expected(logit: float, sd: float) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return float(weights @ (1 / (1 + np.exp(-(logit + sd * nodes)))) / weights.sum())


def _true_mean(seed_sd: float) -> float:
    return _expected(0.5, float(np.hypot(np.hypot(seed_sd, PROBLEM_SD), MIXED_SD)))


def _true_difference(seed_sd: float) -> float:
    sd = float(np.sqrt(seed_sd**2 + PROBLEM_SD**2 + METHOD_PROBLEM_SD**2 + MIXED_SD**2))
    return _expected(0.5 + SHIFT, sd) - _expected(0.5, sd)


def _true_iqm(seed_sd: float) -> float:
    """Of infinitely many seeds and problems."""
    luck = np.random.default_rng(0).normal(0, seed_sd, 4000)
    sd = float(np.hypot(PROBLEM_SD, MIXED_SD))
    cells = np.sort([_expected(level + shift, sd) for level in LEVELS for shift in luck])
    return float(cells[len(cells) // 4 : -(len(cells) // 4)].mean())


_KINDS: dict[
    str,
    tuple[
        Callable[[np.random.Generator, int, int, float], Estimate],
        Callable[[float], float],
    ],
] = {
    "mean": (_mean, _true_mean),
    "difference": (_difference, _true_difference),
    "IQM": (_iqm, _true_iqm),
}


if __name__ == "__main__":
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for seeds in (2, 3, 5):
        for seed_sd in (0.0, 0.1, 0.4):
            found = [coverage(kind, seeds, seed_sd, repeats) for kind in _KINDS]
            numbers = "  ".join(f"{share:.3f} (± {width / 2:.3f})" for share, width in found)
            print(f"{seeds} seeds, seed sd {seed_sd:.1f}: {numbers}", flush=True)
