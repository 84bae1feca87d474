"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere."""

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
from conspo_study.records import TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import settings_of
from conspo_study.terminal.activity import Activities
from conspo_study.terminal.live_view import View
from conspo_study.terminal.notebook import redrawn
from conspo_study.text import speak_plainly

__all__ = ["SILENCE_S", "Console", "Preparation", "settings_of"]

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
        """Say something that broke no study, and the command that helps."""
        self.prose(text)
        self.line(f"  {command}")

    def prose(self, text: str) -> None:
        """Print text that breaks between words on a terminal; a path or a command, which must stay
        whole to be copied, is for `line`."""
        wraps = self.rich.is_terminal
        self.rich.print(text, markup=False, emoji=False, soft_wrap=not wraps)

    def heading(self, study: StudyDefinition) -> None:
        """Name the study and its size."""
        if not self.quiet:
            again = confirmation_batch(study)
            confirmed = f", then {again.trials} x {again.seeds} to confirm" if again else ""
            self.prose(
                f"study {study.name}: {study.trials} trials x {len(study.seeds)} seeds{confirmed}, "
                f"{study.base.train.steps} steps each, by {study.metric}"
            )

    @contextmanager
    def preparing(self) -> Iterator[Preparation]:
        """Show what goes on before the first trial; several things may go on at once."""
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
        stop = threading.Event()
        thread = threading.Thread(target=self._speak, args=(view, log, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _say_if_stopping(self) -> None:
        if interrupts.stopping():
            self.prose("stopping: what runs comes to its end; Ctrl-C once more stops at once")

    def _speak(self, view: View, log: ResultsLog, stop: threading.Event) -> None:
        """Print a line for every change of a trial's state, and a summary against silence."""
        known: dict[str, TrialState] = {}
        spoken = time.monotonic()
        stopping = False
        while True:
            last = stop.wait(0.5)
            table = log.table
            for row in table.all_rows:
                if known.get(row.id) is not row.state and row.state is not TrialState.WAITING:
                    known[row.id] = row.state
                    self.line(view.sentence(row))
                    spoken = time.monotonic()
            if last:
                return
            asked = not stopping and interrupts.stopping()
            stopping = stopping or asked
            if asked or time.monotonic() - spoken > SILENCE_S - 1:
                self.line(view.summary(table))
                spoken = time.monotonic()


class Preparation:
    """Progress of named tasks: bars on a terminal, lines elsewhere."""

    def __init__(self, console: Console, bars: Progress):
        self._console, self._bars = console, bars
        self._warm_start = bars.add_task("warm start", visible=False)
        self._spoken = time.monotonic()
        self.cancelled = threading.Event()
        """Set to end a warm start at its next report."""

    @contextmanager
    def task(self, what: str) -> Iterator[None]:
        """Show `what` while the block runs, and then how long it took."""
        started = time.monotonic()
        bar = self._bars.add_task(what, total=None)
        if self._bars.disable:
            self._say(f"{what} ...")
        yield
        self._bars.remove_task(bar)
        self._say(f"{what}: {time.monotonic() - started:.1f} s")

    def warm_start(self, step: int, steps: int, loss: float) -> None:
        """A report of the supervised warm start. Raises InterruptedError once cancelled."""
        if self.cancelled.is_set():
            raise InterruptedError("the warm start was interrupted")
        what = f"warm start (once, then cached): step {step} of {steps}, loss {loss:.3f}"
        self._bars.update(
            self._warm_start, description=what, completed=step, total=steps, visible=True
        )
        if self._bars.disable and time.monotonic() - self._spoken > SILENCE_S / 2:
            self._spoken = time.monotonic()
            self._say(what)

    def _say(self, text: str) -> None:
        if not self._console.quiet:
            self._console.line(text)
