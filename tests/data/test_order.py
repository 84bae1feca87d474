import pytest

from conspo_study.data.arithmetic import CHAIN
from conspo_study.data.order import GeneratedStream, ShuffledStream, problem_index
from conspo_study.records import Problem

PROBLEMS = [Problem(str(index), f"p{index}", "0") for index in range(10)]


def test_every_epoch_visits_every_problem_once_in_another_order():
    epochs = [[problem_index(3, 10 * epoch + i, 10) for i in range(10)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_position_can_be_entered_without_the_ones_before():
    stream = ShuffledStream(PROBLEMS, seed=1)
    walked = [stream.problem(position) for position in range(35)]
    assert [ShuffledStream(PROBLEMS, seed=1).problem(p) for p in (34, 3, 20)] == [
        walked[34],
        walked[3],
        walked[20],
    ]


def test_seeds_give_different_orders():
    orders = {tuple(problem_index(seed, i, 10) for i in range(10)) for seed in range(5)}
    assert len(orders) == 5


def test_the_chain_never_repeats_its_positions():
    stream = GeneratedStream(CHAIN, seed=0)
    assert stream.problem(4) == GeneratedStream(CHAIN, 0).problem(4)
    assert len({stream.problem(position).id for position in range(100)}) == 100


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="no problems"):
        ShuffledStream([], seed=0)
