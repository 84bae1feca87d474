"""The simulation of learning curves, and how often an interval covers the truth that it draws."""

import numpy as np
import pytest
from compute_curves import PROBLEMS, Truth, fitted, simulated

RUNS = 40


def test_simulated_levels_are_those_of_the_truth():
    rng = np.random.default_rng(0)
    truth = Truth()
    curves = [simulated(rng, truth) for _ in range(30)]
    start = np.mean([curve.start.mean() for curve in curves])
    last = np.mean([curve.values[:, -1].mean() for curve in curves])
    assert start == pytest.approx(0.2, abs=0.015)
    assert last == pytest.approx(0.2 + 0.5 / (1 + (20 / 80) ** 1.7), abs=0.015)
    assert curves[0].scores.shape == (5, 11, PROBLEMS)


def test_intervals_of_the_asymptote_cover_it():
    """Of 40 intervals of 95 %, fewer than 33 cover in one of 900 tests."""
    rng = np.random.default_rng(5)
    found = [fitted(simulated(rng, Truth())).asymptote for _ in range(RUNS)]
    ends = [one.interval() for one in found]
    assert sum(low <= 0.7 <= high for low, high in ends) >= 33
    widths = [high - low for low, high in ends]
    assert np.median(widths) < 0.15, "of use"
