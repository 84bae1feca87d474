"""A study in progress as a person sees it: a table that is drawn again and again, and sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from conspo_study.costs import confirmation_batch
from conspo_study.definition import StudyDefinition
from conspo_study.records import TrialState
from conspo_study.results.table import StudyTable, TrialRow

STYLES = {
    TrialState.WAITING: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.FINISHED: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAILED: "red",
}
SHOWN_ENDED = 8
"""Ended trials that the table shows above those that run."""


class View:
    """What there is to say about a study, given its table; knows only when it first saw what."""

    def __init__(self, study: StudyDefinition, concurrent: int):
        self.study = study
        self.concurrent = concurrent
        self.confirmed = confirmation_batch(study)
        self.started = time.monotonic()
        self.since: dict[str, float] = {}
        """When each running trial was first seen running."""

    def render(self, table: StudyTable) -> Any:
        """Running trials and the last few that ended, confirmations last, above a summary."""
        grid = Table(box=None, padding=(0, 1), header_style="bold")
        for title in ("trial", "settings", "state"):
            grid.add_column(title)
        for title in ("step", "reward", _short(self.study.metric), "tokens/s", "left"):
            grid.add_column(title, justify="right")
        ended = [row for row in table.all_rows if row.state.ended][-SHOWN_ENDED:]
        shown = {row.id for row in table.all_rows if not row.state.ended} | {r.id for r in ended}
        for row in sorted(
            (row for row in table.all_rows if row.id in shown),
            key=lambda row: (bool(row.of), not row.state.ended),
        ):
            grid.add_row(
                row.id,
                escape(self._named(row)),
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
        head = f"{row.id} {row.state.value:<8} {self._named(row)}"
        if row.state is TrialState.FAILED:
            return f"{head}: {printable(row.cause)}"
        if row.state.ended and row.value is not None:
            after = f" after {row.wall_s:.0f} s" if row.wall_s is not None else ""
            return f"{head}: {_short(self.study.metric)} {row.value:.3f} at step {row.step}{after}"
        return head

    def summary(self, table: StudyTable) -> str:
        """Where the study stands, in one line."""
        counts = {state: n for state, n in table.counts.items() if n}
        states = ", ".join(f"{n} {state.value}" for state, n in counts.items())
        parts = [f"{states or 'starting'} of {self.study.trials}"]
        if table.confirmations:
            done = sum(row.state.ended for row in table.confirmations)
            parts.append(f"{done} of {len(table.confirmations)} confirmations")
        best = table.best(self.study.direction)
        if best is not None and best.value is not None:
            parts.append(f"best {best.value:.3f} ({best.id})")
        running = [
            f"{row.id} {row.step}/{row.steps} reward {_number(mean_over_seeds(row, 'reward'))}"
            for row in table.all_rows
            if row.state is TrialState.RUNNING and row.steps
        ]
        parts += [", ".join(running)] if running else []
        absorbed = sum(table.all_incidents.values())
        parts += [f"{absorbed} incident{'s' if absorbed > 1 else ''}"] if absorbed else []
        parts += self._eta(table)
        elapsed = time.monotonic() - self.started
        return f"[{elapsed:4.0f} s] {'; '.join(parts)}"

    @staticmethod
    def _named(row: TrialRow) -> str:
        return f"{row.of} again: {settings_of(row)}" if row.of else settings_of(row)

    def _left(self, row: TrialRow) -> str:
        if row.state.ended:
            return "" if row.wall_s is None else f"took {row.wall_s:.0f} s"
        if row.state is not TrialState.RUNNING:
            return ""
        elapsed = time.monotonic() - self.since.setdefault(row.id, time.monotonic())
        if not row.step or not row.steps:
            return "starting"
        return f"{elapsed / row.step * (row.steps - row.step):.0f} s"

    def _eta(self, table: StudyTable) -> list[str]:
        """Trials that are left, confirmations included, at the pace of those that have ended."""
        each = _mean_time(table.rows)
        if each is None:
            return []
        left = self.study.trials - sum(row.state.ended for row in table.rows)
        at_once = self.concurrent
        if self.study.waits_for_results:
            at_once = min(at_once, self.study.lag + 1)
        seconds = left * each / at_once
        if self.confirmed is not None:
            again = _mean_time(table.confirmations)
            if again is None:
                again = each * self.confirmed.seeds / len(self.study.seeds)
            ended = sum(row.state.ended for row in table.confirmations)
            seconds += max(0, self.confirmed.trials - ended) * again / self.concurrent
        return [f"about {seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"]


def settings_of(row: TrialRow) -> str:
    """The trial's parameters without their stage names, after its label."""
    values = " ".join(
        f"{path.rpartition('.')[2]}={value:.4g}"
        if isinstance(value, float)
        else f"{path.rpartition('.')[2]}={value}"
        for path, value in row.params.items()
    )
    return f"[{row.label}] {values}" if row.label else values


def printable(text: str) -> str:
    """Untrusted text without what could move a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def mean_over_seeds(row: TrialRow, name: str) -> float | None:
    """Latest mean over all of the trial's seeds; None while one of them lacks the metric."""
    values = [metrics[name] for metrics in row.seed_metrics.values() if name in metrics]
    return sum(values) / len(values) if values and len(values) == len(row.seeds) else None


def _mean_time(rows: Sequence[TrialRow]) -> float | None:
    times = [row.wall_s for row in rows if row.state.ended and row.wall_s]
    return fmean(times) if times else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _short(metric: str) -> str:
    return metric.removeprefix("eval/")
