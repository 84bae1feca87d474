"""`conspo plan --probe N` runs a few steps here and plans with what they take."""

import subprocess
import sys

import pytest

from conspo_study.commands.command_line import main
from conspo_study.definition.presets import QUICK
from conspo_study.forecast.measured import Measured
from conspo_study.records import StudyError
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
