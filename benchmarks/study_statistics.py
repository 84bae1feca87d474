"""Simulates studies with a known truth: are the promises of plans and reports kept?

    python benchmarks/study_statistics.py [--runs 300] [--json results.json]

A response is right with a probability whose logit adds up its problem's difficulty, what a setting
changes on that problem, the luck of a seed, and their combination; 8 responses to each of 96
problems. Every table has the rules of a naive report beside those of this package's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import parser, write
from scipy.special import chdtri, stdtrit

from analysis.statistics.bootstrap import difference, estimate
from analysis.statistics.family_tests import Verdict, family_tests
from analysis.statistics.intervals import mean_interval, paired_difference
from analysis.statistics.scores import ProblemScores, Scores
from conspo_study.statistics.contrast import Contrast, mean_contrast
from conspo_study.statistics.family import Correction, Family
from conspo_study.statistics.family_power import critical, family_shift
from conspo_study.statistics.power import POWER, beyond, detectable_shift

Floats = npt.NDArray[np.float64]
PROBLEMS, SAMPLES, DRAWS = 96, 8, 300
PROBLEM_SD, SETTING_SD, MIXED_SD, SEED_SD = 1.5, 0.2, 0.5, 0.1
"""In logits. Paired differences of two settings then vary by 0.03 from seed to seed, as those of
the embedded model do."""
MEAN = 0.8
METHODS = 10


class Rule(StrEnum):
    """How nine comparisons of ten methods with a reference are judged."""

    UNCORRECTED = "each at 5 %, uncorrected"
    EVERY_PAIR = "each at 5 % / 55, as one of every pair and the base (before)"
    """Of the 55 only the nine are simulated: what else they would find is not known."""
    HOLM = "reference, Holm (now)"
    DUNNETT = "reference, Dunnett (now)"


def to_logits(points: float) -> float:
    """The shift that moves the mean accuracy by `points` on average over problems."""
    at = MEAN + PROBLEM_SD * np.random.default_rng(0).normal(size=20_000)
    low, high = -5.0, 5.0
    for _ in range(50):
        middle = (low + high) / 2
        gained = float((_right(at + middle) - _right(at)).mean())
        low, high = (middle, high) if gained < points else (low, middle)
    return high


def study(
    rng: np.random.Generator, seeds: int, shifts: Sequence[float], seed_sd: float = SEED_SD
) -> list[Scores]:
    """The scores of one setting per shift, in logits, on shared seeds and problems."""
    hard = MEAN + PROBLEM_SD * rng.normal(size=PROBLEMS)
    names = tuple(map(str, range(PROBLEMS)))
    found = []
    for shift in shifts:
        logits = hard + shift + SETTING_SD * rng.normal(size=PROBLEMS)
        logits = logits + seed_sd * rng.normal(size=(seeds, 1))
        logits = logits + MIXED_SD * rng.normal(size=(seeds, PROBLEMS))
        values = rng.binomial(SAMPLES, _right(logits)) / SAMPLES
        found.append(Scores(tuple(range(seeds)), {"set": ProblemScores(names, values)}))
    return found


def _right(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


def contrast(first: Scores, second: Scores) -> Contrast | None:
    """As the report has it."""
    found = difference(first, second, draws=DRAWS)
    return found.contrast if found else None


@cache
def paired_sd() -> float:
    """Of the difference of two settings, from seed to seed on the same problems."""
    rng = np.random.default_rng(1)
    squares = []
    for _ in range(300):
        a, b = study(rng, 4, (0.0, 0.0))
        squares.append(float(np.var((a.cells - b.cells)[:, 0], ddof=1)))
    return math.sqrt(np.mean(squares))


def power_of_families(runs: int) -> dict[str, Any]:
    """Ten methods, of which one is better or none: how often its comparison with the reference
    finds it, and how often the family finds anything that is not there."""
    found: dict[str, Any] = {}
    for seeds in (3, 5):
        promise = {
            name: paired_sd() / math.sqrt(seeds) * family_shift(_family(correction), seeds - 1)
            for name, correction in (("Holm", Correction.HOLM), ("Dunnett", Correction.DUNNETT))
        }
        promise["one t-test (before)"] = (
            paired_sd() / math.sqrt(seeds) * detectable_shift(seeds - 1)
        )
        found[f"plan promises, {seeds} seeds"] = promise
        cells = {f"+{points:.0%}": points for points in (0.05, 0.10)}
        # A promise of more than the metric can gain is none.
        cells |= {f"promised to {name}": points for name, points in promise.items() if points < 0.2}
        for cell, points in {"equal": 0.0, **cells}.items():
            hits = dict.fromkeys(Rule, 0)
            false = dict.fromkeys(Rule, 0)
            rng = np.random.default_rng([seeds, round(1e4 * points)])
            for _ in range(runs):
                shifts = [0.0] * METHODS
                shifts[1] = to_logits_cached(points)
                scores = study(rng, seeds, shifts)
                contrasts = [contrast(one, scores[0]) for one in scores[1:]]
                for rule in Rule:
                    rejected = _rejected(contrasts, rule)
                    hits[rule] += rejected[0]
                    false[rule] += any(rejected[1:] if points else rejected)
            found[f"{seeds} seeds, {cell} ({100 * points:.1f} points)"] = {
                rule.value: _told(rule, points > 0, hits[rule] / runs, false[rule] / runs)
                for rule in Rule
            }
    return found


def _told(rule: Rule, real: bool, hits: float, false: float) -> dict[str, float]:
    """real: whether there is anything to find."""
    told = {"finds it": hits} if real else {}
    return told if rule is Rule.EVERY_PAIR else told | {"finds what is not there": false}


@cache
def to_logits_cached(points: float) -> float:
    return to_logits(points) if points else 0.0


def _family(correction: Correction, size: int = METHODS - 1) -> Family:
    return Family(tuple((str(k), "reference") for k in range(size)), correction)


def _rejected(contrasts: Sequence[Contrast | None], rule: Rule) -> list[bool]:
    if rule in (Rule.HOLM, Rule.DUNNETT):
        correction = Correction.HOLM if rule is Rule.HOLM else Correction.DUNNETT
        tests = family_tests(contrasts, _family(correction), None)
        return [one.adjusted is not None and one.adjusted < 0.05 for one in tests]
    p_values = [one.p_value if one else None for one in contrasts]
    # Holm's first step over all pairs of ten methods and the base.
    level = 0.05 if rule is Rule.UNCORRECTED else 0.05 / (METHODS * (METHODS + 1) / 2)
    return [p is not None and p < level for p in p_values]


def promises_after(runs: int) -> dict[str, Any]:
    """After a study of nothing: the true power at the difference that its report calls detectable.

    Before: the plain t-test at 5 %, with the spread pooled over three confirmed settings. Now: Holm
    over two comparisons, each with its own error, at the upper 80 % limit of that.
    """
    rng = np.random.default_rng(2)
    found: dict[str, Any] = {}
    for seeds in (3, 5, 10):
        for kind, sds in (("equal noise", (1, 1, 1)), ("one setting quiet", (1, 1, 0.2))):
            values = rng.normal(size=(20_000, seeds, 3)) * np.array(sds) / math.sqrt(2)
            d = values[:, :, 0] - values[:, :, 1]
            residual = values - values.mean(1, keepdims=True) - values.mean(2, keepdims=True)
            residual = residual + values.mean((1, 2), keepdims=True)
            pooled = np.sqrt(2 * (residual**2).sum((1, 2)) / (2 * (seeds - 1)))
            own = d.std(1, ddof=1)
            upper = math.sqrt((seeds - 1) / chdtri(seeds - 1, 0.9))
            family = _family(Correction.HOLM, 2)
            rules: dict[str, tuple[Floats, float, float]] = {
                "before": (pooled, detectable_shift(seeds - 1), _limit(seeds - 1)),
                "own error alone": (
                    own,
                    family_shift(family, seeds - 1),
                    critical(family, seeds - 1),
                ),
                "now": (
                    upper * own,
                    family_shift(family, seeds - 1),
                    critical(family, seeds - 1),
                ),
            }
            found[f"{seeds} seeds, {kind}"] = {
                name: _promised(sd * shift, _power_curve(seeds - 1, limit), shift)
                for name, (sd, shift, limit) in rules.items()
            }
    return found


def promises_over_problems(runs: int) -> dict[str, Any]:
    """The same for three settings whose responses are stored: the two-level bootstrap, Holm over
    two comparisons. The true power is that of the simulated test."""
    found: dict[str, Any] = {}
    family = _family(Correction.HOLM, 2)
    for seeds in (3, 5):
        rng = np.random.default_rng([3, seeds])
        sizes = np.arange(0.02, 0.26, 0.02)
        curve = []
        for size in sizes:
            hits = 0
            for _ in range(runs):
                a, b = study(rng, seeds, (to_logits_cached(float(size)), 0.0))
                one = contrast(a, b)
                hits += one is not None and abs(one.value) > one.error * critical(
                    family, one.freedom
                )
            curve.append(hits / runs)
        stated: dict[str, list[float]] = {"by the estimate": [], "now": []}
        for _ in range(3 * runs):
            a, b = study(rng, seeds, (0.0, 0.0))
            (test, _) = family_tests([contrast(a, b), None], family, None)
            ends = test.detectable_range(seeds)
            if ends is not None:
                stated["by the estimate"].append(test.detectable() or 0.0)
                stated["now"].append(ends[1])
        found[f"{seeds} seeds"] = {
            name: {
                "median points": 100 * float(np.median(values)),
                "mean power": float(np.interp(values, sizes, curve).mean()),
                "power below 0.5": float((np.interp(values, sizes, curve) < 0.5).mean()),
            }
            for name, values in stated.items()
        }
    return found


def _limit(freedom: int) -> float:
    return float(stdtrit(freedom, 0.975))


def _power_curve(freedom: int, limit: float) -> Callable[[Floats], Floats]:
    """Power by the true shift in standard errors."""
    shifts = np.linspace(0, 40 * math.sqrt(limit), 300)
    powers = np.array([beyond(float(shift), freedom, limit) for shift in shifts])
    return lambda at: np.interp(at, shifts, powers)


def _promised(stated: Floats, power: Callable[[Floats], Floats], shift: float) -> dict[str, float]:
    """stated: in standard errors of the true spread."""
    true = power(stated)
    return {
        "mean power": float(true.mean()),
        "power below 0.5": float((true < 0.5).mean()),
        f"power below {POWER}": float((true < POWER).mean()),
        "median, of what the truth would state": float(np.median(stated) / shift),
    }


def coverage_of_means(runs: int) -> dict[str, Any]:
    """How often 95 % intervals of a mean cover the truth over seeds and problems."""
    found: dict[str, Any] = {}
    for seeds in (3, 5):
        for sd in (0.0, 0.1, 0.4):
            rng = np.random.default_rng([4, seeds, round(100 * sd)])
            spread = math.hypot(PROBLEM_SD, SETTING_SD, MIXED_SD, sd)
            truth = float(
                _right(MEAN + spread * np.random.default_rng(0).normal(size=10**6)).mean()
            )
            held = {"t over seeds (before)": 0, "seeds and problems (now)": 0}
            for _ in range(runs):
                (scores,) = study(rng, seeds, (0.0,), sd)
                plain = mean_interval(scores.cells[:, 0].tolist())
                both = estimate(scores, draws=DRAWS)
                held["t over seeds (before)"] += plain is not None and (
                    plain.low <= truth <= plain.high
                )
                held["seeds and problems (now)"] += (both.low or 1) <= truth <= (both.high or 0)
            found[f"{seeds} seeds, seed sd {sd}"] = {n: count / runs for n, count in held.items()}
    return found


def unconfirmed(runs: int) -> dict[str, Any]:
    """Studies without a confirmation in which all settings are equal: how often a plain t-test
    calls the difference between the best and a reference detected. Reports give no verdict."""
    rng = np.random.default_rng(5)
    found: dict[str, Any] = {}
    for seeds in (2, 3, 5):
        for trials in (5, 12, 40):
            values = rng.normal(size=(20 * runs, seeds, trials))
            best = values[:, :, 1:].mean(1).argmax(1) + 1
            d = np.take_along_axis(values, best[:, None, None], 2)[:, :, 0] - values[:, :, 0]
            ahead = d.mean(1) > 0  # else the reference itself is the best
            t = d.mean(1) / (d.std(1, ddof=1) / math.sqrt(seeds))
            naive = float((ahead & (t > _limit(seeds - 1))).mean())
            found[f"{trials} trials, {seeds} seeds"] = {"before": naive}
    return found


def coarse(runs: int) -> dict[str, Any]:
    """A metric of few answers on two or three seeds, two equal settings: how often differences do
    not vary at all, from which a t-test concludes with p = 0."""
    rng = np.random.default_rng(6)
    found: dict[str, Any] = {}
    for seeds in (2, 3):
        naive = now = 0
        for _ in range(20 * runs):
            values = rng.binomial(8, 0.7, (2, seeds)) / 8
            d = values[0] - values[1]
            naive += bool(np.ptp(d) < 1e-12 and abs(d.mean()) > 0)
            both = paired_difference(dict(enumerate(values[0])), dict(enumerate(values[1])))
            one = both and both.interval
            now += bool(one and one.low == one.high)
        found[f"8 answers, {seeds} seeds"] = {
            "before": naive / (20 * runs),
            "now": now / (20 * runs),
        }
    return found


def equivalences(runs: int) -> dict[str, Any]:
    """How often a difference is called equivalent within two points."""
    found: dict[str, Any] = {}
    family = _family(Correction.HOLM, 1)
    for seeds, noise in ((3, 0.03), (5, 0.03), (10, 0.03), (5, 0.01), (10, 0.01)):
        rng = np.random.default_rng([7, seeds, round(1e3 * noise)])
        for true in (0.0, 0.02):
            draws = true + noise * rng.normal(size=(5 * runs, seeds))
            verdicts = [
                family_tests([mean_contrast(d)], family, 0.02)[0].verdict(seeds) for d in draws
            ]
            share = sum(one is Verdict.EQUIVALENT for one in verdicts) / len(verdicts)
            found[f"{seeds} seeds, sd {noise}, true difference {true}"] = share
    return found


TABLES = {
    "power and false findings of ten methods": power_of_families,
    "true power at what is called detectable": promises_after,
    "the same over problems": promises_over_problems,
    "coverage of means": coverage_of_means,
    "'detected' without a confirmation": unconfirmed,
    "differences that do not vary": coarse,
    "equivalent within 2 points": equivalences,
}


def main() -> None:
    """Print every table, and write them all."""
    given = parser(__doc__, 300).parse_args()
    result: dict[str, Any] = {"paired sd": paired_sd()}
    print(f"paired sd of the simulation: {paired_sd():.4f}")
    for title, table in TABLES.items():
        result[title] = table(given.runs)
        print(f"\n{title}")
        for row, cells in result[title].items():
            shown = (
                ", ".join(f"{name} {_text(value)}" for name, value in cells.items())
                if isinstance(cells, dict)
                else _text(cells)
            )
            print(f"  {row}: {shown}", flush=True)
    write(given.json, result)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_text(one)}" for name, one in value.items()) + ")"
    return f"{value:.3f}"


if __name__ == "__main__":
    main()
