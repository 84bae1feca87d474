"""`conspo plan --probe N` runs a few steps here and plans with what they take."""

import subprocess
import sys

import pytest

from conspo_study.commands.command_line import main
from conspo_study.definition.presets import QUICK
from conspo_study.forecast.measured import Measured
from conspo_study.records import StudyError
from conspo_study.results.table import TrialRow
from conspo_study.study import Study
from conspo_study.study import probe as probing
from conspo_study.terminal.console import Console
from studies.margin_sweep import margin_sweep

MEASURED = Measured(steps=3, step_s=0.5, evaluation_s=2.0, start_s=9.0, peak_gib=0.7)
PLAN = ["plan", "margin_sweep", "--preset", "quick"]


def said(capsys):
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--probe", "1"], "--probe takes 2 steps or more"),
        (["--probe", "3", "--set", "train.cpus_per_worker=500"], "a trial needs 500 CPU cores"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_runs(
    words, message, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Study, "run_in", lambda *a, **k: pytest.fail("it runs"))
    assert main([*PLAN, *words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_probe_belongs_to_a_plan(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "margin_sweep", "--preset", "quick", "--probe", "3"]) == 2
    assert "--probe measures for a plan: add --dry-run" in capsys.readouterr().err


def test_the_plan_says_what_was_measured(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("conspo_study.commands.plan_text.probe", lambda *given: MEASURED)
    assert main([*PLAN, "--probe", "3"]) == 0
    assert "measured 3 steps of one seed: 0.5 s a step, 2 s an evaluation" in said(capsys)


def test_a_probe_runs_one_seed_of_the_first_trial_and_leaves_nothing(monkeypatch, tmp_path):
    study, ran = margin_sweep(QUICK), []

    def run_in(probed, folder, **how):
        ran.append(probed)
        raise StudyError("the machine is on fire")

    monkeypatch.setattr(Study, "run_in", run_in)
    with pytest.raises(StudyError, match="on fire"):
        probing.probe(study, 3, tmp_path / "results", None, Console(quiet=True))
    (probed,) = ran
    assert (probed.trials, probed.seeds, probed.confirm) == (1, study.seeds[:1], None)
    assert probed.anchors == study.anchors[:1]
    assert (probed.base.train.steps, probed.base.evaluation.every) == (3, 3)
    assert list((tmp_path / "results").iterdir()) == []


def steps_of(*seconds, updated=True):
    rest = {"peak_memory_gib": 1.5} if updated else {}
    return [{"time/generate_s": s / 2, "time/backward_s": s / 2, **rest} for s in seconds]


ROW = TrialRow("t0000", wall_s=40.0, seed_metrics={0: {"time/evaluate_s": 5.0}})


def test_steps_without_an_update_are_no_measure_of_those_with_one():
    steps = [*steps_of(0.5, updated=False), *steps_of(9.0, 2.0, 4.0, 3.0)]
    found = probing._measured(ROW, steps)
    assert found == Measured(5, step_s=3.0, evaluation_s=5.0, start_s=11.5, peak_gib=1.5)


@pytest.mark.parametrize(("updated", "told"), [(0, "0 steps of 3 had"), (1, "1 step of 3 had")])
def test_a_probe_that_hardly_updated_asks_for_more_steps(updated, told):
    steps = [*steps_of(*[1.0] * (3 - updated), updated=False), *steps_of(*[1.0] * updated)]
    with pytest.raises(StudyError, match=rf"^{told} a group .*: probe more steps$"):
        probing._measured(ROW, steps)


@pytest.mark.slow
@pytest.mark.ray
def test_a_real_probe_measures_a_trial_and_goes_away(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "conspo_study", *PLAN, "--probe", "3"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "3 steps of one seed: " in done.stdout and "GiB at the peak" in done.stdout
    assert list((tmp_path / "results").iterdir()) == []
