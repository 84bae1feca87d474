"""View of a study in progress: a table that is drawn again and again, and sentences."""

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
from conspo_study.results.collapse import CollapseRate, collapse_rate
from conspo_study.results.table import StudyTable
from conspo_study.results.trial_row import TrialRow, settings_of
from conspo_study.results.undecided import value_without_undecided
from conspo_study.terminal.activity import Doing, as_reported
from conspo_study.text import counted, duration, first_line, number, printable

STYLES = {
    TrialState.WAITING: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.PAUSED: "blue",
    TrialState.FINISHED: "green",
    TrialState.COLLAPSED: "magenta",
    TrialState.PRUNED: "yellow",
    TrialState.FAILED: "red",
}
COLUMNS = ("trial", "settings", "state", "step", "reward", "metric", "tokens/s", "left")
_NEEDS = {"reward": 70, "left": 90, "tokens/s": 110}
"""Least width of a screen, in characters, that has room for these columns."""
_DOING_STYLES = {"starting": "dim cyan", "training": "cyan", "evaluating": "magenta"}
SHOWN_ENDED = 8
"""Number of ended trials shown besides the best, if there is room."""
_BESIDE_ROWS = 7
"""Lines of a screen besides the rows of trials: header, count of hidden trials, summary, and the
end of earlier output."""
_LEAST_ROWS, _LEAST_SETTINGS = 3, 8
_BY_SEED = 120
"""Least width of a screen, in characters, with room for the metric of every seed."""
_FEW_SEEDS = 4
_EXACT_S = 90
"""Remaining time, in seconds, from which on it is given as `about`."""
_NAMED_RUNNING = 4
"""Most running trials that a line names."""
_NAMED_OPEN = 2
"""Most trials that a line names because responses of theirs have no verdict."""


class View:
    """Describes a study, given its table; remembers only when it first saw each trial running."""

    def __init__(self, study: StudyDefinition, concurrent: int, doing: Doing = as_reported):
        self.study = study
        self.concurrent = concurrent
        self.doing = doing
        self.confirmed = confirmation_batch(study)
        self.started = time.monotonic()
        self.since: dict[str, tuple[float, int]] = {}
        """Time at which each trial was first seen running, and its step then."""

    def render(self, table: StudyTable, width: int = 120, height: int = 40) -> Group:
        """A table for a screen of `width` x `height` characters, one line a trial: running trials,
        the best, and the last that ended, confirmations last. Below it, the number of hidden trials
        and a summary."""
        best = table.best(self.study.direction)
        beside = _BESIDE_ROWS + len(self._undecided(table))
        shown = _shown(table, best, max(_LEAST_ROWS, height - beside))
        cells = [self._cells(row, width) for row in shown]
        for row in cells:
            if best is not None and row["trial"].plain == best.id:
                row["trial"].append(" ★")
        grid = fitting(self._titles(width), cells, width)
        hidden = _hidden(table, {row.id for row in shown})
        below = [Text(f" {hidden}", style="dim")] if hidden else []
        return Group(grid, *below, Text("\n".join(self._footer(table)), style="bold"))

    def _titles(self, width: int) -> dict[str, str]:
        """Titles of the columns by name, without those that a narrow screen has no room for."""
        metric = _short(self.study.metric)
        titles = {name: name for name in COLUMNS if width >= _NEEDS.get(name, 0)}
        titles["metric"] = metric if width >= _NEEDS["left"] else metric.rpartition("/")[2]
        return titles

    def _cells(self, row: TrialRow, width: int) -> dict[str, Text]:
        doing = self.doing(row) if row.state is TrialState.RUNNING else None
        state = Text(row.state.value, style=STYLES[row.state])
        if row.state.ended and (collapsed := str(self._collapsed(row))):
            state.append(f", {collapsed} collapsed", style=STYLES[TrialState.COLLAPSED])
        if doing is not None:
            time_of_it = "" if doing.seconds is None else f" {duration(doing.seconds)}"
            state = Text(f"{doing.doing}{time_of_it}", style=_DOING_STYLES[doing.doing])
        step = doing.step if doing else row.step
        cells = {
            "trial": row.id,
            "settings": self._named(row),
            "step": f"{step}/{self._steps(row)}",
            "reward": number(mean_over_seeds(row, "reward")),
            "metric": self._measured(row, width),
            "tokens/s": "" if row.tokens_per_s is None else f"{row.tokens_per_s:,.0f}",
            "left": self._left(row, step),
        }
        return {"state": state, **{name: Text(text) for name, text in cells.items()}}

    def _measured(self, row: TrialRow, width: int) -> str:
        """The metric's mean over all seeds, with its spread or, if there is room, by seed."""
        by_seed = row.values if row.state.ended else by_seed_of(row, self.study.metric)
        if not by_seed or len(by_seed) != len(row.seeds):
            return number(row.value if row.state.ended else None)
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
            value = f"{_short(self.study.metric)} {row.value:.3f}"
            decided = value_without_undecided(row, self.study.metric)
            if decided is not None:
                value += f" ({decided:.3f} without undecided responses)"
            rate = self._collapsed(row)
            first = f", {rate.sentence} ({rate.reasons[0]})" if rate.seeds else ""
            return f"{head}: {value} at step {row.step}{after}{first}"
        return head

    def _collapsed(self, row: TrialRow) -> CollapseRate:
        return collapse_rate(row, self.study.metric, self.study.direction)

    def summary(self, table: StudyTable) -> str:
        """The study's progress, in one line."""
        parts = [*self._counts(table), *self._best(table)]
        running = [row for row in table.all_rows if row.state is TrialState.RUNNING]
        named = [self._running(row) for row in running[:_NAMED_RUNNING]]
        if len(running) > _NAMED_RUNNING:
            named.append(f"{len(running) - _NAMED_RUNNING} more")
        parts += [", ".join(named)] if named else []
        parts += [*self._incidents(table), *self._eta(table), *self._stopping()]
        return f"{self._elapsed()} {'; '.join(parts)}"

    def _footer(self, table: StudyTable) -> list[str]:
        """The summary below a table, a line for each kind of fact."""
        counted = [*self._counts(table), *self._best(table), *self._eta(table)]
        first = f"{self._elapsed()} {'; '.join(counted)}"
        return [first, *self._undecided(table), *self._incidents(table), *self._stopping()]

    def _undecided(self, table: StudyTable) -> list[str]:
        """The metric of trials whose undecided responses, which it counts as wrong, are left out:
        the best, then the latest."""
        best = table.best(self.study.direction)
        rows = [row for row in reversed(table.all_rows) if row is not best]
        rows = [best, *rows] if best else rows
        values = [(row.id, value_without_undecided(row, self.study.metric)) for row in rows]
        found = [f"{trial} {value:.3f}" for trial, value in values if value is not None]
        more = [f"{len(found) - _NAMED_OPEN} more"] if len(found) > _NAMED_OPEN else []
        named = ", ".join([*found[:_NAMED_OPEN], *more])
        return [f"without undecided responses: {named}"] if found else []

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
        reward = number(mean_over_seeds(row, "reward"))
        return f"{at} reward {reward}" if reward else at

    @staticmethod
    def _incidents(table: StudyTable) -> list[str]:
        """Failures that the study recovered from, most frequent type first."""
        by_type = sorted(table.all_incidents.items(), key=lambda item: (-item[1], item[0]))
        total = sum(count for _, count in by_type)
        if not total:
            return []
        types = ", ".join(f"{count} {printable(name)}" for name, count in by_type)
        return [f"{counted(total, 'incident')} recovered: {types}"]

    @staticmethod
    def _stopping() -> list[str]:
        return ["stopping; Ctrl-C again stops at once"] if interrupts.stopping() else []

    @staticmethod
    def _named(row: TrialRow) -> str:
        return f"{row.of} again: {settings_of(row)}" if row.of else settings_of(row)

    def _left(self, row: TrialRow, step: int) -> str:
        """Time that the trial took, or still takes at its pace since it was first seen."""
        if row.state.ended:
            return "" if row.wall_s is None else f"took {duration(row.wall_s)}"
        if row.state is not TrialState.RUNNING:
            self.since.pop(row.id, None)  # a pause is no pace
            return ""
        began, first = self.since.setdefault(row.id, (time.monotonic(), step))
        if step <= first:
            return ""
        pace = (time.monotonic() - began) / (step - first)
        return duration(pace * (self._steps(row) - step))

    def _eta(self, table: StudyTable) -> list[str]:
        """Time for the remaining trials and confirmations, at the pace of those that have ended."""
        each = _mean_time(table.rows)
        if each is None:
            return []
        left = self.study.trials - sum(row.state.ended for row in table.rows)
        running = sum(row.state is TrialState.RUNNING for row in table.all_rows)
        most = at_once = max(self.concurrent, running)  # a cluster may have grown
        at_once = min(at_once, self.study.searched_at_once)
        seconds = left * each / at_once
        if self.confirmed is not None:
            again = _mean_time(table.confirmations)
            if again is None:
                again = each * self.confirmed.seeds / len(self.study.seeds)
            ended = sum(row.state.ended for row in table.confirmations)
            seconds += max(0, self.confirmed.trials - ended) * again / most
        return [f"{'about ' if seconds > _EXACT_S else ''}{duration(seconds)} left"]


def fitting(titles: Mapping[str, str], rows: Sequence[Mapping[str, Text]], width: int) -> Table:
    """A table whose lines fit `width`; only settings are cut off where they are too long.

    titles: by column. rows: a text for each column.
    """
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
    """Latest value of a metric, for the seeds that have it."""
    return {seed: metrics[name] for seed, metrics in row.seed_metrics.items() if name in metrics}


def mean_over_seeds(row: TrialRow, name: str) -> float | None:
    """Latest mean over all of the trial's seeds; None while one of them lacks the metric."""
    values = by_seed_of(row, name).values()
    return fmean(values) if values and len(values) == len(row.seeds) else None


def _shown(table: StudyTable, best: TrialRow | None, room: int) -> list[TrialRow]:
    """The `room` rows to show, in the order in which they are shown."""
    running = [row for row in table.all_rows if row.state is TrialState.RUNNING]
    ended = [row for row in table.all_rows if row.state.ended]
    paused = [row for row in table.rows if row.state is TrialState.PAUSED]
    wanted = (running + paused)[: room - 1] + ([best] if best else [])
    last = [row for row in reversed(ended) if row is not best][:SHOWN_ENDED]
    chosen = {row.id for row in [*wanted, *last][:room]}
    rows = [row for row in table.all_rows if row.id in chosen]
    return sorted(rows, key=lambda row: (bool(row.of), not row.state.ended))


def _hidden(table: StudyTable, shown: set[str]) -> str:
    """The number of trials that are not shown, by state."""
    counts = Counter(row.state for row in table.all_rows if row.id not in shown)
    states = ", ".join(f"{counts[state]} {state.value}" for state in TrialState if counts[state])
    return f"and {states}" if states else ""


def _mean_time(rows: Sequence[TrialRow]) -> float | None:
    times = [row.wall_s for row in rows if row.state.ended and row.wall_s]
    return fmean(times) if times else None


def _short(metric: str) -> str:
    return metric.removeprefix("eval/")
