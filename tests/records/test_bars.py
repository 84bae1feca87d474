"""Bars as the log keeps them, of both rules."""

import json
import math

import pytest

from conspo_study.records import PairedBar, misses_bar, read_bar, threshold_of, written_bar

PAIRED = PairedBar(0.5, {0: 0.6, 1: 0.7, 2: 0.8}, 2.0)


@pytest.mark.parametrize("bar", [0.31, PAIRED])
def test_a_bar_comes_back_from_the_log(bar):
    assert read_bar(json.loads(json.dumps(written_bar(bar)))) == bar


def test_thresholds():
    assert threshold_of(0.31) == 0.31
    assert threshold_of(PAIRED) == 0.5


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ((0.3, 0.4, 0.5), True),  # 0.3 worse on every seed
        ((0.5, 0.5, 0.5), False),  # at the threshold
        ((0.1, 0.7, 0.4), False),  # losses 0.5, 0, 0.4 have the mean 0.3 and sd 0.26
        ((0.4, 0.4, 0.55), True),  # 0.2, 0.3, 0.25: mean 0.25, sd 0.05
        ((0.9, 0.9, 0.9), False),
        ((math.nan, 0.1, 0.1), False),
    ],
)
def test_both_tests_must_say_so(values, stops):
    assert misses_bar(PAIRED, dict(enumerate(values)), 1) is stops
    mirrored = PairedBar(-0.5, {s: -v for s, v in PAIRED.rival.items()}, 2.0)
    assert misses_bar(mirrored, {s: -v for s, v in enumerate(values)}, -1) is stops


def test_a_plain_bar_and_too_few_common_seeds():
    assert misses_bar(0.5, {0: 0.4, 1: 0.5}, 1)
    assert not misses_bar(0.5, {0: 0.4, 1: 0.5}, -1)
    assert not misses_bar(PAIRED, {0: 0.1, 9: 0.1}, 1)


@pytest.mark.parametrize("written", ["high", {"threshold": 1}, {"rival": {"x": 1}}, None, []])
def test_damaged_bars_are_errors(written):
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_bar(written)
