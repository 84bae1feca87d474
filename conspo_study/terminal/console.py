"""Output of a study while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import confirmation_batch
from conspo_study.processes import interrupts
from conspo_study.processes.background import beside
from conspo_study.records import TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.terminal.activity import Activities
from conspo_study.terminal.live_view import View
from conspo_study.terminal.notebook import redrawn
from conspo_study.text import counted, speak_plainly

SILENCE_S = 10.0
"""Longest time without a line when output is not a terminal."""


class Console:
    """Prints to standard output; with `quiet` only what `line` is given."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        speak_plainly()
        self.rich = RichConsole(highlight=False, soft_wrap=True)

    def line(self, text: str) -> None:
        """Print one line as it is."""
        self.rich.print(text, markup=False, emoji=False)

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines as they are."""
        for text in texts:
            self.line(text)

    def notice(self, text: str, command: str) -> None:
        """Print something that does not affect the study, and the command that helps."""
        self.prose(text)
        self.line(f"  {command}")

    def prose(self, text: str) -> None:
        """Print text that is wrapped between words on a terminal. Paths and commands, which must
        stay whole to be copied, are for `line`."""
        wraps = self.rich.is_terminal
        self.rich.print(text, markup=False, emoji=False, soft_wrap=not wraps)

    def heading(self, study: StudyDefinition) -> None:
        """Print the study's name and size."""
        if not self.quiet:
            again = confirmation_batch(study)
            confirmed = f", then {again.trials} x {again.seeds} to confirm" if again else ""
            self.prose(
                f"study {study.name}: {counted(study.trials, 'trial')} x "
                f"{counted(len(study.seeds), 'seed')}{confirmed}, "
                f"{counted(study.base.train.steps, 'step')} each, by {study.metric}"
            )

    @contextmanager
    def preparing(self) -> Iterator[Preparation]:
        """Show the progress of tasks before the first trial, several at once."""
        hidden = self.quiet or not self.rich.is_terminal
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
        with Progress(
            *columns, TimeElapsedColumn(), console=self.rich, transient=True, disable=hidden
        ) as bars:
            yield Preparation(self, bars)

    @contextmanager
    def live(self, study: StudyDefinition, log: ResultsLog, concurrent: int) -> Iterator[None]:
        """Follow the log until the block ends."""
        if self.quiet:
            yield
            return
        view = View(study, concurrent, Activities(log.path.parent, study))

        def draw() -> Group:
            return view.render(log.table, self.rich.width, self.rich.height)

        if self.rich.is_jupyter:
            with redrawn(draw):
                yield
            self._say_if_stopping()
            return
        if self.rich.is_terminal:
            with Live(
                get_renderable=draw,
                console=self.rich,
                refresh_per_second=2,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            ):
                yield
            self._say_if_stopping()
            return
        with beside(lambda over: self._print_changes(view, log, over)):
            yield

    def _say_if_stopping(self) -> None:
        if interrupts.stopping():
            self.prose("stopping: running trials are being ended; Ctrl-C again stops at once")

    def _print_changes(self, view: View, log: ResultsLog, over: threading.Event) -> None:
        """Print a line for every change of a trial's state, and a summary every `SILENCE_S`."""
        known: dict[str, TrialState] = {}
        printed_at = time.monotonic()
        stopping = False
        while True:
            last = over.wait(0.5)
            table = log.table
            for row in table.all_rows:
                if known.get(row.id) is not row.state and row.state is not TrialState.WAITING:
                    known[row.id] = row.state
                    self.line(view.sentence(row))
                    printed_at = time.monotonic()
            if last:
                return
            asked = not stopping and interrupts.stopping()
            stopping = stopping or asked
            if asked or time.monotonic() - printed_at > SILENCE_S - 1:
                self.line(view.summary(table))
                printed_at = time.monotonic()


class Preparation:
    """Progress of named tasks: bars on a terminal, lines elsewhere."""

    def __init__(self, console: Console, bars: Progress):
        self._console, self._bars = console, bars
        self._warm_start = bars.add_task("warm start", visible=False)
        self._printed_at = time.monotonic()
        self.cancelled = threading.Event()
        """Set to end a warm start at its next report."""

    @contextmanager
    def task(self, what: str) -> Iterator[None]:
        """Show `what` while the block runs, and its time afterwards."""
        started = time.monotonic()
        bar = self._bars.add_task(what, total=None)
        if self._bars.disable:
            self._say(f"{what} ...")
        yield
        self._bars.remove_task(bar)
        self._say(f"{what}: {time.monotonic() - started:.1f} s")

    def warm_start(self, step: int, steps: int, loss: float) -> None:
        """Show a report of the supervised warm start. Raises InterruptedError once cancelled."""
        if self.cancelled.is_set():
            raise InterruptedError("the warm start was interrupted")
        what = f"warm start (once, then cached): step {step} of {steps}, loss {loss:.3f}"
        self._bars.update(
            self._warm_start, description=what, completed=step, total=steps, visible=True
        )
        if self._bars.disable and time.monotonic() - self._printed_at > SILENCE_S / 2:
            self._printed_at = time.monotonic()
            self._say(what)

    def _say(self, text: str) -> None:
        if not self._console.quiet:
            self._console.line(text)
