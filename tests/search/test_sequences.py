"""Samplers that do not learn: reproducible, even, exhaustive."""

import itertools

import numpy as np
import pytest
from study_fixtures import MARGIN, SCHEDULE, TAU, definition

from conspo_study.definition import Sampler
from conspo_study.definition.space import Choice, Range, When, contains, points
from conspo_study.search.samplers import Past, make_proposer

RANGES = {TAU: Range(low=0.0001, high=1.0), MARGIN: Range(low=0.0, high=1.0)}
CONDITIONAL = {
    MARGIN: Choice(values=(0.0, 1.0)),
    TAU: Range(low=0.0001, high=1.0),
    "objective.alpha": Range(low=0.1, high=1.0, when=When(path=MARGIN, values=(1.0,))),
}


def proposer(name, **changes):
    return make_proposer(definition(sampler=Sampler(name=name), **changes))


def candidates(number, name, count=None, **changes):
    past = Past(number, (), ())
    return list(itertools.islice(proposer(name, **changes).candidates(past), count))


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_proposals_repeat_exactly_and_depend_on_the_root_seed(name):
    assert candidates(5, name, 8) == candidates(5, name, 8)
    assert candidates(5, name, 8, root_seed=1) != candidates(5, name, 8)


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_candidates_cover_a_small_space_and_leave_it_never(name):
    found = candidates(3, name)
    space = definition().space
    assert all(contains(space, params) for params in found)
    assert all(params in found for params in points(space))


def test_random_trials_differ_and_their_attempts_too():
    first = [candidates(n, "random", 3, space=RANGES) for n in range(5)]
    assert len({str(params) for trial in first for params in trial}) == 15


def test_random_draws_are_uniform():
    draws = [candidates(n, "random", 1, space=RANGES)[0][TAU] for n in range(400)]
    assert np.histogram(draws, 4, (0, 1))[0] == pytest.approx([100] * 4, abs=35)


def test_quasi_random_points_fill_the_square_evenly():
    found = candidates(64, "qmc", 64, space=RANGES)
    cells = {(int(p[TAU] * 8), int(p[MARGIN] * 8)) for p in found}
    # 64 points of a (0, 6, 2)-net: one in each of 64 squares.
    assert len(cells) == 64


def test_quasi_random_points_stay_the_same_as_more_are_asked_for():
    long = candidates(200, "qmc", 250, space=RANGES)
    assert candidates(3, "qmc", 50, space=RANGES) == long[:50]
    sampler = proposer("qmc", space=RANGES)
    for number in (0, 7, 100):  # one that has been asked before gives the same
        past = Past(number, (), ())
        assert list(itertools.islice(sampler.candidates(past), 9)) == long[:9]


def test_a_condition_leaves_the_other_dimensions_even():
    found = candidates(64, "qmc", 64, space=CONDITIONAL)
    assert sum(p[MARGIN] == 1.0 for p in found) == 32
    alphas = [p["objective.alpha"] for p in found if p[MARGIN] == 1.0]
    assert len(alphas) == 32
    assert np.histogram(alphas, 4, (0.1, 1.0))[0] == pytest.approx([8] * 4, abs=3)


def test_a_grid_has_every_combination_once_in_an_order_that_is_not_the_plain_one():
    found = candidates(2, "grid")
    assert len(found) == 10
    assert sorted(map(str, found)) == sorted(map(str, points(definition().space)))
    assert found != list(points(definition().space))
    assert candidates(7, "grid") == found


def test_a_value_added_to_a_grid_leaves_the_order_of_the_rest():
    before = candidates(2, "grid")
    wider = {**definition().space, TAU: Choice(values=(0.1, 0.5, 1.0))}
    after = candidates(2, "grid", space=wider)
    assert [params for params in after if params[TAU] != 0.5] == before
    assert any(SCHEDULE in params for params in before)
