"""Sending to a tracker that remembers: everything is there once, however often it is sent."""

import fcntl
import threading

import pytest
from growing_study import WHOLE

from conspo_study.records import EventKind
from conspo_study.tracking.follow import follow


class Memory:
    """A tracker that keeps what it is given; with `keeps` it goes on with a run it knows."""

    def __init__(self, keeps=False):
        self.keeps = keeps
        self.runs = {}
        self.endings = {}
        self.begun = []

    def holds(self, run):
        return run.name in self.runs

    def begin(self, run):
        self.begun.append(run.name)
        if not (self.keeps and run.name in self.runs):
            self.runs[run.name] = []
        return Kept(self, run.name)


class Kept:
    def __init__(self, memory, name):
        self.memory, self.name = memory, name
        self.last = max([step for step, _ in memory.runs[name]], default=-1)

    def log(self, points):
        for point in points:
            assert point.step > self.last
            self.memory.runs[self.name].append((point.step, dict(point.metrics)))
            self.last = point.step

    def close(self, ending):
        self.memory.endings[self.name] = ending.sentence if ending else "open"


def send(study, memory, *between):
    """Follow the study while `between` happens to it, one after the other."""
    happening = iter(between)

    def wait():
        for what in happening:
            what()
            return True
        return False

    follow(study.folder, "memory", memory, wait)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_trial_that_runs_meanwhile_is_sent_whole(study, keeps):
    memory = Memory(keeps)
    send(
        study,
        memory,
        lambda: study.start("t0000", label="no margin"),
        lambda: study.train("t0000", 1),
        lambda: study.whole_trial("t0001"),
        lambda: study.end("t0000", EventKind.PRUNED, step=2, values={"0": 0.1}),
    )
    assert memory.runs["t0001-seed0"] == WHOLE
    assert memory.runs["t0000-no_margin-seed0"] == [(1, {"train/reward": 1.0})]
    assert memory.endings["t0000-no_margin-seed0"] == "pruned at step 2"
    assert len(memory.begun) == len(set(memory.begun)) == 4


def test_a_run_that_was_sent_whole_is_not_sent_again(study):
    memory = Memory()
    study.whole_trial("t0000")
    send(study, memory)
    study.whole_trial("t0001")
    send(study, memory)
    assert memory.begun == ["t0000-seed0", "t0000-seed1", "t0001-seed0", "t0001-seed1"]
    assert memory.runs["t0000-seed0"] == memory.runs["t0001-seed0"] == WHOLE


def test_a_run_that_was_deleted_from_the_tracker_is_sent_again(study):
    study.whole_trial("t0000")
    send(study, Memory())
    memory = Memory()
    send(study, memory)
    assert memory.runs["t0000-seed0"] == WHOLE


@pytest.mark.parametrize("keeps", [False, True])
def test_a_run_that_was_cut_off_is_there_once(study, keeps):
    memory = Memory(keeps)
    study.start("t0000")
    study.evaluate("t0000", 0)
    study.report("t0000", 0, 0.0)
    study.train("t0000", 1)
    send(study, memory)
    assert memory.endings["t0000-seed0"] == "open"
    study.train("t0000", 2)
    study.evaluate("t0000", 2)
    study.report("t0000", 2, 0.2)
    send(study, memory)
    send(study, memory)
    assert memory.runs["t0000-seed0"] == WHOLE[:3]


def test_a_trial_that_ended_otherwise_than_it_was_sent_is_sent_again(study):
    memory = Memory()
    study.start("t0000")
    study.end("t0000", EventKind.FAILED, step=0, cause="no disk")
    send(study, memory)
    study.end("t0000")
    send(study, memory)
    assert memory.endings["t0000-seed0"] == "finished at step 4"


def test_one_that_is_just_ending_is_waited_for(study, monkeypatch):
    study.start("t0000")
    study.end("t0000")
    place = study.folder / "tracking"
    place.mkdir()
    memory = Memory()
    with (place / "memory.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        monkeypatch.setattr("conspo_study.tracking.follow._LOOK_S", 0.05)
        threading.Timer(0.2, file.close).start()
        send(study, memory)
    assert memory.endings["t0000-seed0"] == "finished at step 4"


def test_two_at_once_are_refused(study, monkeypatch):
    place = study.folder / "tracking"
    place.mkdir()
    with (place / "memory.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        monkeypatch.setattr("conspo_study.tracking.follow.PATIENCE_S", 0.2)
        with pytest.raises(OSError, match="another process sends this study"):
            send(study, Memory())


def test_a_record_that_is_no_json_says_what_to_do(study):
    (study.folder / "tracking").mkdir()
    (study.folder / "tracking" / "memory.json").write_text("[")
    with pytest.raises(ValueError, match="delete it"):
        send(study, Memory())
