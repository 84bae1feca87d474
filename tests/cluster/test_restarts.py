"""Deaths are counted since the last progress, those of machines apart from crashes."""

import pickle

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
from trials_under_fire import make_spec

from conspo_study.cluster import report_relay, trial
from conspo_study.cluster.restarts import (
    CRASHES,
    LOSSES,
    Restarts,
    found_no_room,
    is_lost_machine,
)
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.config import RunConfig


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


NO_ROOM = ControllerError(WorkerGroupStartupTimeoutError(2))


@pytest.mark.parametrize(
    ("error", "no_room"),
    [
        (NO_ROOM, True),
        (pickle.loads(pickle.dumps(NO_ROOM)), True),
        (ControllerError(WorkerGroupStartupFailedError("a worker died")), False),
        (WorkerGroupError("died", {0: RuntimeError()}), False),
        (TimeoutError(), False),
    ],
)
def test_having_found_no_room_is_told_from_a_death(error, no_room):
    assert found_no_room(error) is no_room


def test_a_trial_waits_for_room_as_long_as_it_takes_and_dies_no_sooner_for_it(
    monkeypatch, tmp_path
):
    """Far more often than deaths are borne; then each death that is."""
    ends = [*[NO_ROOM] * 50, *[WorkerGroupError("died", {0: RuntimeError()})] * CRASHES, None]
    incidents = []

    def fit(make_trainer, report, run):
        if (end := ends.pop(0)) is not None:
            raise end

    monkeypatch.setattr(report_relay, "fit", fit)
    monkeypatch.setattr(trial, "end_all", lambda folder: None)
    monkeypatch.setattr(trial, "append_incident", lambda folder, incident: incidents.append(1))
    monkeypatch.setattr("ray.tune.report", lambda metrics: pytest.fail(str(metrics)))
    monkeypatch.setattr(TrialSpec, "enter", lambda spec: RunConfig())
    trial.run_trial(make_spec(tmp_path).payload())
    assert not ends and len(incidents) == CRASHES


def test_a_worker_that_a_short_node_ended_starts_again_and_fails_in_the_end_by_name(
    monkeypatch, tmp_path
):
    """And what the run still holds is given back each time: Ray Train forgets it after this."""
    short = OutOfMemoryError("how to address the out of memory issue: https://docs.ray.io/x.html")
    ends = [WorkerGroupError("died", {0: short})] * (CRASHES + 1)
    incidents, given_back, told = [], [], []

    def fit(make_trainer, report, run):
        raise ends.pop(0)

    monkeypatch.setattr(report_relay, "fit", fit)
    monkeypatch.setattr(trial, "end_all", given_back.append)
    monkeypatch.setattr(trial, "append_incident", lambda folder, incident: incidents.append(1))
    monkeypatch.setattr("ray.tune.report", told.append)
    monkeypatch.setattr(TrialSpec, "enter", lambda spec: RunConfig())
    spec = make_spec(tmp_path)
    trial.run_trial(spec.payload())
    assert not ends and len(incidents) == CRASHES
    assert told[0][trial.FAILURE].startswith("out of memory: the workers died 3 times: ")
    assert told[0][trial.MACHINE]
    assert given_back == [spec.run_folder] * (CRASHES + 2)
