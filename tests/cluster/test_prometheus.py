"""The export repeats what the log says, and when it fails the study does not notice."""

import threading

import pytest
import ray.util.metrics
from study_fixtures import MemoryLog, definition

from conspo_study.cluster import prometheus as metrics_export
from conspo_study.cluster.prometheus import exporting
from conspo_study.records import EventKind, TrialEvent

PATIENCE_S = 60


class Gauges:
    """Stands for Ray's gauges: what was set, over all of them."""

    def __init__(self):
        self.values, self.rounds, self.error = {}, threading.Semaphore(0), None

    def __call__(self, name, description, tag_keys):
        def put(value, tags):
            assert set(tags) == set(tag_keys) and description
            if self.error:
                raise self.error
            self.values[name, *tags.values()] = value
            if tags.get("state") == "waiting":
                self.rounds.release()

        gauge = type("Gauge", (), {})()
        gauge.set = put
        return gauge

    def wait(self, rounds=1):
        for _ in range(rounds):
            assert self.rounds.acquire(timeout=PATIENCE_S)


@pytest.fixture
def gauges(monkeypatch):
    made = Gauges()
    monkeypatch.setattr(ray.util.metrics, "Gauge", made)
    monkeypatch.setattr(metrics_export, "REPEAT_S", 0.01)
    return made


def test_values_are_repeated_and_follow_the_log(gauges):
    log, told = MemoryLog(), []
    with exporting(definition(), log, told.append):
        gauges.wait(3)
        assert gauges.values["conspo_trials", "test", "running"] == 0
        log.append(TrialEvent(EventKind.SUGGESTED, "t0000", {"params": {}, "seeds": [0]}))
        log.append(TrialEvent(EventKind.STARTED, "t0000"))
        gauges.wait(3)  # one round may have begun before
        while gauges.rounds.acquire(blocking=False):
            pass
        gauges.wait(2)
        assert gauges.values["conspo_trials", "test", "running"] == 1
    threads = [thread.name for thread in threading.enumerate() if "export" in thread.name]
    assert (told, threads) == ([], [])


def test_a_failure_is_told_once_and_ends_the_export_alone(gauges):
    told, heard = [], threading.Event()
    gauges.error = ConnectionError("the agent\nis gone")

    def tell(line):
        told.append(line)
        heard.set()

    with exporting(definition(), MemoryLog(), tell):
        assert heard.wait(PATIENCE_S)
    assert told == ["no more metrics for Prometheus: the agent; the study goes on"]


def test_what_the_study_raises_is_not_touched(gauges):
    with pytest.raises(KeyboardInterrupt), exporting(definition(), MemoryLog(), print):
        raise KeyboardInterrupt
