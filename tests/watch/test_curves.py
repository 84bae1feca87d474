"""Curves: what a plot is given instead of all values."""

import itertools
import math
import random

import pytest

from conspo_study.watch.curves import Curves, thinned


def test_steps_may_come_in_any_order_and_again():
    curves = Curves()
    for step, value in [(5, 0.5), (10, 1.0), (5, 0.25), (1, 0.125)]:
        curves.add(step, 0, {"loss": value})
    curves.add(10, 1, {"loss": 3.0, "reward": 1})
    assert curves.shown("loss", 100) == {
        "steps": [1, 5, 10],
        "seeds": {"0": [0.125, 0.25, 1.0], "1": [None, None, 3.0]},
    }
    assert curves.shown("reward", 100) == {"steps": [10], "seeds": {"1": [1.0]}}
    assert curves.shown("loss", 100, steps={5, 7})["steps"] == [5]
    assert curves.shown("other", 100) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, None, True, "7", 10**400, [1]])
def test_what_is_no_number_is_a_gap(value):
    curves = Curves()
    curves.add(1, 0, {"x": 1.0})
    curves.add(2, 0, {"x": value})
    assert curves.shown("x", 100) == {"steps": [1], "seeds": {"0": [1.0]}}


@pytest.mark.parametrize("points", [4, 10, 100, 999])
def test_a_thinned_curve_keeps_its_ends_and_extremes(points):
    rng = random.Random(points)
    values = [rng.gauss(0, 1) for _ in range(1000)]
    values[rng.randrange(1, 999)], values[rng.randrange(1, 999)] = 50.0, -50.0
    chosen = thinned(values, points)
    assert len(chosen) <= points and chosen == sorted(set(chosen))
    assert chosen[0] == 0 and chosen[-1] == 999
    kept = [values[i] for i in chosen]
    assert max(kept) == max(values) and min(kept) == min(values)


def test_a_short_curve_is_whole():
    assert thinned([1.0, 2.0, 3.0], 3) == [0, 1, 2]
    assert thinned([1.0], 10) == [0] and thinned([], 10) == []


def test_evenly_thinned_curves_of_the_same_steps_have_the_same_steps():
    """Means over trials are then over what was measured at the same step."""
    made = []
    for seed in range(3):
        rng = random.Random(seed)
        curves = Curves()
        for step in range(0, 1000, 5):
            curves.add(step, 0, {"x": rng.random()})
        made.append(curves.shown("x", 40, evenly=True)["steps"])
    assert made[0] == made[1] == made[2] and 30 <= len(made[0]) <= 40
    assert made[0][-1] == 995
    distances = {b - a for a, b in itertools.pairwise(made[0])}
    assert max(distances) <= 2 * min(distances)
    few = Curves()
    for step in (0, 10, 20):
        few.add(step, 0, {"x": 1.0})
    assert few.shown("x", 40, evenly=True)["steps"] == [0, 10, 20]
