"""The command line of a study of a training function."""

import pytest

SCRIPT = '''
"""A study of a function."""
from conspo_study import Anchor, Range, Study, main

def train(params, seed, trial):
    raise AssertionError("nothing may run")

def build():
    return Study(
        name="own", train=train, steps=30, params={"batch": 4}, metric="accuracy",
        space={"lr": Range(low=0.1, high=1.0)},
        anchors=(Anchor(label="usual", params={"lr": 0.5}),), trials=4, seeds=2, confirm=3,
    )

if __name__ == "__main__":
    raise SystemExit(main(build, __doc__))
'''


@pytest.fixture
def run(run_script, place, tmp_path):
    """A function that runs the script, or a changed one, beside a folder for results."""

    def run(*arguments, change=("", "")):
        path = place("own_study.py", SCRIPT.replace(*change))
        return run_script(path, "--results", str(tmp_path / "results"), *arguments)

    return run


def test_the_plan_says_what_is_known_and_what_is_not(run, tmp_path):
    result = run("--dry-run", "--set", "batch=8", "--seeds", "1,2", "--set", "train.steps=50")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "function            own_study:train" in lines
    assert "params              batch = 8" in lines
    assert "seeds               1, 2" in lines
    assert "steps               50 of each run, 700 in all" in lines
    assert any(line.startswith("estimated time      unknown for a training") for line in lines)
    for word in ("tau", "margin", "rollouts", "embedded", "preset", "token"):
        assert word not in result.stdout, word
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "bach=8"), "bach is neither in params nor in the space (did you mean batch?)"),
        (("--set", "lr=8"), "lr: this study searches it; --set and --config cannot fix it"),
        (("--set", "objective.tau=1"), "objective.tau is neither in params nor in the space"),
        (("--preset", "quick"), "--preset: this study is declared without a preset"),
        (("--dry-run", "--probe", "3"), "--probe measures steps of the built-in training"),
        (("--set", "train.cpus_per_worker=4096"), "lower workers or resources[CPU]"),
        (("--trials", "0"), "trials = 0: should be greater than or equal to 1"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(run, tmp_path, arguments, message):
    result = run(*arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("params, seed, trial", "params, seed"), "own_study:train(params, seed) cannot be called"),
        (("train=train", 'train="no_such:train"'), "the module 'no_such' is not found"),
        (("steps=30, ", ""), "steps is needed: the number of the step that the function reports"),
        (('"batch": 4', '"batch": object()'), "is not a plain value: give a finite number"),
    ],
)
def test_a_function_that_cannot_be_run_is_refused_with_one_message(run, change, message):
    result = run(change=change)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr and "Traceback" not in result.stderr
