"""The share of the variance that a setting accounts for."""

import numpy as np
import pandas as pd
import pytest

from conspo_study.statistics.importance import FEWEST_TRIALS, importance

RNG = np.random.default_rng(5)


def share(values, groups):
    """Eta squared, from pandas' own group means."""
    frame = pd.DataFrame({"value": values, "group": groups})
    means = frame.groupby("group")["value"].transform("mean")
    total = ((frame["value"] - frame["value"].mean()) ** 2).sum()
    return float(((means - frame["value"].mean()) ** 2).sum() / total)


def test_shares_are_those_of_the_group_means():
    tau = [0.1, 1.0, 10.0] * 8
    rate = list(RNG.uniform(1e-5, 1e-3, 24))
    values = [
        float(np.log(t)) + 100 * r + RNG.normal(0, 0.3) for t, r in zip(tau, rate, strict=True)
    ]
    found = {one.setting: one for one in importance(values, {"tau": tau, "rate": rate})}
    assert found["tau"].share == pytest.approx(share(values, tau))
    assert found["rate"].share == pytest.approx(share(values, pd.qcut(rate, 4).astype(str)))
    assert (found["tau"].groups, found["rate"].groups) == (3, 4)
    assert found["tau"].share > found["tau"].chance > 0


def test_chance_is_passed_in_one_of_twenty_cases_by_a_setting_that_does_nothing():
    passed = 0
    for _ in range(200):
        values, setting = RNG.normal(size=24), RNG.integers(0, 3, 24).tolist()
        (one,) = importance(list(values), {"x": setting})
        passed += one.share > one.chance
    assert 1 <= passed <= 25, "10 expected of 200"


def test_values_of_every_kind_are_groups():
    values = list(RNG.normal(size=12))
    mixed = [None, 1, 1.0, "1", True, [1], {"a": 1}, None, 1, "1", True, [1]]
    (one,) = importance(values, {"mixed": mixed})
    assert one.groups == 6, "1 and 1.0 are equal; None, text, true, a list and an object are not"
    ordered = importance(values, {"none": [None] * 6 + [1.0] * 6, "same": [1] * 12})
    assert [one.setting for one in ordered] == ["none"], "a setting with one value is left out"


def test_many_equal_numbers_and_absent_ones_are_put_into_fewer_quartiles():
    values = list(RNG.normal(size=16))
    rates = [None, None, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8]
    (one,) = importance(values, {"rate": rates})
    text = pd.qcut(pd.Series(rates), 4, duplicates="drop").astype(str)
    assert one.share == pytest.approx(share(values, text.fillna("absent").replace("nan", "absent")))


def test_few_trials_or_equal_values_say_nothing():
    few = FEWEST_TRIALS - 1
    assert importance(list(RNG.normal(size=few)), {"x": [1, 2] * few}) == []
    assert importance([0.5] * 20, {"x": [1, 2] * 10}) == []
    assert importance(list(RNG.normal(size=20)), {"x": list(map(str, range(20)))}) == []
