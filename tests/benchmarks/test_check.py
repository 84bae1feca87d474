"""The comparison of speeds with a baseline: what counts as slower, and that it is measured."""

import json
import subprocess
import sys
import time
from pathlib import Path

import check
import pytest
import sampler
from harness import Spread

from conspo_study.commands import bench
from conspo_study.commands.command_line import main

LESS = check.Measure("less is better", None, 3)
MORE = check.Measure("more is better", None, 3, more_is_better=True)


@pytest.mark.parametrize(
    ("measure", "now", "before", "change", "too_slow"),
    [
        (LESS, Spread(3.0, 2.9, 3.1, 9), 3.0, 1.0, False),
        (LESS, Spread(6.0, 5.5, 7.0, 9), 3.0, 2.0, True),
        (LESS, Spread(6.0, 3.2, 7.0, 9), 3.0, 2.0, False),
        (LESS, Spread(1.0, 0.9, 1.1, 9), 3.0, 1 / 3, False),
        (MORE, Spread(4.0, 3.9, 4.1, 9), 4.0, 1.0, False),
        (MORE, Spread(2.0, 1.9, 2.1, 9), 4.0, 2.0, True),
        (MORE, Spread(2.0, 1.0, 3.9, 9), 4.0, 2.0, False),
        (MORE, Spread(9.0, 8.0, 9.5, 9), 4.0, 4 / 9, False),
        (MORE, Spread(9.0, 8.0, 9.5, 9), None, None, False),
    ],
)
def test_a_measure_is_too_slow_when_its_better_quartile_is(measure, now, before, change, too_slow):
    found = check.compared(measure, now, before, tolerance=1.3)
    assert (found.too_slow, found.change) == (too_slow, change and pytest.approx(change))
    assert ("TOO SLOW" in check.line(found)) == too_slow


def test_the_baseline_is_that_of_the_kind_of_machine_or_of_another(tmp_path):
    with pytest.raises(SystemExit, match="conspo bench --record"):
        check.baseline("here", tmp_path)
    for kind, value in (("here", 1.0), ("a", 2.0)):
        stored = {"measures": {"x": {"median": value, "low": 0, "high": 9, "runs": 3}}}
        (tmp_path / f"{kind}.json").write_text(json.dumps(stored))
    assert check.baseline("here", tmp_path) == ("here", {"x": 1.0})
    assert check.baseline("elsewhere", tmp_path) == ("a", {"x": 2.0})


def test_every_committed_baseline_has_every_measure():
    paths = list(check.BASELINES.glob("*.json"))
    assert paths
    for path in paths:
        stored = json.loads(path.read_text())
        assert stored["measures"].keys() == check.MEASURES.keys(), path.name
        assert stored["machine"]["commit"]


def test_the_status_tells_whether_something_became_slower(tmp_path, monkeypatch, capsys):
    stored = {"measures": {"x": {"median": 1.0}}}
    (tmp_path / f"{check.machine_kind()}.json").write_text(json.dumps(stored))
    monkeypatch.setattr(check.baseline, "__defaults__", (tmp_path,))

    def run(*options, ratio):
        take = check.Measure("x", lambda runs: Spread(ratio, ratio, ratio, runs), 3)
        monkeypatch.setattr(check, "MEASURES", {"x": take})
        monkeypatch.setattr(sys, "argv", ["check.py", *options])
        check.main()

    run("--check", ratio=1.9)
    run(ratio=5.0)
    assert "TOO SLOW" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run("--check", ratio=2.1)
    assert ended.value.code == 1
    ratios = iter([2.1, 1.9])
    once = check.Measure("x", lambda runs: Spread(*[next(ratios)] * 3, runs), 3)
    monkeypatch.setattr(check, "MEASURES", {"x": once})
    check.main()  # the second time it is not


def test_a_sampler_that_became_slower_is_noticed(monkeypatch):
    before = check.sampling_over_generate(3)
    quick = sampler.sampled_by_engine

    def slow(*arguments):
        begun = time.perf_counter()
        found = quick(*arguments)
        time.sleep(3 * (time.perf_counter() - begun))
        return found

    monkeypatch.setattr(sampler, "sampled_by_engine", slow)
    now = check.sampling_over_generate(3)
    assert check.compared(
        check.MEASURES["sampling_over_generate"], now, before.median, 1.3
    ).too_slow


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(check.MEASURES.keys() - {"sampling_over_generate"}))
def test_every_measure_is_a_ratio_of_this_machine(name):
    found = check.MEASURES[name].take(2)
    assert 0 < found.low <= found.median <= found.high and found.runs == 2


def test_the_command_runs_the_script_of_the_checkout(monkeypatch, capsys, tmp_path):
    called = []

    def run(command, check):
        called.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(bench.subprocess, "run", run)
    assert main(["bench", "--check"]) == 1
    ((python, script, option),) = called
    assert (python, option) == (sys.executable, "--check") and Path(script).is_file()
    monkeypatch.setattr(bench.conspo_study, "__file__", str(tmp_path / "conspo_study/__init__.py"))
    assert main(["bench"]) == 2
    assert "needs a checkout" in capsys.readouterr().err
