"""Deaths are counted since the last progress, those of machines apart from crashes."""

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, RayActorError

from conspo_study.cluster.restarts import CRASHES, LOSSES, Restarts, is_lost_machine


def test_a_few_crashes_without_progress_are_borne():
    restarts = Restarts()
    assert [restarts.allowed(-1) for _ in range(CRASHES + 1)] == [True] * CRASHES + [False]
    assert restarts.deaths == CRASHES + 1


def test_progress_forgives_and_repeated_steps_are_none():
    restarts = Restarts()
    assert all(restarts.allowed(step) for step in (0, 0, 4, 4, 5))
    assert restarts.allowed(3)
    assert not restarts.allowed(5)


def test_lost_machines_do_not_use_up_the_restarts_of_crashes():
    restarts = Restarts()
    assert all(restarts.allowed(0, lost=True) for _ in range(LOSSES))
    assert all(restarts.allowed(0) for _ in range(CRASHES))
    assert not restarts.allowed(0, lost=True)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (NodeDiedError("gone"), True),
        (RayActorError(None, "taken away", preempted=True), True),
        (RayActorError(None, "The actor died because its node has died. Node Id: 1"), True),
        (ActorDiedError(), False),
        (MemoryError(), False),
    ],
)
def test_what_ray_says_of_a_lost_machine_is_understood(error, lost):
    assert is_lost_machine([ValueError(), error]) is lost
