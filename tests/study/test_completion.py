"""What a real bash offers, with the script that it is given."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conspo_study.manage import main

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "completion.bash"
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", file)
        assert main(["completion"]) == 0
    return path


def bash(script, code):
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", f"source {script}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C"},
    )
    assert done.stderr == "", done.stderr
    return done.stdout.split()


def offered(script, *words):
    """What completes the last of the words, split as bash splits them at an equals sign."""
    quoted = " ".join(f"'{word}'" for word in words)
    return bash(
        script,
        f"COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1))\n"
        '_conspo_study python; printf "%s\\n" "${COMPREPLY[@]}"',
    )


def test_bash_takes_it_for_python(script):
    for name in ("python", "python3"):
        assert bash(script, f"complete -p {name}")[-3:] == ["-F", "_conspo_study", name]


STUDY = ("python", "studies/margin_sweep.py")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("python", "-m", "conspo"), ["conspo_study.study"]),
        (("python", "-m", "conspo_study.study", "re"), ["resume", "repair"]),
        (("python", "-m", "conspo_study.study", "track", "r", "--to", "te"), ["tensorboard"]),
        (("python", "-m", "conspo_study.study", "extend", "r", "--tr"), ["--trials"]),
        ((*STUDY, "--re"), ["--results", "--resume"]),
        ((*STUDY, "--no-c"), ["--no-confirm"]),
        ((*STUDY, "--preset", "sm"), ["smollm2"]),
        ((*STUDY, "--sampler", "q"), ["qmc"]),
        ((*STUDY, "--set", "update.learning"), ["update.learning_rate="]),
        ((*STUDY, "--set", "objective.margin_"), ["objective.margin_unit="]),
        ((*STUDY, "--set", "objective.name", "=", "conspo_l"), ["conspo_linear"]),
        ((*STUDY, "--set", "objective.schedule", "=", "co"), ["cosine", "constant"]),
        ((*STUDY, "--set", "rollout.engine", "="), ["transformers", "vllm"]),
        ((*STUDY, "--set", "rollout.engine=v"), ["vllm"]),
        ((*STUDY, "--set", "update.learning_rate", "=", "1"), []),
    ],
)
def test_what_is_offered(script, words, wanted):
    assert offered(script, *words) == wanted


def test_every_setting_of_the_defaults_can_be_completed(script):
    from conspo_study.config import RunConfig, flatten

    everything = {word.rstrip("=") for word in offered(script, *STUDY, "--set", "")}
    assert flatten(RunConfig()).keys() <= everything
    assert "objective.clip_high" in everything, "the options of other objectives, too"


def test_other_python_scripts_are_left_to_others(script, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("print(1)\n")
    assert offered(script, "python", str(other), "--re") == []
    code = (
        "_mine() { COMPREPLY=(mine); }; complete -F _mine python\n"
        f"source {script}; COMP_WORDS=(python {other} x); COMP_CWORD=2\n"
        'COMPREPLY=(); _conspo_study python; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert bash(script, code) == ["mine"]
