"""Runs at one step: a value, or a score per problem, of every setting and seed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from analysis.load.runs import Row, Runs, RunsUnreadable
from analysis.load.text import visible
from analysis.statistics.scores import ProblemScores, Scores
from conspo_study.text import counted

_Run = tuple[str, int]
"""Setting and seed."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class RunsAtStep:
    """What is compared."""

    metric: str
    step: int | None
    """None for files without steps."""
    values: Mapping[str, Mapping[int, float]]
    """By setting, in the order of the files, and seed; means over problems where there are any."""
    scores: Mapping[str, Scores]
    """By setting; empty for files without problems."""
    notes: tuple[str, ...]
    """What was decided, in sentences for people."""


def runs_at_step(runs: Runs, step: int | None = None) -> RunsAtStep:
    """The runs at a step, by default the last that all of them have.

    Raises RunsUnreadable where a run has no such step, or no finite value at it, and for rows that
    contradict each other.
    """
    by_run: dict[_Run, list[Row]] = defaultdict(list)
    for row in runs.rows:
        by_run[row.setting, row.seed].append(row)
    notes = list(runs.notes)
    chosen = _step(by_run, step, notes)
    at_step = {
        run: [row for row in rows if row.step == chosen or chosen is None]
        for run, rows in by_run.items()
    }
    of_problems = {row.problem is not None for rows in at_step.values() for row in rows}
    if len(of_problems) > 1:
        raise RunsUnreadable(runs.rows[0].path, "some files have problems, and some have none")
    _check_finite(runs.metric, at_step, nan_allowed=True in of_problems)
    settings = list(dict.fromkeys(setting for setting, _ in at_step))
    if True in of_problems:
        scores = {s: _scores(runs.metric, s, at_step) for s in settings}
        notes += _samples(at_step)
        values = {name: found.by_seed(runs.metric) for name, found in scores.items()}
        return RunsAtStep(runs.metric, chosen, values, scores, tuple(notes))
    plain: dict[str, dict[int, float]] = {setting: {} for setting in settings}
    for (setting, seed), rows in at_step.items():
        plain[setting][seed] = _only(rows, notes)
    return RunsAtStep(runs.metric, chosen, plain, {}, tuple(notes))


def _step(by_run: Mapping[_Run, Sequence[Row]], asked: int | None, notes: list[str]) -> int | None:
    steps = {run: {row.step for row in rows} for run, rows in by_run.items()}
    some = next(iter(by_run.values()))[0]
    if all(found == {None} for found in steps.values()):
        if asked is not None:
            raise RunsUnreadable(some.path, "it has no steps: leave --step out")
        return None
    without = [run for run, found in steps.items() if None in found]
    if without:
        raise RunsUnreadable(some.path, f"{_names(without)} have no steps, and others have")
    whole = {run: {s for s in found if s is not None} for run, found in steps.items()}
    if asked is not None:
        if lacking := [run for run, found in whole.items() if asked not in found]:
            near = min(whole[lacking[0]], key=lambda s: abs(s - asked))
            raise RunsUnreadable(
                some.path, f"no value at step {asked} of {_names(lacking)}; near it is {near}"
            )
        return asked
    shared = set.intersection(*whole.values())
    ends = {run: max(found) for run, found in whole.items()}
    first = min(ends, key=ends.__getitem__)
    if not shared:
        raise RunsUnreadable(
            some.path,
            f"no step is in all {len(whole)} runs ({_name(first)} ends at {ends[first]}, others at "
            f"{max(ends.values())}): compare runs that were measured at the same steps",
        )
    chosen = max(shared)
    where = f"Compared at step {chosen}, the last that all {counted(len(whole), 'run')} have"
    later = [run for run, end in ends.items() if end > chosen]
    if later:
        where += f"; {_names(later)} went on to step {max(ends.values())}"
        ended = [run for run, end in ends.items() if end == chosen]
        where += f", {_names(ended)} did not" if ended else ""
    notes.append(f"{where}.")
    return chosen


def _check_finite(metric: str, at_step: Mapping[_Run, Sequence[Row]], *, nan_allowed: bool) -> None:
    for run, rows in at_step.items():
        for row in rows:
            if math.isfinite(row.value) or (nan_allowed and math.isnan(row.value)):
                continue
            where = "" if row.step is None else f" at step {row.step}"
            raise RunsUnreadable(
                row.path,
                f"{visible(metric, 60)} of {_name(run)} is {row.value}{where}. A run that diverged "
                "is a result: write the value that it counts as, such as 0"
                + ("" if row.step is None else ", or compare an earlier step with --step"),
                row.line,
            )


def _only(rows: Sequence[Row], notes: list[str]) -> float:
    """The value of a run; the same row twice counts once."""
    first = rows[0]
    for row in rows[1:]:
        if row.value != first.value:
            raise RunsUnreadable(
                row.path,
                f"{_name((row.setting, row.seed))} has the value {row.value:g} here and "
                f"{first.value:g} {_place(first, row)}: which one counts? A column `problem` says "
                "what is measured several times",
                row.line,
            )
    if len(rows) > 1:
        notes.append(
            f"{_name((first.setting, first.seed))} stands in {len(rows)} equal rows: counted once."
        )
    return first.value


def _place(row: Row, other: Row) -> str:
    at = f"line {row.line}" if row.line is not None else f"step {row.step}"
    return f"in {at}" if row.path == other.path else f"in {visible(str(row.path))}, {at}"


def _scores(metric: str, setting: str, at_step: Mapping[_Run, Sequence[Row]]) -> Scores:
    """[seeds, problems] of a setting; samples of a problem are averaged."""
    seeds = sorted(seed for name, seed in at_step if name == setting)
    samples: list[dict[str, list[float]]] = []
    for seed in seeds:
        found: dict[str, list[float]] = defaultdict(list)
        for row in at_step[setting, seed]:
            if not math.isnan(row.value):
                found[row.problem or ""].append(row.value)
        if not found:
            row = at_step[setting, seed][0]
            raise RunsUnreadable(row.path, f"{_name((setting, seed))} has no value", row.line)
        samples.append(found)
    problems = tuple(sorted({row.problem or "" for s in seeds for row in at_step[setting, s]}))
    values = np.array(
        [[fmean(found[p]) if p in found else np.nan for p in problems] for found in samples]
    )
    return Scores(tuple(seeds), {metric: ProblemScores(problems, values)})


def _samples(at_step: Mapping[_Run, Sequence[Row]]) -> list[str]:
    """Sentences about problems that are measured several times, and about missing values."""
    counts: dict[tuple[_Run, str | None], int] = defaultdict(int)
    for run, rows in at_step.items():
        for row in rows:
            counts[run, row.problem] += 1
    notes = []
    fewest, most = min(counts.values()), max(counts.values())
    if most > 1:
        each = str(most) if fewest == most else f"{fewest} to {most}"
        notes.append(f"{each} rows of a run and problem are samples: averaged.")
    if absent := sum(math.isnan(row.value) for rows in at_step.values() for row in rows):
        notes.append(f"{counted(absent, 'row')} with nan are taken as not judged: left out.")
    return notes


def _names(runs: Sequence[_Run]) -> str:
    shown = ", ".join(_name(run) for run in runs[:_MOST_NAMED])
    more = len(runs) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _name(run: _Run) -> str:
    return f"{visible(run[0], 60)} seed {run[1]}"
