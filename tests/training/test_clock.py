from types import SimpleNamespace

import pytest
import torch

from conspo_study.training import clock
from conspo_study.training.clock import Clock


@pytest.fixture
def pass_time(monkeypatch):
    """A clock that moves when it is told to."""
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_a_stage_inside_another_is_not_part_of_it(pass_time):
    clock = Clock()
    pass_time(100)
    with clock.stage("other"):
        pass_time(1)
        with clock.stage("backward"):
            pass_time(2)
            with clock.stage("score"):
                pass_time(4)
            pass_time(8)
        pass_time(16)
        with clock.stage("backward"):
            pass_time(32)
    pass_time(100)
    assert clock.seconds == {"other": 17, "backward": 42, "score": 4}
    assert clock.total() == 63
    assert clock.metrics()["time/score_s"] == 4


def test_what_another_clock_counts_is_counted_once(pass_time):
    clock, ahead = Clock(), Clock()
    with clock.stage("other"):
        pass_time(1)
        with clock.apart():
            with ahead.stage("generate"):
                pass_time(2)
            pass_time(4)
        pass_time(8)
    ahead.move(0.5, "generate", "sync")
    clock.include(ahead)
    assert clock.seconds == {"other": 9, "generate": 1.5, "sync": 0.5}


def test_a_stage_that_fails_is_counted_and_left(pass_time):
    clock = Clock()
    with clock.stage("other"):
        with pytest.raises(ValueError), clock.stage("reward"):
            pass_time(1)
            raise ValueError
        pass_time(2)
    assert clock.seconds == {"other": 2, "reward": 1}


@pytest.fixture
def gpu(monkeypatch, pass_time):
    """A device that begins what it is asked to do, and does it while somebody waits for it."""
    asked = []

    def synchronize():
        while asked:
            pass_time(asked.pop())

    stream = SimpleNamespace(synchronize=synchronize)
    module = SimpleNamespace(current_stream=lambda device: stream)
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    return asked.append


def stages(clock, ask, pass_time):
    with clock.stage("other"):
        pass_time(1)
        with clock.stage("backward"):
            with clock.stage("score"):
                ask(10)
                pass_time(2)
            ask(20)
        with clock.apart():
            ask(40)
        with clock.stage("optimizer"):
            ask(80)
            pass_time(3)
        ask(160)
    return clock.seconds


def test_a_gpu_s_seconds_count_where_they_were_asked_for(gpu, pass_time):
    found = stages(Clock(torch.device("cuda")), gpu, pass_time)
    assert found == {"other": 161, "backward": 20, "score": 12, "optimizer": 83}


def test_nothing_waits_on_a_cpu(monkeypatch, pass_time):
    monkeypatch.setattr(torch, "get_device_module", None)
    found = stages(Clock(), lambda seconds: None, pass_time)
    assert found == {"other": 1, "backward": 0, "score": 2, "optimizer": 3}
