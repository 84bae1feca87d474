"""Bad input ends with one message and status 2, before anything is written or started."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from conspo_study.commands.carry_out import carry_out
from conspo_study.terminal.console import Console

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "studies" / "margin_sweep.py"


@pytest.fixture
def run(run_script, monkeypatch):
    """A function that runs the script on a machine without GPUs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return partial(run_script, SCRIPT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "objective.tua=1"), "did you mean objective.tau?"),
        (("--set", "rollout.group_size=1"), "rollout.group_size = 1"),
        (("--set", "nonsense"), "'nonsense' is not of the form stage.field=value"),
        (("--set", "objective.tau=1"), "objective.tau: this study searches it"),
        (("--preset", "huge"), "unknown preset 'huge'; known: embedded, lab/llama-3.2-1b"),
        (("--trials", "2"), "7 baselines (anchors) always run, but the budget is 2 trials"),
        (("--seeds", "1", "1"), "seeds must be distinct"),
        (("--set", "train.cpus_per_worker=4096"), "a trial needs 4096 CPU cores"),
        (("--set", "train.gpus_per_worker=1"), "a trial needs 1 GPU, there are 0"),
        (("--set", "data.train=missing.jsonl"), "missing.jsonl"),
        (("--set", 'evaluation.sets=["chain/hard","chain/none"]'), "unknown level 'none'"),
        (("--takeover",), "--takeover is about a study that has begun: add --resume"),
        (("--allow-changes",), "--allow-changes is about a study that has begun: add --resume"),
        (("--trials", "0"), "trials = 0: should be greater than or equal to 1"),
        (("--track", "tensorbord"), "unknown tracker 'tensorbord'; known: tensorboard, wandb"),
        (("--name", "a/b"), "for example a-b"),
        (("--name", "my study"), "for example my-study"),
        (("--set", "objective.name=grpo"), "which the objective grpo does not have"),
        (("--sampler", "magic"), "sampler.name = 'magic': should be 'tpe', 'gp'"),
    ],
)
def test_bad_input_is_refused_with_status_2(run, tmp_path, arguments, message):
    result = run("--results", tmp_path, *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_the_status_of_the_process_and_all_it_says(tmp_path):
    command = [sys.executable, str(SCRIPT), "--results", str(tmp_path), "--trials", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_unwritable_results_directory_is_refused(run, tmp_path):
    (tmp_path / "results").write_text("a file, not a folder")
    result = run("--results", tmp_path / "results")
    assert result.returncode == 2
    assert "cannot be written" in result.stderr


def test_a_malformed_problem_file_is_refused_by_row(run, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"id": "a", "problem": "1+1=?", "answer": "2"}\n{"id": "a", "problem": "x"}\n')
    result = run("--results", tmp_path / "r", "--set", f"data.train={path}")
    assert result.returncode == 2
    assert "train.jsonl" in result.stderr
    assert "row 2" in result.stderr or "line 2" in result.stderr
    assert not (tmp_path / "r").exists()


def test_training_problems_that_are_also_evaluated_are_refused(run, tmp_path):
    row = '{"id": "a", "problem": "1+1=?", "answer": "2"}\n'
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(row)
    sets = f'["{tmp_path}/test.jsonl", "chain/hard"]'
    result = run(
        *("--results", tmp_path / "r", "--set", f"data.train={tmp_path}/train.jsonl"),
        *("--set", f"evaluation.sets={sets}"),
    )
    assert result.returncode == 2
    assert "also in the training file (a = a)" in result.stderr


def test_a_file_of_settings_is_as_good_as_set_which_goes_before_it(run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[rollout]\ngroup_size = 8\n[objective]\ntaw = 1\n", "utf-8")
    wrong = run("--dry-run", "--config", path)
    assert wrong.returncode == 2 and "objective.taw: unknown setting" in wrong.stderr
    path.write_text("[rollout]\ngroup_size = 8\n[train]\nsteps = 30\n", "utf-8")
    result = run("--dry-run", "--config", path, "--set", "train.steps=10")
    assert result.returncode == 0, result.stderr
    assert "rollout.group_size = 8" in result.stdout and "train.steps = 10" in result.stdout


def test_settings_for_the_embedded_preset_are_not_those_of_others(run):
    embedded, quick = run("--dry-run"), run("--dry-run", "--preset", "quick")
    assert "update.epochs_per_batch = 4" in embedded.stdout
    assert "update.epochs_per_batch" not in quick.stdout
    mine = run("--dry-run", "--set", "update.epochs_per_batch=2", "update.learning_rate=5e-4")
    assert "update.epochs_per_batch = 2" in mine.stdout, "--set goes before them"
    assert "update.learning_rate = 0.0005" in mine.stdout


def test_a_dry_run_shows_settings_and_arithmetic_and_starts_nothing(run, tmp_path):
    more = ("--set", "rollout.group_size=8", "--trials", "14", "--all")
    result = run("--results", tmp_path, "--dry-run", *more)
    assert result.returncode == 0
    assert "rollout.group_size = 8" in result.stdout
    assert "64 = prompts_per_step x group_size" in result.stdout
    assert "14 (7 baselines, 7 searched) x 2 seeds = 28 runs" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_paper_preset_marks_origins_and_shows_cost_and_data(run, tmp_path):
    (tmp_path / "math500.jsonl").write_text('{"id": "a", "problem": "1+1=?", "answer": "2"}\n')
    only = ("--set", 'evaluation.sets=["math500"]', "--set", "data.train=chain")
    result = run(
        *("--preset", "paper/qwen-1.5b", "--data-dir", tmp_path),
        *("--dry-run", "--no-confirm", "--all"),
        *("--set", 'objective.margin_unit="tau"', *only),
    )
    assert result.returncode == 2, "a trial needs more than this machine has"
    shown = result.stdout
    assert "update.learning_rate = 2e-06  (published)" in shown
    assert "rollout.group_size = 8  (ours)" in shown
    assert "data.train = chain  (ours; preset: " in shown
    assert f"data.folder = {tmp_path}" in " ".join(shown.split())
    assert "GPU hours" in shown and "assumed" in shown
    assert "data                math500: 1 rows, expected 500" in shown
    assert "cannot run: a trial needs 8 GPUs, there are 0" in result.stderr


def test_a_dry_run_fetches_nothing_and_says_what_the_study_will_fetch(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("conspo_study.extras.installed", lambda name: True)
    result = run("--dry-run", "--set", 'evaluation.sets=["chain/hard", "aime24"]')
    assert result.returncode == 0, result.stderr
    assert "aime24: fetched from the hub when the study starts" in result.stdout
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_says_that_what_is_to_be_fetched_cannot_be(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("conspo_study.extras.installed", lambda name: name != "datasets")
    result = run("--dry-run", "--set", 'evaluation.sets=["chain/hard", "aime24"]')
    assert result.returncode == 2
    assert "cannot run: aime24: not among the files of data.folder" in result.stderr
    assert "pip install 'conspo-study[hub]' (or name a folder with --data-dir)" in result.stderr


def test_the_sampler_and_the_confirmation_are_chosen_on_the_command_line(run, tmp_path):
    def shown(*arguments):
        result = run("--results", tmp_path, "--dry-run", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    chosen = shown("--sampler", "random")
    assert "fresh seeds" in chosen and "sampler             name=random" in chosen
    assert "fresh seeds" not in shown("--no-confirm")


def test_an_interrupt_before_anything_runs_is_not_a_traceback(tmp_path, capsys):
    def run():
        raise KeyboardInterrupt

    assert carry_out(run, print, Console()) == 130
    assert capsys.readouterr().out == "Interrupted.\n"


def test_help_says_what_the_study_asks(run):
    result = run("--help")
    assert result.returncode == 0
    assert "How much does ConSPO's margin matter" in result.stdout
    assert "--set" in result.stdout
