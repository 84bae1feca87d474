"""Bounded fits of saturating curves, against scipy's least squares and plain arithmetic."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from analysis.statistics.saturation import BEYOND, FREE_GAIN, STEEPNESS, fit

COMPUTE = np.arange(1, 11) * 8.0


def curve(compute, start, top, steepness, middle):
    return [start + (top - start) / (1 + (middle / c) ** steepness) for c in compute]


def fitted(values, compute=COMPUTE, start=0.2, ceiling=1.0, weights=None):
    values = np.atleast_2d(values)
    weights = np.ones_like(values) if weights is None else np.atleast_2d(weights)
    return fit(np.asarray(compute), values, weights, np.full(len(values), start), ceiling)


@pytest.mark.parametrize(
    ("top", "steepness", "middle"), [(0.7, 1.7, 20.0), (0.45, 0.6, 5.0), (0.95, 4.0, 50.0)]
)
def test_a_curve_without_noise_is_found_exactly(top, steepness, middle):
    found = fitted(curve(COMPUTE, 0.2, top, steepness, middle))
    assert found.asymptote[0] == pytest.approx(top, abs=1e-5)
    assert found.steepness[0] == pytest.approx(steepness, rel=1e-4)
    assert found.midpoint[0] == pytest.approx(middle, rel=1e-4)
    assert not found.edge[0]
    again = curve([3.0, 200.0], 0.2, top, steepness, middle)
    assert found.at(np.array([3.0, 200.0]))[0] == pytest.approx(again, abs=1e-5)
    half = (0.2 + top) / 2
    assert found.compute_at(half)[0] == pytest.approx(middle, rel=1e-4)
    assert np.isnan(found.compute_at(top + 0.01)[0]) and np.isnan(found.compute_at(0.1)[0])


def test_no_start_of_scipy_finds_a_better_curve():
    rng = np.random.default_rng(0)
    values = np.array(curve(COMPUTE, 0.2, 0.7, 1.7, 20.0)) + 0.02 * rng.normal(size=(30, 10))
    found = fitted(values)
    low = [0.2, np.log(STEEPNESS[0]), np.log(8.0 / BEYOND)]
    high = [1.0, np.log(STEEPNESS[1]), np.log(80.0 * BEYOND)]
    for row, mine in zip(values, found.at(COMPUTE), strict=True):
        costs = [
            least_squares(
                lambda p, row=row: curve(COMPUTE, 0.2, p[0], np.exp(p[1]), np.exp(p[2])) - row,
                [top, b, middle],
                bounds=(low, high),
            ).cost
            for top in (0.5, 0.8)
            for b in (0.0, 1.0)
            for middle in (2.0, 4.0)
        ]
        assert ((mine - row) ** 2).sum() / 2 <= min(costs) * (1 + 1e-6)


def test_a_weight_of_two_is_a_point_twice_and_of_none_is_none():
    rng = np.random.default_rng(1)
    values = np.array(curve(COMPUTE, 0.2, 0.7, 1.7, 20.0)) + 0.02 * rng.normal(size=10)
    weights = np.array([1, 2, 1, 0, 1, 1, 2, 1, 1, 1.0])
    weighed = fitted(values, weights=weights)
    kept = np.repeat(np.arange(10), weights.astype(int))
    repeated = fitted(values[kept], COMPUTE[kept])
    assert weighed.asymptote[0] == pytest.approx(repeated.asymptote[0], abs=1e-6)
    assert weighed.midpoint[0] == pytest.approx(repeated.midpoint[0], rel=1e-5)


def test_the_asymptote_stays_within_its_bounds_and_an_edge_is_told():
    line = 0.2 + 0.7 * COMPUTE / 80
    assert fitted(line).asymptote[0] == pytest.approx(1.0), "of a share at most 1"
    free = fitted(line, ceiling=None)
    assert 1.0 < free.asymptote[0] <= 0.2 + FREE_GAIN * 0.7 + 1e-9
    falling = fitted(0.2 - 0.1 * COMPUTE / 80)
    assert falling.asymptote[0] == pytest.approx(0.2), "no gain is negative"
    early = fitted(np.full(10, 0.6))
    assert early.edge[0] and early.asymptote[0] == pytest.approx(0.6, abs=1e-3)


def test_draws_do_not_touch_each_other_and_the_fit_is_the_same_again():
    rng = np.random.default_rng(2)
    values = np.array(curve(COMPUTE, 0.2, 0.7, 1.7, 20.0)) + 0.01 * rng.normal(size=(20, 10))
    together = fitted(values)
    assert np.array_equal(together.asymptote, fitted(values).asymptote)
    for index in (0, 7, 19):
        alone = fitted(values[index])
        assert together.asymptote[index] == pytest.approx(alone.asymptote[0], abs=1e-6)
