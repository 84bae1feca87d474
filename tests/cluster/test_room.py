"""A cluster that is not whole yet is waited for, and what it gets or loses later is counted."""

import pytest
import ray.autoscaler.sdk
from study_fixtures import MemoryLog, definition

from conspo_study.cluster.room import (
    COUNT_EVERY_S,
    LOOK_EVERY_S,
    TELL_EVERY_S,
    Room,
    wait_for_nodes,
)
from conspo_study.cluster.searcher import LoggedSearcher
from conspo_study.config import RunConfig, with_overrides
from conspo_study.forecast.placement import Node
from conspo_study.search import Search

SMALL = with_overrides(RunConfig(), {"train.workers": 2})
ON_GPUS = with_overrides(SMALL, {"train.gpus_per_worker": 1, "train.cpus_per_worker": 4})


class Growing:
    """A cluster whose nodes come while somebody sleeps, `step` seconds after each other."""

    def __init__(self, *nodes, step):
        self.coming, self.step = nodes, step
        self.time = 0.0

    def sleep(self, seconds):
        self.time += seconds

    def nodes(self):
        return self.coming[: int(self.time // self.step)]


@pytest.fixture
def requests(monkeypatch):
    """What the autoscaler is asked for."""
    asked = []
    monkeypatch.setattr(
        ray.autoscaler.sdk, "request_resources", lambda bundles: asked.append(bundles)
    )
    return asked


def test_nodes_are_waited_for_and_asked_for_until_they_are_there(requests):
    told = []
    cluster = Growing(*[Node(4, 1)] * 3, step=70)
    wait_for_nodes(3, ON_GPUS, told.append, cluster.nodes, cluster.sleep)
    assert 210 <= cluster.time < 210 + 2 * LOOK_EVERY_S
    assert requests == [[{"CPU": 4, "GPU": 1}] * 3, []], "the request does not outlive the wait"
    assert len(told) == 1 + 210 // TELL_EVERY_S
    assert told[0].endswith("3 nodes with room for a worker (4 CPU cores and 1 GPU): there are 0")
    assert told[2].endswith("there is 1")


def test_nodes_without_room_for_a_worker_do_not_count(requests):
    cluster = Growing(Node(0), Node(64), Node(3, 1), Node(4, 1), step=10)
    wait_for_nodes(1, ON_GPUS, lambda line: None, cluster.nodes, cluster.sleep)
    assert cluster.time >= 40
    assert len(requests[0]) == 2, "a trial has two workers"


def test_who_stops_waiting_asks_for_nothing_any_more(requests):
    def interrupt(seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for_nodes(1, SMALL, lambda line: None, list, interrupt)
    assert requests == [[{"CPU": 1}] * 2, []]


def test_nodes_that_are_there_are_not_waited_for(requests):
    wait_for_nodes(2, SMALL, pytest.fail, lambda: [Node(1), Node(2)], pytest.fail)


def test_room_is_counted_again_as_nodes_come_and_go():
    nodes, now = [Node(2), Node(2)], [0.0]
    room = Room(SMALL, nodes, lambda: nodes, lambda: now[0])
    assert room() == 2
    nodes.append(Node(8))
    assert room() == 2, "not at every question"
    now[0] += COUNT_EVERY_S
    assert room() == 6
    nodes.clear()
    now[0] += COUNT_EVERY_S
    assert room() == 1, "a trial that finds no room waits for some"


def test_trials_are_handed_out_as_room_grows(tmp_path):
    room = [1]
    study = definition()
    searcher = LoggedSearcher(Search(study, MemoryLog()), study, tmp_path, lambda: room[0])
    assert searcher.suggest("a")["trial"] == "t0000"
    assert searcher.suggest("b") is None
    room[0] = 2
    assert searcher.suggest("b")["trial"] == "t0001"
    room[0] = 1
    assert searcher.suggest("c") is None
