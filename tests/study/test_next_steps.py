"""Commands that are printed as next steps can be typed: real commands, real paths."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conspo_study.commands.carry_out import carry_out
from conspo_study.commands.command_line import VERBS, main
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.folder import read_table
from conspo_study.results.lease import LeaseLost
from conspo_study.results.log import ResultsLog
from conspo_study.results.outcome import used_up
from conspo_study.study import Outcome, StudyStopped
from conspo_study.study.endings import outcome_of, stopped
from conspo_study.study.next_steps import after_a_stop, after_the_end
from conspo_study.terminal.console import Console
from conspo_study.terminal.status import study_status

FROZEN = Path(__file__).resolve().parents[1] / "assets" / "results_v2"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A results directory below the working directory, with a blank in its path."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(FROZEN, tmp_path / "my results" / "two-aims"))


def commands(lines):
    """What follows the two leading columns, by what it is for."""
    return {line[2:].split("  ")[0]: line[2:].partition("  ")[2].strip() for line in lines}


def test_the_path_is_as_one_would_type_it_and_survives_a_shell(folder, tmp_path, monkeypatch):
    line = commands(after_the_end(folder, 6))["more trials"]
    assert line == "conspo extend 'my results/two-aims' --trials 10"
    monkeypatch.chdir("/usr")
    assert str(folder) in shlex.split(commands(after_a_stop(folder))["continue"])


def test_every_command_is_one_of_those_there_are(folder):
    for line in {**commands(after_the_end(folder, 6)), **commands(after_a_stop(folder))}.values():
        words = shlex.split(line)
        assert words[0] == "conspo" and words[1] in VERBS
        assert Path(words[2]).is_dir()


def test_the_command_that_tells_where_it_is_does(folder, capsys):
    words = shlex.split(commands(after_a_stop(folder))["where it is"])
    assert main(words[1:]) == 0
    assert "budget 6" in capsys.readouterr().out


def test_trackers_are_among_what_can_be_looked_at(folder):
    line = commands(after_the_end(folder, 6, ("tensorboard",)))["tensorboard"]
    assert line == "tensorboard --logdir 'my results/two-aims/tracking/tensorboard'"


def test_a_study_that_another_driver_took_over_is_not_to_be_resumed(folder):
    full, taken = stopped(OSError(28, "No space left"), folder), stopped(LeaseLost("x"), folder)
    assert "continue" in commands(full.next_steps)
    assert "continue" not in commands(taken.next_steps)


def test_the_end_an_interrupt_and_a_failure_each_say_what_can_be_done(folder, capsys):
    def stop():
        raise StudyStopped("no space left", after_a_stop(folder))

    console = Console()
    done = Outcome(folder, complete=True, finished=1)
    assert carry_out(lambda: done, lambda folder: None, console) == 0
    said = capsys.readouterr().out
    assert said.startswith("Next:\n") and "extend" in said
    interrupted = Outcome(folder, complete=False, signalled=130)
    assert carry_out(lambda: interrupted, lambda folder: None, console) == 130
    assert "and from anywhere:\n  continue" in capsys.readouterr().out
    assert carry_out(stop, lambda folder: None, console) == 1
    assert "error: no space left\n  continue" in capsys.readouterr().err
    assert carry_out(lambda: done, lambda folder: None, Console(quiet=True)) == 0
    assert capsys.readouterr().out == ""


def test_nothing_more_is_advised_where_the_space_is_used_up(folder, capsys):
    stored = folder / "study.json"
    data = json.loads(stored.read_text())
    table = replace(read_table(folder), finished=True)
    ended, asked = len(table.rows), len(table.rows) + 6
    data["definition"]["trials"] = asked
    stored.write_text(json.dumps(data))
    spent = f"space is used up: {ended} of {asked} trials; nothing is left to try"
    assert used_up(table, asked) == f"the {spent}"
    assert used_up(table, ended) == used_up(replace(table, finished=False), asked) == ""
    with ResultsLog(folder / "log.jsonl") as log:
        start = {"hash": table.hash, "trials": asked}
        log.append(TrialEvent(EventKind.STUDY_STARTED, data=start))
        log.append(TrialEvent(EventKind.STUDY_FINISHED))
    done = outcome_of(folder, read_table(folder), asked, complete=True)
    assert carry_out(lambda: done, lambda folder: None, Console()) == 0
    said = capsys.readouterr().out
    assert f"The {spent}." in said
    assert "more trials" not in said
    assert any(spent in line for line in study_status(folder).lines())
