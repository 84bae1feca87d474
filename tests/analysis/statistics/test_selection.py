"""The bias of choosing the best mean, against simulations whose truth is known."""

import numpy as np
import pytest

from analysis.statistics.selection import left_out_bias
from conspo_study.statistics.power import (
    detectable_effect,
    detectable_shift,
    rejection,
    spread_range,
)


def values(array):
    return {f"s{i}": dict(enumerate(map(float, row))) for i, row in enumerate(array)}


@pytest.mark.parametrize("lower_is_better", [False, True])
@pytest.mark.parametrize("truths", [[0.0] * 6, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]])
def test_the_estimate_is_the_bias_on_one_seed_fewer(truths, lower_is_better):
    """What a winner of four seeds loses beyond the others is drawn from the truth."""
    rng = np.random.default_rng(0)
    best = np.argmin if lower_is_better else np.argmax
    estimates, biases = [], []
    for _ in range(1000):
        shared = rng.normal(0, 3.0, 5)  # seeds that are hard for all settings
        noise = rng.normal(0, 1.0, (6, 5)) + shared
        measured = np.array(truths)[:, None] + noise
        estimates.append(left_out_bias(values(measured), lower_is_better=lower_is_better).estimate)
        four = noise[:, :4].mean(axis=1)
        winner = best(measured[:, :4].mean(axis=1))
        biases.append(four[winner] - np.delete(four, winner).mean())
    error = np.std(np.array(estimates)) / np.sqrt(1000) + np.std(biases) / np.sqrt(1000)
    assert np.mean(estimates) == pytest.approx(np.mean(biases), abs=3 * error)
    assert abs(np.mean(biases)) > 10 * error, "there is a bias to be estimated"


def test_a_winner_that_always_wins_has_none():
    found = left_out_bias({"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {0: 0.0, 1: 0.5, 2: 1.0}})
    assert found.estimate == pytest.approx(0) and found.anchors == 1


def test_seeds_that_one_setting_lacks_do_not_count():
    full = {"a": {0: 1.0, 1: 0.0, 2: 3.0}, "b": {0: 0.0, 1: 2.0, 2: 1.0}}
    more = {"a": {**full["a"], 9: 100.0}, "b": full["b"]}
    assert left_out_bias(full) == left_out_bias(more)


@pytest.mark.parametrize(
    "few",
    [{}, {"a": {0: 1.0, 1: 2.0}}, {"a": {0: 1.0}, "b": {0: 2.0}}, {"a": {0: 1.0}, "b": {1: 2.0}}],
)
def test_one_seed_or_one_setting_has_no_estimate(few):
    assert left_out_bias(few) is None


def test_a_shift_in_standard_errors_is_the_effect_in_standard_deviations():
    for seeds in (2, 5, 20):
        effect = detectable_shift(seeds - 1, 0.05 / 7) * 0.3 / np.sqrt(seeds)
        assert effect == pytest.approx(detectable_effect(0.3, seeds, 0.05 / 7))
    assert rejection(0.0, 3.7, 0.01) == pytest.approx(0.01, abs=1e-6)


def test_the_range_of_a_spread_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(1)
    sds = rng.normal(size=(4000, 5)).std(axis=1, ddof=1)
    low, high = spread_range(4)
    assert np.mean((low * sds < 1) & (high * sds > 1)) == pytest.approx(0.8, abs=0.02)
