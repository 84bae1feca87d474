"""A bar is missed below it for max, above it for min, and only on what was measured."""

import pytest

from conspo_study.training.bars import Bars


@pytest.mark.parametrize(
    ("direction", "values", "missed"),
    [
        ("max", (0.25, 0.5), False),  # the mean is the bar itself
        ("max", (0.25, 0.49), True),
        ("max", (0.9, 0.0), False),  # no single seed decides
        ("min", (0.25, 0.5), False),
        ("min", (0.25, 0.51), True),
        ("min", (0.0, 0.7), False),
    ],
)
def test_the_mean_over_seeds_is_compared_with_the_bar(direction, values, missed):
    bars = Bars("accuracy", direction, {40: 0.375})
    latest = {seed: {"accuracy": value} for seed, value in enumerate(values)}
    assert bars.missed(40, latest) is missed


def test_only_the_bar_of_the_step_itself_counts():
    bars = Bars("accuracy", "max", {40: 0.9})
    assert not bars.missed(39, {0: {"accuracy": 0.0}})
    assert not bars.missed(41, {0: {"accuracy": 0.0}})


def test_without_bars_or_without_a_seeds_metric_nothing_is_missed():
    assert not Bars().missed(40, {0: {"accuracy": 0.0}})
    assert not Bars("accuracy", "max", {40: 0.9}).missed(40, {0: {"accuracy": 0.0}, 1: {}})
