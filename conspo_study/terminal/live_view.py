"""A study in progress as a person sees it: a table that is drawn again and again, and sentences."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from rich.console import Group
from rich.table import Table
from rich.text import Text

from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import confirmation_batch
from conspo_study.processes import interrupts
from conspo_study.records import TrialState
from conspo_study.results.table import StudyTable, TrialRow, settings_of
from conspo_study.terminal.activity import Doing, as_reported
from conspo_study.text import first_line, printable

STYLES = {
    TrialState.WAITING: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.FINISHED: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAILED: "red",
}
COLUMNS = ("trial", "settings", "state", "step", "reward", "metric", "tokens/s", "left")
_NEEDS = {"reward": 70, "left": 90, "tokens/s": 110}
"""Columns of a screen from which on there is room for these."""
_DOING_STYLES = {"starting": "dim cyan", "training": "cyan", "evaluating": "magenta"}
SHOWN_ENDED = 8
"""Ended trials that are shown beside the best, where there is room."""
_BESIDE_ROWS = 7
"""Lines of a screen that are no rows of trials: header, what is hidden, summary, and the end of
what came before."""
_LEAST_ROWS, _LEAST_SETTINGS = 3, 8
_BY_SEED = 120
"""Columns from which there is room for the metric of every seed."""
_FEW_SEEDS = 4
_IN_SECONDS, _IN_HOURS = 90, 2 * 3600
"""Up to how many seconds a time is told in seconds, and beyond how many in hours."""
_NAMED_RUNNING = 4
"""Running trials that a line names, at most."""


class View:
    """What there is to say about a study, given its table; knows only when it first saw what."""

    def __init__(self, study: StudyDefinition, concurrent: int, doing: Doing = as_reported):
        self.study = study
        self.concurrent = concurrent
        self.doing = doing
        self.confirmed = confirmation_batch(study)
        self.started = time.monotonic()
        self.since: dict[str, tuple[float, int]] = {}
        """When each running trial was first seen running, and at which step it was."""

    def render(self, table: StudyTable, width: int = 120, height: int = 40) -> Group:
        """What fits a screen of `width` x `height`, one line a trial: those that run, the best, and
        the last that ended, confirmations last, above how many are hidden and a summary."""
        best = table.best(self.study.direction)
        rows = _shown(table, best, max(_LEAST_ROWS, height - _BESIDE_ROWS))
        cells = [self._cells(row, width) for row in rows]
        for one in cells:
            if best is not None and one["trial"].plain == best.id:
                one["trial"].append(" ★")
        grid = fitting(self._titles(width), cells, width)
        hidden = _hidden(table, {row.id for row in rows})
        below = [Text(f" {hidden}", style="dim")] if hidden else []
        return Group(grid, *below, Text("\n".join(self._footer(table)), style="bold"))

    def _titles(self, width: int) -> dict[str, str]:
        """Titles of the columns by name, without those that a narrow screen can do without."""
        metric = _short(self.study.metric)
        titles = {name: name for name in COLUMNS if width >= _NEEDS.get(name, 0)}
        titles["metric"] = metric if width >= _NEEDS["left"] else metric.rpartition("/")[2]
        return titles

    def _cells(self, row: TrialRow, width: int) -> dict[str, Text]:
        doing = self.doing(row) if row.state is TrialState.RUNNING else None
        state = Text(row.state.value, style=STYLES[row.state])
        if doing is not None:
            time_of_it = "" if doing.seconds is None else f" {_duration(doing.seconds)}"
            state = Text(f"{doing.doing}{time_of_it}", style=_DOING_STYLES[doing.doing])
        step = doing.step if doing else row.step
        cells = {
            "trial": row.id,
            "settings": self._named(row),
            "step": f"{step}/{self._steps(row)}",
            "reward": _number(mean_over_seeds(row, "reward")),
            "metric": self._measured(row, width),
            "tokens/s": "" if row.tokens_per_s is None else f"{row.tokens_per_s:,.0f}",
            "left": self._left(row, step),
        }
        return {"state": state, **{name: Text(text) for name, text in cells.items()}}

    def _measured(self, row: TrialRow, width: int) -> str:
        """The metric's mean over all seeds, with its spread or, where there is room, by seed."""
        by_seed = row.values if row.state.ended else by_seed_of(row, self.study.metric)
        if not by_seed or len(by_seed) != len(row.seeds):
            return _number(row.value if row.state.ended else None)
        values = [by_seed[seed] for seed in sorted(by_seed)]
        mean = f"{fmean(values):.3f}"
        if len(values) == 1:
            return mean
        if width >= _BY_SEED and len(values) <= _FEW_SEEDS:
            return f"{mean} ({' '.join(f'{value:.3f}' for value in values)})"
        return f"{mean} ± {stdev(values):.3f}"

    def _steps(self, row: TrialRow) -> int:
        return row.steps or self.study.base.train.steps

    def sentence(self, row: TrialRow) -> str:
        """A trial's new state in one line."""
        head = f"{row.id} {row.state.value:<8} {self._named(row)}"
        if row.state is TrialState.FAILED:
            return f"{head}: {first_line(row.cause)}"
        if row.state.ended and row.value is not None:
            after = f" after {row.wall_s:.0f} s" if row.wall_s is not None else ""
            return f"{head}: {_short(self.study.metric)} {row.value:.3f} at step {row.step}{after}"
        return head

    def summary(self, table: StudyTable) -> str:
        """Where the study stands, in one line."""
        parts = [*self._counts(table), *self._best(table)]
        running = [row for row in table.all_rows if row.state is TrialState.RUNNING]
        said = [self._running(row) for row in running[:_NAMED_RUNNING]]
        if len(running) > _NAMED_RUNNING:
            said.append(f"{len(running) - _NAMED_RUNNING} more")
        parts += [", ".join(said)] if said else []
        parts += [*self._incidents(table), *self._eta(table), *self._stopping()]
        return f"{self._elapsed()} {'; '.join(parts)}"

    def _footer(self, table: StudyTable) -> list[str]:
        """The summary below a table that names what runs, a line for each kind of thing."""
        counted = [*self._counts(table), *self._best(table), *self._eta(table)]
        first = f"{self._elapsed()} {'; '.join(counted)}"
        return [first, *self._incidents(table), *self._stopping()]

    def _elapsed(self) -> str:
        return f"[{time.monotonic() - self.started:4.0f} s]"

    def _counts(self, table: StudyTable) -> list[str]:
        counts = {state: n for state, n in table.counts.items() if n}
        states = ", ".join(f"{n} {state.value}" for state, n in counts.items())
        parts = [f"{states or 'starting'} of {self.study.trials}"]
        if table.confirmations:
            done = sum(row.state.ended for row in table.confirmations)
            parts.append(f"{done} of {len(table.confirmations)} confirmations")
        return parts

    def _best(self, table: StudyTable) -> list[str]:
        best = table.best(self.study.direction)
        return [] if best is None or best.value is None else [f"best {best.value:.3f} ({best.id})"]

    def _running(self, row: TrialRow) -> str:
        doing = self.doing(row)
        if doing.doing == "starting":
            return f"{row.id} starting"
        at = f"{row.id} {doing.step}/{self._steps(row)}"
        if doing.doing == "evaluating":
            return f"{at} evaluating"
        reward = _number(mean_over_seeds(row, "reward"))
        return f"{at} reward {reward}" if reward else at

    @staticmethod
    def _incidents(table: StudyTable) -> list[str]:
        """Absorbed failures, most frequent type first."""
        found = sorted(table.all_incidents.items(), key=lambda item: (-item[1], item[0]))
        absorbed = sum(count for _, count in found)
        if not absorbed:
            return []
        types = ", ".join(f"{count} {printable(name)}" for name, count in found)
        return [f"{absorbed} incident{'s' if absorbed > 1 else ''} absorbed: {types}"]

    @staticmethod
    def _stopping() -> list[str]:
        return ["stopping; Ctrl-C once more stops at once"] if interrupts.stopping() else []

    @staticmethod
    def _named(row: TrialRow) -> str:
        return f"{row.of} again: {settings_of(row)}" if row.of else settings_of(row)

    def _left(self, row: TrialRow, step: int) -> str:
        """How long the trial took, or still takes at the pace since it was first seen."""
        if row.state.ended:
            return "" if row.wall_s is None else f"took {_duration(row.wall_s)}"
        if row.state is not TrialState.RUNNING:
            return ""
        began, first = self.since.setdefault(row.id, (time.monotonic(), step))
        if step <= first:
            return ""
        pace = (time.monotonic() - began) / (step - first)
        return _duration(pace * (self._steps(row) - step))

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
        return [f"{'about ' if seconds > _IN_SECONDS else ''}{_duration(seconds)} left"]


def fitting(titles: Mapping[str, str], rows: Sequence[Mapping[str, Text]], width: int) -> Table:
    """A table whose lines fit `width`: what is too long of the settings is cut off, and nothing
    else. `titles` by column, `rows` with a text for each column."""
    needed = {
        name: max([len(title), *(len(row[name]) for row in rows)]) for name, title in titles.items()
    }
    others = sum(needed[name] for name in titles if name != "settings")
    # Not by rich, which would narrow all columns to make room for one.
    room = max(_LEAST_SETTINGS, width - others - 2 * len(titles))
    grid = Table(box=None, padding=(0, 1), header_style="bold")
    for name, title in titles.items():
        at_left = name in ("trial", "settings", "state")
        grid.add_column(title, no_wrap=True, justify="left" if at_left else "right")
    for row in rows:
        settings = row["settings"].copy()
        settings.truncate(room, overflow="ellipsis")
        grid.add_row(*(settings if name == "settings" else row[name] for name in titles))
    return grid


def by_seed_of(row: TrialRow, name: str) -> dict[int, float]:
    """The latest value of a metric, for the seeds that have it."""
    return {seed: metrics[name] for seed, metrics in row.seed_metrics.items() if name in metrics}


def mean_over_seeds(row: TrialRow, name: str) -> float | None:
    """Latest mean over all of the trial's seeds; None while one of them lacks the metric."""
    values = by_seed_of(row, name).values()
    return fmean(values) if values and len(values) == len(row.seeds) else None


def _shown(table: StudyTable, best: TrialRow | None, room: int) -> list[TrialRow]:
    """The rows that `room` lines are given to, in the order in which they are shown."""
    running = [row for row in table.all_rows if row.state is TrialState.RUNNING]
    ended = [row for row in table.all_rows if row.state.ended]
    wanted = running[: room - 1] + ([best] if best else [])
    last = [row for row in reversed(ended) if row is not best][:SHOWN_ENDED]
    chosen = {row.id for row in [*wanted, *last][:room]}
    rows = [row for row in table.all_rows if row.id in chosen]
    return sorted(rows, key=lambda row: (bool(row.of), not row.state.ended))


def _hidden(table: StudyTable, shown: set[str]) -> str:
    """How many trials are not among those shown, by state."""
    counts = Counter(row.state for row in table.all_rows if row.id not in shown)
    said = ", ".join(f"{counts[state]} {state.value}" for state in TrialState if counts[state])
    return f"and {said}" if said else ""


def _duration(seconds: float) -> str:
    if seconds > _IN_HOURS:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > _IN_SECONDS else f"{seconds:.0f} s"


def _mean_time(rows: Sequence[TrialRow]) -> float | None:
    times = [row.wall_s for row in rows if row.state.ended and row.wall_s]
    return fmean(times) if times else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _short(metric: str) -> str:
    return metric.removeprefix("eval/")
