"""Running a study from a command line: what is said at its end, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from conspo_study.commands import exits
from conspo_study.config import ConfigError
from conspo_study.records import StudyError
from conspo_study.study import Outcome, StudyStopped
from conspo_study.study.next_steps import after_a_stop, after_the_end
from conspo_study.terminal.console import Console

Report = Callable[[Path], None]
"""Writes and prints tables and figures of a results directory."""


def carry_out(run: Callable[[], Outcome | None], report: Report, console: Console) -> int:
    """Run a study, report it, print what can be done next, and return the exit status.

    run: None from it leaves nothing to report. Errors that are a user's to mend are printed.
    """
    try:
        outcome = run()
        if outcome is None:
            return exits.OK
        if not outcome.complete:
            console.prose(
                "Interrupted; all that was logged is kept. The study's script continues with "
                "--resume, and from anywhere:"
            )
            console.lines(after_a_stop(outcome.folder, outcome.track))
            return outcome.exit_status
        if not outcome.ran:
            console.line(f"Nothing to do: all trials of {outcome.folder.name} have ended.")
        reported = _reported(report, outcome.folder)
        if not console.quiet:
            _say_what_is_next(outcome, console)
        return outcome.exit_status if reported else exits.NO_RESULT
    except (ConfigError, StudyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exits.BAD_INPUT
    except StudyStopped as error:
        print("\n".join([f"error: {error}", *error.next_steps]), file=sys.stderr)
        return exits.NO_RESULT
    except KeyboardInterrupt:
        console.line("Interrupted.")
        return exits.INTERRUPTED


def _reported(report: Report, folder: Path) -> bool:
    """Report a study; returns whether its files could be read, and says why not."""
    from analysis.load.study import StudyUnreadable

    try:
        report(folder)
    except StudyUnreadable as error:
        print(f"error: the study has ended and cannot be reported: {error}", file=sys.stderr)
        return False
    return True


def _say_what_is_next(outcome: Outcome, console: Console) -> None:
    if spent := outcome.used_up:
        console.prose(f"{spent[0].upper()}{spent[1:]}.")
    console.line("Next:")
    by_machine = bool(outcome.failed_by_machine)
    steps = after_the_end(outcome.folder, outcome.trials, outcome.track, bool(spent), by_machine)
    console.lines(steps)
