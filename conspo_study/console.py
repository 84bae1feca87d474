"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from conspo_study.definition import StudyDefinition
from conspo_study.records import TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import StudyTable, TrialRow, build_table

SILENCE_S = 10.0
"""Longest time without a line when output is not a terminal."""
STYLES = {
    TrialState.WAITING: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.FINISHED: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAILED: "red",
}


class Console:
    """Prints to standard output; with `quiet` only what `line` is given."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.rich = RichConsole(highlight=False, soft_wrap=True)

    def line(self, text: str) -> None:
        """Print one line as it is."""
        self.rich.print(escape(text))

    def heading(self, study: StudyDefinition) -> None:
        """Name the study and its size."""
        if not self.quiet:
            self.line(
                f"study {study.name}: {study.trials} trials x {len(study.seeds)} seeds, "
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
        view = _View(study, concurrent, already=len(log.events))
        stop = threading.Event()

        latest = (0, StudyTable())

        def table() -> StudyTable:
            nonlocal latest
            if len(log.events) != latest[0]:
                events = list(log.events)
                latest = (len(events), build_table(events))
            return latest[1]

        if self.rich.is_terminal:
            with Live(
                get_renderable=lambda: view.render(table()),
                console=self.rich,
                refresh_per_second=2,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            ):
                yield
            return
        thread = threading.Thread(target=self._speak, args=(view, table, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _speak(self, view: _View, table: Callable[[], StudyTable], stop: threading.Event) -> None:
        """Print a line for every change of a trial's state, and a summary against silence."""
        known: dict[str, TrialState] = {}
        spoken = time.monotonic()
        while True:
            last = stop.wait(0.5)
            now = table()
            for row in now.rows:
                if known.get(row.id) is not row.state and row.state is not TrialState.WAITING:
                    known[row.id] = row.state
                    self.line(view.sentence(row))
                    spoken = time.monotonic()
            if last:
                return
            if time.monotonic() - spoken > SILENCE_S - 1:
                self.line(view.summary(now))
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


class _View:
    """The table of a study in progress, as text or as a rich table."""

    def __init__(self, study: StudyDefinition, concurrent: int, already: int):
        self.study = study
        self.concurrent = concurrent
        self.started = time.monotonic()
        self.since: dict[str, float] = {}
        """When each running trial was first seen running."""

    def render(self, table: StudyTable) -> Any:
        """Running trials and the last few that ended, above a summary."""
        grid = Table(box=None, padding=(0, 1), header_style="bold")
        for title in ("trial", "settings", "state"):
            grid.add_column(title)
        for title in ("step", "reward", _short(self.study.metric), "tokens/s", "left"):
            grid.add_column(title, justify="right")
        running = [row for row in table.rows if not row.state.ended]
        ended = [row for row in table.rows if row.state.ended][-8:]
        for row in [*ended, *running]:
            grid.add_row(
                row.id,
                escape(settings_of(row)),
                Text(row.state.value, style=STYLES[row.state]),
                f"{row.step}/{row.steps or self.study.base.train.steps}",
                _number(mean_over_seeds(row, "reward")),
                _number(row.value if row.state.ended else mean_over_seeds(row, self.study.metric)),
                "" if row.tokens_per_s is None else f"{row.tokens_per_s:,.0f}",
                self._left(row),
            )
        return Group(grid, Text(self.summary(table), style="bold"))

    def sentence(self, row: TrialRow) -> str:
        """A trial's new state in one line."""
        head = f"{row.id} {row.state.value:<8} {settings_of(row)}"
        if row.state is TrialState.FAILED:
            return f"{head}: {row.cause}"
        if row.state.ended and row.value is not None:
            after = f" after {row.wall_s:.0f} s" if row.wall_s is not None else ""
            return f"{head}: {_short(self.study.metric)} {row.value:.3f} at step {row.step}{after}"
        return head

    def summary(self, table: StudyTable) -> str:
        """Where the study stands, in one line."""
        counts = {state: n for state, n in table.counts.items() if n}
        states = ", ".join(f"{n} {state.value}" for state, n in counts.items())
        best = table.best(self.study.direction)
        found = f"; best {best.value:.3f} ({best.id})" if best and best.value is not None else ""
        running = [
            f"{row.id} {row.step}/{row.steps} reward {_number(mean_over_seeds(row, 'reward'))}"
            for row in table.rows
            if row.state is TrialState.RUNNING and row.steps
        ]
        now = f"; {', '.join(running)}" if running else ""
        elapsed = time.monotonic() - self.started
        return f"[{elapsed:4.0f} s] {states or 'starting'} of {self.study.trials}{found}{now}" + (
            self._eta(table)
        )

    def _left(self, row: TrialRow) -> str:
        if row.state.ended:
            return "" if row.wall_s is None else f"took {row.wall_s:.0f} s"
        if row.state is not TrialState.RUNNING:
            return ""
        elapsed = time.monotonic() - self.since.setdefault(row.id, time.monotonic())
        if not row.step or not row.steps:
            return "starting"
        return f"{elapsed / row.step * (row.steps - row.step):.0f} s"

    def _eta(self, table: StudyTable) -> str:
        times = [row.wall_s for row in table.rows if row.state.ended and row.wall_s]
        if not times:
            return ""
        left = self.study.trials - sum(row.state.ended for row in table.rows)
        seconds = left * sum(times) / len(times) / self.concurrent
        return f"; about {seconds / 60:.0f} min left" if seconds > 90 else f"; {seconds:.0f} s left"


def settings_of(row: TrialRow) -> str:
    """The trial's parameters without their stage names, after its label."""
    values = " ".join(
        f"{path.rpartition('.')[2]}={value:.4g}"
        if isinstance(value, float)
        else f"{path.rpartition('.')[2]}={value}"
        for path, value in row.params.items()
    )
    return f"[{row.label}] {values}" if row.label else values


def mean_over_seeds(row: TrialRow, name: str) -> float | None:
    """Latest mean over all of the trial's seeds; None while one of them lacks the metric."""
    values = [metrics[name] for metrics in row.seed_metrics.values() if name in metrics]
    return sum(values) / len(values) if values and len(values) == len(row.seeds) else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _short(metric: str) -> str:
    return metric.removeprefix("eval/")
