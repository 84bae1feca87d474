"""Help that a person reads at 80 columns, and hints for what they mistype."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conspo_study import __version__
from conspo_study.commands.command_line import VERBS, main
from conspo_study.commands.look import Watch
from conspo_study.watch import PORT

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def shown(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


def test_every_verb_has_a_line_in_the_list(capsys):
    status, text, _ = shown(capsys, "--help")
    assert status == 0
    for name, kind in VERBS.items():
        (line,) = re.findall(rf"^ *• {name} +(.*)$", text, re.MULTILINE)
        assert line == kind.description().split("\n")[0]
    assert shown(capsys) == (0, text, "")


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_and_has_nothing_to_stumble_on(verb, capsys):
    status, text, error = shown(capsys, *verb.split(), "--help")
    assert status == 0 and error == ""
    assert [line for line in text.splitlines() if len(line) > 80] == []
    for nuisance in ("{None}", "--no-quiet", "(default: )", "(default: None)", "(default: False)"):
        assert nuisance not in text
    assert "\n\n\n" not in text and not re.search(r" $", text, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_help_texts_are_not_broken_within(verb, capsys):
    """tyro keeps the line break of a field's text that has two lines."""
    _, text, _ = shown(capsys, verb, "--help")
    for line, after in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if after.startswith(" " * 8) and after.strip() and not after.strip().startswith("conspo"):
            assert len(line) + 1 + len(after.split()[0]) > 78, f"{line!r} could hold more"


def test_help_of_a_script_wraps_its_description():
    done = subprocess.run(
        [sys.executable, "studies/margin_sweep.py", "-h"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        check=True,
    )
    text = done.stdout
    assert "How much does ConSPO's margin matter" in text
    assert "\n    python studies/margin_sweep.py --resume         after an interruption" in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("    python"))


def test_the_port_in_the_help_is_the_port():
    source = Path(sys.modules[Watch.__module__].__file__).read_text()
    assert f"{PORT} unless given" in source


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("statsu x", "unknown verb 'statsu' (did you mean status?)"),
        ("list", "unknown verb 'list'"),
        ("resum x", "(did you mean resume?)"),
        ("--versoin", "unknown option '--versoin' (did you mean --version?)"),
        ("run margin_sweep --dryrun", "unknown option --dryrun (did you mean --dry-run?)"),
        ("run margin_sweep --trails 3", "--trails (did you mean --trials?)"),
        ("run margin_sweep --trails=3", "--trails (did you mean --trials?)"),
        ("run margin_sweep --noconfirm", "(did you mean --no-confirm?)"),
        ("run margin_sweep --seed 3", "(did you mean --seeds?)"),
        ("run margin_sweep --lr 3", "--lr (did you mean --set update.learning_rate=...?)"),
        ("run margin_sweep --zzzzzz", "unknown option --zzzzzz; --help lists"),
        ("status x --jsno", "(did you mean --json?)"),
        ("status x y", "unexpected 'y'"),
        ("--tyro-print-completion ksh", "completion is for bash, zsh, tcsh, fish, not ksh"),
    ],
)
def test_a_mistyped_word_is_answered_in_one_line(words, message, capsys):
    status, out, error = shown(capsys, *words.split())
    assert (status, out) == (2, "")
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--preset embeded", "unknown preset 'embeded' (did you mean embedded?)"),
        ("--set objective.name=gprpo", "did you mean grpo?"),
        ("--set objective.tua=1", "did you mean objective.tau?"),
        ("--sampler randm", "did you mean random?"),
        ("--all", "--all is about what a plan shows: add --dry-run"),
    ],
)
def test_a_mistyped_value_is_answered_too(words, message, capsys):
    assert main(["run", "margin_sweep", *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_verbs(shell):
    done = subprocess.run(
        [sys.executable, "-m", "conspo_study", "--tyro-print-completion", shell],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert all(name in done.stdout for name in VERBS) and "dry-run" in done.stdout


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"conspo {__version__}\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "| true"])
def test_help_without_a_reader_is_no_error(closed):
    command = f"'{sys.executable}' -m conspo_study --help {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stderr == ""
