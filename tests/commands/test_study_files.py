"""A study is run by its name or by the path of its file, as Python would run that file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

from conspo_study.commands.command_line import main
from conspo_study.commands.study_files import packaged_studies, study_file
from conspo_study.records import StudyError, TrialState
from conspo_study.results.folder import read_table

ROOT = Path(__file__).resolve().parents[2]
GUARDED = """
if __name__ == "__main__":
    raise SystemExit(main(build, __doc__))
"""
STUDY = '''
"""A stranger's study."""
from conspo_study import Anchor, RunConfig, Study, main

def build(base: RunConfig) -> Study:
    """Two learning rates."""
    rates = (1e-4, 2e-4)
    anchors = [Anchor(label=f"{r:g}", params={"update.learning_rate": r}) for r in rates]
    return Study(name="strange", base=base, anchors=tuple(anchors), trials=2, seeds=(0, 1),
                 metric=base.evaluation.main_metric)
'''


def conspo(*words, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-m", "conspo_study", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory without anything of this project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text, name="strange.py"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_the_packaged_studies_are_the_files_of_studies():
    names = {path.stem for path in (ROOT / "studies").glob("*.py")}
    assert packaged_studies().keys() == names and "margin_sweep" in names


def test_the_packaged_studies_are_installed_beside_the_package():
    packages = find_namespace_packages(str(ROOT), include=["conspo_study*", "studies*"])
    assert "studies" in packages and "conspo_study.commands" in packages


def test_a_packaged_study_is_run_from_any_folder(place, capsys):
    assert main(["run", "margin_sweep", "--dry-run", "--preset", "quick", "--trials", "6"]) == 0
    assert "6 (5 baselines, 1 searched)" in capsys.readouterr().out
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("folder", ["with blanks", "ünïcødé 数"])
def test_a_file_is_run_wherever_it_is_with_what_lies_beside_it(place, folder, capsys):
    write(place / folder, "RATE = 3e-4\n", "my_rates.py")
    text = STUDY.replace("rates = (1e-4, 2e-4)", "rates = (1e-4, my_rates.RATE)")
    path = write(place / folder, f"import my_rates\n{text}{GUARDED}")
    before = sys.path[:], sys.argv[:]
    assert main(["run", str(path), "--dry-run"]) == 0
    assert "update.learning_rate=0.0003" in capsys.readouterr().out
    assert (sys.path, sys.argv) == before
    sys.modules.pop("my_rates")


def test_a_home_directory_is_meant_by_its_sign(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    path = write(place, STUDY)
    assert study_file("~/strange.py") == path
    with pytest.raises(StudyError, match="no such home directory"):
        study_file("~no-such-user/strange.py")


@pytest.mark.parametrize("end", [GUARDED, "\nmain(build)\n", "\nraise SystemExit(main(build))\n"])
def test_the_status_is_that_of_the_study_with_or_without_a_guard(place, end, capsys):
    path = write(place, STUDY + end)
    assert main(["run", str(path), "--dry-run"]) == 0
    assert main(["run", str(path), "--dry-run", "--trials", "1"]) == 2
    assert "2 baselines (anchors) always run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n", "SyntaxError: invalid syntax"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_"),
        ("x = 1\ny = x / 0\n", "ZeroDivisionError: division by zero"),
        (STUDY, "runs no study: it should end with `if __name__"),
        ("", "runs no study"),
        (STUDY.replace("trials=2", "trials=0") + GUARDED, "trials = 0"),
        (
            STUDY.replace("rates = (", "raise ValueError('nonsense')\n    rates = (") + GUARDED,
            "error: nonsense",
        ),
    ],
)
def test_a_broken_file_is_one_message(place, text, message, capsys):
    path = write(place, text)
    assert main(["run", str(path), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and "Traceback" not in error


def test_the_line_at_fault_is_named(place, capsys):
    path = write(place, "x = 1\ny = x / 0\n")
    main(["run", str(path)])
    assert f"({path}, line 2)" in capsys.readouterr().err


def test_a_fault_of_ours_is_no_message(place, monkeypatch):
    path = write(place, STUDY + GUARDED)
    monkeypatch.setattr("conspo_study.commands.script.print_plan", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["run", str(path), "--dry-run"])


def test_a_file_may_have_the_name_of_a_packaged_study(place, capsys):
    write(place, STUDY + GUARDED, "margin_sweep.py")
    (place / "baselines").mkdir()
    assert main(["run", "margin_sweep", "--dry-run", "--preset", "quick"]) == 0
    shown = capsys.readouterr()
    assert "objective.tau" in shown.out
    assert "the file here is run by: conspo run margin_sweep.py" in shown.err
    assert main(["run", "margin_sweep.py", "--dry-run"]) == 0
    assert "strange" in capsys.readouterr().out
    assert main(["plan", "baselines", "--preset", "quick"]) == 0


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("margn_sweep", "(did you mean margin_sweep?); packaged: ablation, baselines"),
        ("strange", "(did you mean the file strange.py?)"),
        ("stranje.py", "there is no study file stranje.py (did you mean strange.py?)"),
        ("a/b/strange.py", "there is no study file a/b/strange.py"),
        ("folder", "is a folder, not a study file"),
        ("notes.txt", "unknown study 'notes.txt'"),
        ("", "unknown study ''; packaged:"),
    ],
)
def test_an_unknown_study_names_the_near_ones(place, word, message, capsys):
    write(place, STUDY)
    (place / "folder").mkdir()
    assert main(["run", word]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.ray
def test_a_study_with_code_of_its_own_runs_by_its_path_from_another_folder(place, shared_ray):
    """Workers find the objective in the study's file, and the module beside it."""
    write(place / "with blanks", "SCALE = 2.0\n", "my_scale.py")
    objective = """
import my_scale
from conspo_study.objective import ObjectiveOutput

def plain(batch, options, progress):
    return ObjectiveOutput(-my_scale.SCALE * batch.logprobs_T.sum() / batch.totals.tokens, {})
"""
    setting = '"objective.name": "strange:plain"'
    text = STUDY.replace('"update.learning_rate": r', setting).replace("trials=2", "trials=1")
    text = text.replace("(1e-4, 2e-4)", "(1e-4,)").replace("seeds=(0, 1)", "seeds=(0,)")
    path = write(place / "with blanks", objective + text + GUARDED)
    done = conspo("run", path, "--preset", "quick", cwd=place, **shared_ray)
    assert done.returncode == 0, done.stderr
    folder = place / "results" / "strange"
    assert read_table(folder).counts[TrialState.FINISHED] == 1
    copied = {file.name for file in (folder / "plugins").iterdir()} - {"__pycache__"}
    assert copied == {"strange.py", "my_scale.py"}
    assert "conspo watch results/strange" in done.stdout
    again = conspo("run", path, "--preset", "quick", "--resume", "--quiet", cwd=place, **shared_ray)
    assert again.returncode == 0 and "Nothing to do" in again.stdout
    listed = conspo("ls", cwd=place).stdout.splitlines()[1]
    assert listed.split()[:5] == ["strange", "ended", "1", "of", "1"]


def test_a_script_that_prints_to_a_closed_pipe_ends_quietly(place):
    path = write(place, STUDY + GUARDED)
    command = f"'{sys.executable}' -m conspo_study plan '{path}' | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_script_is_the_same_as_before(place):
    path = write(place, STUDY + GUARDED)
    budget = {"CONSPO_STUDY_CHECKPOINTS_GIB": "1"}  # and not half of what is free by then
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **budget}
    script = subprocess.run(
        [sys.executable, str(path), "--dry-run", "--seeds", "4", "5"],
        capture_output=True,
        text=True,
        env=environment,
    )
    command = conspo("run", path, "--dry-run", "--seeds", "4,5", cwd=place, **budget)
    assert script.returncode == command.returncode == 0
    assert script.stdout == command.stdout and "2 seeds" in script.stdout
