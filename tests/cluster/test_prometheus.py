"""The export repeats what the log says, no more of a long study than of a short one, and when it
fails the study goes on."""

import threading
from pathlib import Path

import pytest
import ray.util.metrics
from study_fixtures import METRIC, MemoryLog, definition

from conspo_study.cluster import prometheus
from conspo_study.cluster.prometheus import METRICS, RECENT, exporting, samples
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table
from conspo_study.text import LONGEST_TITLE

FROZEN = sorted((Path(__file__).parents[1] / "assets").glob("results_v*/log.jsonl"))
TAU = "objective.tau"


def log_of(*events):
    log = MemoryLog()
    for kind, trial, data in events:
        log.append(TrialEvent(EventKind(kind), trial, data))
    return log


def begun(trial, **params):
    data = {"params": {TAU: 1.0, **params}, "seeds": [0, 1]}
    return [("suggested", trial, data), ("started", trial, {})]


def reported(trial, step, *seeds):
    measured = {str(seed): metrics for seed, metrics in enumerate(seeds)}
    return ("reported", trial, {"step": step, "steps": 9, "seeds": measured})


def shown(log, aims=(METRIC,)):
    """Every sample's value by metric and tags, the study left out; none may occur twice."""
    found = {}
    for sample in samples("study one", aims, log.table):
        tags = dict(sample.tags)
        assert tags.pop("study") == "study one"
        key = (sample.metric.removeprefix("conspo_"), *tags.values())
        assert key not in found
        found[key] = sample.value
    return found


def test_the_latest_report_of_each_seed_is_exported():
    step = {"reward": 0.25, "score_gap": 0.5, "valid_fraction": 1.0, "mismatch_kl": 1e-7}
    step |= {"tokens_per_s": 900.0, "time/rollout_s": 0.2, "time/update_s": 0.3, METRIC: 0.75}
    log = log_of(
        *begun("t0000"),
        reported("t0000", 1, {"reward": 0.9, "loss": 1.0}, {}),
        reported("t0000", 2, step, {"reward": None, METRIC: 0.5, "eval/other/avg@2": 1.0}),
    )
    found = {key: value for key, value in shown(log).items() if key[0] != "trials"}
    assert found == {
        ("trial_info", "t0000", "tau=1"): 1,
        ("step", "t0000"): 2,
        ("reward", "t0000", "0"): 0.25,
        ("score_gap", "t0000", "0"): 0.5,
        ("valid_group_fraction", "t0000", "0"): 1.0,
        ("sampler_mismatch_kl", "t0000", "0"): 1e-7,
        ("tokens_per_second", "t0000", "0"): 900.0,
        ("step_seconds", "t0000", "0", "rollout"): 0.2,
        ("step_seconds", "t0000", "0", "update"): 0.3,
        ("evaluation", "t0000", "0", METRIC): 0.75,
        ("evaluation", "t0000", "1", METRIC): 0.5,
    }


def test_an_aim_may_be_a_metric_of_training():
    log = log_of(*begun("t0000"), reported("t0000", 1, {"reward": 0.25}, {}))
    found = shown(log, aims=(METRIC, "reward"))
    assert found["evaluation", "t0000", "0", "reward"] == found["reward", "t0000", "0"] == 0.25


def test_states_and_recovered_failures_are_counted():
    incident = {"type": "worker_restarted", "count": 2, "detail": "killed"}
    log = log_of(
        *begun("t0000"),
        *begun("t0001"),
        ("incident", "t0001", incident),
        ("failed", "t0001", {"cause": "diverged", "step": 3}),
    )
    found = shown(log)
    counts = {key[1]: value for key, value in found.items() if key[0] == "trials"}
    ended = {"finished": 0, "collapsed": 0, "pruned": 0, "failed": 1}
    assert counts == {"waiting": 0, "running": 1, "paused": 0, **ended}
    assert found["incidents", "worker_restarted"] == 2


def test_a_long_study_shows_what_runs_and_what_ended_last():
    events = begun("t0000")  # still running, however many come after it
    for number in range(1, RECENT + 6):
        trial = f"t{number:04d}"
        events += begun(trial)
        events += [reported(trial, 9, {"reward": 0.5}, {"reward": 0.5})]
        events += [("finished", trial, {"step": 9, "values": {"0": 0.5, "1": 0.5}})]
    found = shown(log_of(*events))
    trials = {key[1] for key in found if key[0] == "trial_info"}
    assert trials == {"t0000", *(f"t{number:04d}" for number in range(6, RECENT + 6))}
    assert found["trials", "finished"] == RECENT + 5


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.parent.name)
def test_samples_of_real_logs_have_the_tags_that_were_declared(path):
    declared = {metric.name: set(metric.tags) for metric in METRICS}
    found = list(samples("s", (METRIC,), build_table(read_log(path))))
    assert {sample.metric for sample in found} >= {"conspo_trials", "conspo_trial_info"}
    for sample in found:
        assert sample.tags.keys() == declared[sample.metric]
        assert all(isinstance(value, str) for value in sample.tags.values())
        assert isinstance(sample.value, int | float)


def test_settings_stay_one_short_printable_line():
    log = log_of(*begun("t0000", **{"data.template": "a\nb\x1b[31m" + "x" * 999}))
    (settings,) = [key[2] for key in shown(log) if key[0] == "trial_info"]
    assert settings.isprintable() and len(settings) == LONGEST_TITLE


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
    monkeypatch.setattr(prometheus, "REPEAT_S", 0.01)
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
    assert told == ["metrics for Prometheus have ended: the agent. The study is not affected"]


def test_what_the_study_raises_is_not_touched(gauges):
    with pytest.raises(KeyboardInterrupt), exporting(definition(), MemoryLog(), print):
        raise KeyboardInterrupt
