"""Search spaces: which points there are, where conditions hold, and that order means nothing."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_fixtures import MARGIN, SCHEDULE, TAU, definition

from conspo_study.config import ConfigError
from conspo_study.definition.space import (
    MAX_POINTS,
    Choice,
    Range,
    When,
    contains,
    number_of_points,
    ordered,
    point,
    points,
)

ALPHA = "objective.alpha"
NESTED = {
    ALPHA: Range(low=0.1, high=1.0, when=When(path=SCHEDULE, values=("cosine",))),
    SCHEDULE: Choice(values=("cosine", "constant"), when=When(path=MARGIN, values=(1.0, 5.0))),
    MARGIN: Choice(values=(0.0, 1.0, 5.0)),
    TAU: Range(low=0.01, high=100.0, log=True),
}
unit = st.floats(0, 1, exclude_max=True)


def test_values_and_bounds_may_be_given_by_position():
    assert Choice([0.1, 1.0]) == Choice(values=(0.1, 1.0))
    assert Choice((1.0,), when=When(MARGIN, (1.0,))).conditions[0].path == MARGIN
    assert Range(1e-5, 1e-3, log=True) == Range(low=1e-5, high=1e-3, log=True)


def test_values_that_are_no_list_are_told_how_to_be_one():
    with pytest.raises(TypeError, match=r"write Choice\(\[0.1, 1.0\]\)"):
        Choice(0.1, 1.0)
    with pytest.raises(ConfigError, match=r"write values=\(...\), not 0.1"):
        Choice(0.1)
    for wrong in (lambda: Choice(), lambda: Range(1.0), lambda: When(MARGIN)):
        with pytest.raises(ConfigError, match=": is needed, takes "):
            wrong()
    with pytest.raises(ConfigError, match=r"wen: unknown setting \(did you mean when"):
        Range(0.1, 1.0, wen=1)


def test_membership_respects_conditions():
    space = definition().space
    assert contains(space, {TAU: 1.0, MARGIN: 0.0})
    assert not contains(space, {TAU: 1.0, MARGIN: 0.0, SCHEDULE: "cosine"})
    assert not contains(space, {TAU: 1.0, MARGIN: 1.0})
    assert contains(space, {TAU: 0.1, MARGIN: 5.0, SCHEDULE: "constant"})
    assert not contains(space, {TAU: 10.0, MARGIN: 0.0})


@pytest.mark.parametrize(("low", "high", "log"), [(1, 1, False), (2, 1, False), (0, 1, True)])
def test_an_empty_range_is_told(low, high, log):
    assert "low < high" in next(Range(low=low, high=high, log=log).problems())


@pytest.mark.parametrize("log", [False, True])
def test_every_whole_number_has_its_share_of_the_interval(log):
    whole = Range(low=2, high=6, log=log, integer=True)
    found = [whole.at((i + 0.5) / 10_000) for i in range(10_000)]
    assert set(map(type, found)) == {int}
    shares = [found.count(n) / 10_000 for n in range(2, 7)]
    if log:
        wanted = [math.log((n + 0.5) / (n - 0.5)) / math.log(6.5 / 1.5) for n in range(2, 7)]
    else:
        wanted = [0.2] * 5
    assert shares == pytest.approx(wanted, abs=2e-4)
    assert whole.at(0.0) == 2
    assert whole.at(1 - 2**-53) == 6


def test_a_range_of_whole_numbers_holds_these_and_lists_them():
    whole = Range(low=2, high=8, integer=True)
    assert [whole.contains(x) for x in (2, 3.0, 8, 2.5, 9, True, "3", None)] == [
        *(True, True, True, False, False, False, False, False)
    ]
    assert list(whole.listed) == [2, 3, 4, 5, 6, 7, 8]
    assert number_of_points({"rollout.group_size": whole, TAU: Choice(values=(1.0, 2.0))}) == 14
    assert not Range(low=0, high=1).contains(True)


def test_true_is_not_one_and_none_is_a_value():
    mixed = Choice(values=(True, 0, None, "1", ("a", "b")))
    assert [mixed.contains(x) for x in (True, 0.0, None, "1", ["a", "b"])] == [True] * 5
    assert [mixed.contains(x) for x in (1, False, "0", ["b", "a"], ())] == [False] * 5
    assert When(path="x", values=(None,)).holds({"x": None})
    assert not When(path="x", values=(None,)).holds({})
    assert not When(path="x", values=(True,)).holds({"x": 1})


def test_several_conditions_must_all_hold():
    both = Choice(
        values=(1.0,), when=(When(path=MARGIN, values=(1.0,)), When(path=ALPHA, values=(True,)))
    )
    space = {TAU: both, MARGIN: Choice(values=(0.0, 1.0)), ALPHA: Choice(values=(True, False))}
    assert len(list(points(space))) == 4
    assert sum(TAU in found for found in points(space)) == 1
    assert [path for path, _ in ordered(space)][-1] == TAU


def test_values_of_other_libraries_become_plain_and_an_order_is_needed():
    found = Choice(values=np.array([1, 2])).values
    assert found == (1, 2)
    assert set(map(type, found)) == {int}
    assert Choice(values=[np.float64(0.5), Path("a/b")]).values == (0.5, "a/b")
    for unordered in ({"a", "b"}, "ab"):
        with pytest.raises(ConfigError, match="a list or a tuple"):
            Choice(values=unordered)


@settings(deadline=None)
@given(st.lists(unit, min_size=4, max_size=4))
def test_every_point_of_the_cube_is_in_the_space(coordinates):
    assert contains(NESTED, point(NESTED, coordinates))


@pytest.mark.parametrize("order", list(itertools.permutations(NESTED)))
def test_the_order_of_dimensions_means_nothing(order):
    space = {path: NESTED[path] for path in order}
    names = [path for path, _ in ordered(space)]
    assert names == [MARGIN, TAU, SCHEDULE, ALPHA]
    assert point(space, [0.9, 0.5, 0.1, 0.2]) == point(NESTED, [0.9, 0.5, 0.1, 0.2])


def test_a_cube_maps_evenly_onto_choices_and_ranges():
    grid = [(i + 0.5) / 12 for i in range(12)]
    space = {MARGIN: Choice(values=(0.0, 1.0, 5.0)), TAU: Range(low=0.01, high=100, log=True)}
    margins = [point(space, [u, 0.5])[MARGIN] for u in grid]
    assert [margins.count(value) for value in (0.0, 1.0, 5.0)] == [4, 4, 4]
    assert point(space, [0, 0.5])[TAU] == pytest.approx(1.0)
    assert point(space, [0, 0.0])[TAU] == 0.01
    assert point(space, [0, 1 - 2**-53])[TAU] == pytest.approx(100.0)
    assert point({TAU: Range(low=-1, high=3)}, [0.75])[TAU] == pytest.approx(2.0)


def test_conditions_that_run_in_a_circle_are_refused():
    circle = {
        TAU: Choice(values=(1.0,), when=When(path=MARGIN, values=(1.0,))),
        MARGIN: Choice(values=(1.0,), when=When(path=TAU, values=(1.0,))),
    }
    with pytest.raises(ValueError, match="form a circle: objective"):
        ordered(circle)


def test_all_points_of_a_space_of_choices_are_listed_once():
    found = [tuple(sorted(p.items())) for p in points(definition().space)]
    assert len(found) == len(set(found)) == 2 * (1 + 2 * 2)
    assert all(contains(definition().space, dict(p)) for p in found)
    assert number_of_points(definition().space) == 10


def test_spaces_with_ranges_or_too_many_points_are_not_listed():
    assert number_of_points(NESTED) is None
    with pytest.raises(ValueError, match="is a range"):
        list(points(NESTED))
    wide = {f"a.{i}": Choice(values=tuple(range(10))) for i in range(30)}
    assert number_of_points(wide) == MAX_POINTS
