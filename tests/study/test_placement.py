"""A worker lies on one node; what cannot be placed is refused with what is missing."""

import pytest

from conspo_study.config import TrainConfig
from conspo_study.placement import Node, place


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus", "nodes", "trials"),
    [
        (1, 1, 0, [Node(2)], 2),
        (2, 1, 0, [Node(5)], 2),
        (1, 3, 0, [Node(4), Node(4)], 2),  # 8 cores, but only one worker of 3 on each node
        (2, 3, 0, [Node(4), Node(4)], 1),
        (1, 2, 1, [Node(16, 2), Node(16, 0)], 2),
        (1, 8, 1, [Node(16, 4)], 2),  # cores run out before GPUs
        (1, 1, 1, [Node(16, 4)], 4),
    ],
)
def test_whole_workers_go_on_nodes(workers, cpus, gpus, nodes, trials):
    train = TrainConfig(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus)
    found = place(train, nodes)
    assert (found.trials, found.problems) == (trials, ())


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus", "nodes", "message"),
    [
        (2, 1, 0, [Node(1)], "needs 2 CPU cores (2 workers x 1), there are 1"),
        (2, 1, 1, [Node(8, 1)], "needs 2 GPUs, there are 1"),
        (1, 8, 0, [Node(4), Node(6)], "8 CPU cores on one node, the nodes have 4 CPU cores, 6"),
        (1, 2, 1, [Node(1, 2), Node(8, 0)], "2 CPU cores and 1 GPU on one node"),
        (3, 3, 0, [Node(4), Node(5)], "3 workers of 3 CPU cores, the nodes have room for 2"),
        (2, 3, 0, [Node(4), Node(2)], "the nodes have room for 1 of them"),
    ],
)
def test_what_cannot_be_placed_is_refused(workers, cpus, gpus, nodes, message):
    train = TrainConfig(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus)
    found = place(train, nodes)
    assert found.trials == 0
    assert any(message in problem for problem in found.problems), found.problems


def test_the_scarcer_resource_is_named():
    train = TrainConfig(cpus_per_worker=1, gpus_per_worker=1)
    assert place(train, [Node(16, 4)]).limit == "4 GPUs"
    assert place(train, [Node(2, 4)]).limit == "2 CPU cores"
    assert place(TrainConfig(), [Node(2, 4)]).limit == "2 CPU cores"
