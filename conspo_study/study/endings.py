"""Ends the run of a study: complete, interrupted, or stopped for want of something."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conspo_study.files import is_no_space
from conspo_study.processes.interrupts import Interrupts
from conspo_study.records import TrialState
from conspo_study.results.lease import Lease
from conspo_study.results.log import LeaseLost, ResultsLog
from conspo_study.results.outcome import used_up
from conspo_study.results.table import StudyTable
from conspo_study.study.next_steps import after_a_stop
from conspo_study.text import chain


class StudyStopped(RuntimeError):
    """A running study could not go on. All that it logged stands, and `--resume` continues it."""

    def __init__(self, message: str, next_steps: Sequence[str] = ()):
        super().__init__(message)
        self.next_steps = next_steps
        """Lines with the commands that make sense now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How `Study.run` ended."""

    folder: Path
    complete: bool
    """False when it was interrupted and can be resumed."""
    ran: bool = True
    """False when there was nothing to do."""
    track: tuple[str, ...] = ()
    """Trackers that it was sent to, without those that failed."""
    trials: int = 0
    """Budget of the search."""
    finished: int = 0
    """Trials of the search that came to their last step, collapsed ones included."""
    failed: tuple[str, ...] = ()
    """Trials, confirmations included, that failed."""
    failed_by_machine: tuple[str, ...] = ()
    """Those among them that may be tried again, with `retry_failed`."""
    used_up: str = ""
    """That nothing was left to try before the budget was; empty otherwise."""
    signalled: int = 0
    """128 plus the number of the signal that interrupted it."""

    @property
    def exit_status(self) -> int:
        """Of the process: 0 when a trial finished, 1 when none did, 128 plus the number of the
        signal for a study that was interrupted."""
        if not self.complete:
            return self.signalled
        return 0 if self.finished else 1


def outcome_of(folder: Path, table: StudyTable, trials: int, **how: Any) -> Outcome:
    """The outcome of a study under a budget of `trials` with this table. how: the other fields."""
    return Outcome(
        folder,
        trials=trials,
        finished=table.with_result,
        failed=tuple(row.id for row in table.all_rows if row.state is TrialState.FAILED),
        failed_by_machine=tuple(row.id for row in table.all_rows if row.machine),
        used_up=used_up(table, trials),
        **how,
    )


@contextmanager
def stopping_in_order(log: ResultsLog, lease: Lease, received: Interrupts) -> Iterator[None]:
    """Turn what can stop a study in its course into StudyStopped, and an interrupt into the end of
    the block. Whatever raised it may have been wrapped or swallowed on its way through Ray."""
    folder = log.path.parent
    try:
        yield
    except KeyboardInterrupt:
        pass
    except SystemExit as leaving:
        if leaving.code != signal.SIGTERM:  # what Ray's own handler of it raises
            raise
        received.received = signal.SIGTERM
    except Exception as error:
        if log.failure is not None or _is_about_space(error) or _is_about(folder, error):
            raise stopped(log.failure or error, folder) from error
        if received.received is None:
            error.add_note("\n".join(["All that was logged is kept.", *after_a_stop(folder)]))
            raise
        # What asked the study to stop, such as a signal to all processes, may have ended Ray, too.
    try:
        lease.check()
    except LeaseLost as error:
        raise stopped(error, folder) from error
    if isinstance(log.failure, Exception):
        raise stopped(log.failure, folder)


def stopped(cause: BaseException, folder: Path) -> StudyStopped:
    """The stop of the study in `folder` because of `cause`, with what to do about it."""
    if isinstance(cause, LeaseLost):
        steps = after_a_stop(folder, taken_over=True)
        return StudyStopped(f"{cause}; this driver has stopped", steps)
    if _is_about_space(cause):
        what, remedy = "no space left", "make room"
    else:
        what, remedy = "cannot write", "see to the file system"
    return StudyStopped(
        f"{what}: {cause}. All that was logged stands; {remedy}, then continue with --resume",
        after_a_stop(folder),
    )


def _is_about(folder: Path, error: BaseException) -> bool:
    """Whether an error names a file in the results directory that could not be written."""
    files = [one.filename for one in chain(error) if isinstance(one, OSError)]
    return any(isinstance(file, str) and Path(file).is_relative_to(folder) for file in files)


def _is_about_space(error: BaseException) -> bool:
    return any(map(is_no_space, chain(error)))
