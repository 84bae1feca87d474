"""A worker lies on one node; what cannot be placed is refused with what is missing."""

import pytest

from conspo_study.config import RolloutConfig, RunConfig, TrainConfig
from conspo_study.forecast.placement import Node, place


def run_of(rollout=None, **train):
    """A run of six prompts a step, which one, two or three workers share."""
    settings = {"prompts_per_step": 6, **(rollout or {})}
    return RunConfig(rollout=RolloutConfig(**settings), train=TrainConfig(**train))


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
        (1, 1, 0.25, [Node(64, 2), Node(2, 1)], 10),  # four on each GPU, while there are cores
        (1, 1, 0.3, [Node(64, 3)], 9),  # three on each GPU
        (1, 1, 0.7, [Node(64, 3)], 3),
        (1, 1, 1 / 3, [Node(64, 1)], 3),
    ],
)
def test_whole_workers_go_on_nodes(workers, cpus, gpus, nodes, trials):
    found = place(run_of(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus), nodes)
    assert (found.trials, found.problems) == (trials, ())


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus", "nodes", "message"),
    [
        (2, 1, 0, [Node(1)], "needs 2 CPU cores (2 workers x 1), there are 1"),
        (2, 1, 1, [Node(8, 1)], "needs 2 GPUs, there are 1"),
        (1, 1, 0.5, [Node(8, 0)], "needs 0.5 GPUs, there are 0"),
        (1, 8, 0, [Node(4), Node(6)], "8 CPU cores on one node, the nodes have 4 CPU cores, 6"),
        (1, 2, 1, [Node(1, 2), Node(8, 0)], "2 CPU cores and 1 GPU on one node"),
        (3, 3, 0, [Node(4), Node(5)], "3 workers of 3 CPU cores, the nodes have room for 2"),
        (2, 3, 0, [Node(4), Node(2)], "the nodes have room for 1 of them"),
    ],
)
def test_what_cannot_be_placed_is_refused(workers, cpus, gpus, nodes, message):
    found = place(run_of(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus), nodes)
    assert found.trials == 0
    assert any(message in problem for problem in found.problems), found.problems


def test_the_scarcer_resource_is_named():
    run = run_of(cpus_per_worker=1, gpus_per_worker=1)
    assert place(run, [Node(16, 4)]).limit == "4 GPUs"
    assert place(run, [Node(2, 4)]).limit == "2 CPU cores"
    assert place(run_of(gpus_per_worker=0.5), [Node(16, 4)]).limit == "4 GPUs"
    assert place(run_of(), [Node(2, 4)]).limit == "2 CPU cores"


@pytest.mark.parametrize(
    ("rollout", "train", "node", "trials"),
    [
        ({"vllm_engines": 2}, {}, Node(7), 2),  # one core for the trainer, one for each engine
        ({"vllm_cpus": 3}, {"cpus_per_worker": 2}, Node(10), 2),
        ({"vllm_gpus": 2, "vllm_engines": 2}, {"gpus_per_worker": 1}, Node(64, 8), 1),
        ({"vllm_colocated": True}, {"gpus_per_worker": 1}, Node(64, 8), 8),
        (
            {"vllm_colocated": True, "vllm_gpu_memory": 0.3},
            {"gpus_per_worker": 0.5},
            Node(64, 8),
            16,
        ),
    ],
)
def test_a_workers_engines_are_part_of_what_it_needs(rollout, train, node, trials):
    assert place(run_of({"engine": "vllm", **rollout}, **train), [node]).trials == trials
    # Settings of an engine that is not used count for nothing.
    if not train.get("gpus_per_worker"):
        assert place(run_of(rollout, **train), [node]).trials == node.cpus // train.get(
            "cpus_per_worker", 1
        )


def test_engines_that_find_no_room_are_named():
    (problem,) = place(run_of({"engine": "vllm"}), [Node(1)]).problems
    assert "a trial needs 2 CPU cores" in problem
    assert "rollout.vllm_engines or rollout.vllm_cpus" in problem
