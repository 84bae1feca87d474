"""A study as plain data for the page, which polls and receives only what has changed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conspo_study.records import EventKind, TrialState, threshold_of
from conspo_study.results.collapse import collapse_rate
from conspo_study.results.event_data import with_text_seeds
from conspo_study.results.names import LEASE, LOG, NOTES, trial_folder
from conspo_study.results.nearby import holds_study
from conspo_study.results.notes import add_note, read_notes
from conspo_study.results.outcome import failure_lines
from conspo_study.results.table import TrialRow
from conspo_study.results.undecided import value_without_undecided
from conspo_study.results.verdict import kept_verdict
from conspo_study.watch.comparing import (
    differences,
    differing,
    metric_values,
    named_trials,
    shown_values,
)
from conspo_study.watch.driver import DriverWatch
from conspo_study.watch.log_tail import LogTail, told_left
from conspo_study.watch.samples import MOST_TRIALS, find_samples
from conspo_study.watch.stored import Stored, read_stored
from conspo_study.watch.trial_view import RESPONSES_S, TrialView
from conspo_study.watch.turn import Turn

READING_S = 0.25
"""Longest time that one question spends on reading new lines of the log."""
OPEN_TRIALS = 8
"""Trials whose files are kept in memory."""


class StudyView:
    """The study in `folder`. Thread-safe; answers are JSON data.

    Every question raises OSError when files cannot be read, or another thread's reading of the same
    files does not end: of each kind of file at most one thread waits for good.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._turn, self._samples = Turn(folder), Turn(folder)
        self._log = LogTail(folder / LOG)
        self._driver = DriverWatch(folder / LEASE)
        self._trials: dict[str, TrialView] = {}
        self._first_epoch = time.time_ns() // 10**6
        """Of this view: a browser may know an epoch of an earlier one."""

    def study(self, epoch: int, since: int) -> dict[str, Any]:
        """The study, and the trials with events after event `since` of the log's `epoch`; all
        trials if the epoch is another one."""
        with self._turn.taken():
            log = self._read()
            stored = read_stored(self.folder)
            table = log.builder.table
            known = since if epoch == self._first_epoch + log.epoch else 0
            best = stored.best(table)
            return {
                "epoch": self._first_epoch + log.epoch,
                "seq": log.seq,
                "reset": known != since,
                "bytes_left": told_left(log.left),
                "damage": log.damage,
                "problem": stored.problem,
                "alarms": [*failure_lines(self.folder, table), *stored.missing_code],
                "noted": self._noted(),
                "verdict": kept_verdict(self.folder, log.seq),
                "question": stored.question,
                "name": stored.name,
                "folder": str(self.folder),
                "metric": stored.metric,
                "direction": stored.direction,
                "also": stored.also,
                "metrics": list(log.metrics),
                "space": stored.space,
                "budget": stored.budget(table),
                "finished": table.finished,
                "driver": self._driver.look(),
                "counts": {state.value: count for state, count in table.counts.items()},
                "incidents": table.all_incidents,
                "changes": list(table.changes),
                "best": best.id if best else None,
                "trials": [
                    self._row(row, stored)
                    for row in table.all_rows
                    if log.events[row.id][-1].seq > known
                ],
            }

    def curves(
        self, metric: str, points: int, epoch: int, since: int, evenly: bool = False
    ) -> dict[str, Any]:
        """Curves of a metric, of all trials with events after event `since`; points and evenly:
        see `Curves.shown`."""
        with self._turn.taken():
            log = self._read()
            known = since if epoch == self._first_epoch + log.epoch else 0
            # Reports between two evaluations repeat the values of the earlier one.
            every = read_stored(self.folder).evaluated_every if metric.startswith("eval/") else None
            shown = {}
            for row in log.builder.table.all_rows:
                curves = log.curves.get(row.id)
                if curves is None or log.events[row.id][-1].seq <= known:
                    continue
                steps = every and {s for s in curves.steps if s % every == 0 or s == row.steps}
                shown[row.id] = curves.shown(metric, points, steps or None, evenly)
            return {
                "epoch": self._first_epoch + log.epoch,
                "seq": log.seq,
                "reset": known != since,
                "metric": metric,
                "curves": {trial: curve for trial, curve in shown.items() if curve},
            }

    def trial(self, trial: str) -> dict[str, Any]:
        """One trial in detail. Raises KeyError if it is not in the log."""
        with self._turn.taken():
            log = self._read()
            stored = read_stored(self.folder)
            row = log.builder.row(trial)
            happened = log.events[trial]
            view = self._open(trial)
            known = {
                "epoch": self._first_epoch + log.epoch,
                "row": self._row(row, stored),
                "bars": {str(step): threshold_of(bar) for step, bar in row.bars.items()},
                "also": {m: with_text_seeds(values) for m, values in row.also.items()},
                "base": stored.base,
                "events": [
                    {
                        "seq": event.seq,
                        "time": str(event.time),
                        "event": event.kind.value,
                        "step": event.step,
                        "data": event.data,
                    }
                    for event in happened
                    if event.kind is not EventKind.REPORTED or event is happened[-1]
                ],
            }
        return known | view.about()

    def trial_curves(
        self, trial: str, points: int, version: int, evenly: bool = False
    ) -> dict[str, Any]:
        """Curves of all metrics of one trial, and what went wrong in them as `findings`; without
        both if nothing changed since `version`. Raises KeyError like `trial`."""
        with self._turn.taken():
            log = self._read()
            row, reported = log.builder.row(trial), deepcopy(log.curves.get(trial))
            stored = read_stored(self.folder)
            view = self._open(trial)
        answer = view.curves(points, version, reported, row.steps, stored.evaluated_every, evenly)
        if answer["curves"]:
            answer["findings"] = view.findings(row, stored.metric, stored.direction)
        return answer

    def responses(self, trial: str, question: Mapping[str, str]) -> dict[str, Any]:
        """A page of a trial's responses; see `find_responses`. Raises KeyError like `trial`,
        ValueError for a malformed question."""
        with self._turn.taken():
            self._read().builder.row(trial)
            view = self._open(trial)
        return view.responses(question)

    def compare(self, question: Mapping[str, str]) -> dict[str, Any]:
        """Trials side by side, at the end of each or as last reported.

        question: `trials`, ids with commas, the first the reference; `metric`, the study's own by
        default. Returns `settings` that differ, `values` by trial, and `differences` to the
        reference (see `comparing`). Raises KeyError like `trial`, ValueError for a malformed
        question.
        """
        trials = named_trials(question.get("trials", ""))
        with self._turn.taken():
            table = self._read().builder
            stored = read_stored(self.folder)
            metric = question.get("metric") or stored.metric
            rows = {trial: table.row(trial) for trial in trials}
            views = {trial: self._open(trial) for trial in trials}
        values = {t: metric_values(row, metric, stored.metric) for t, row in rows.items()}
        configs = {trial: view.config() for trial, view in views.items()}
        if not all(configs.values()):
            configs = {trial: dict(row.params) for trial, row in rows.items()}
        return {
            "metric": metric,
            "reference": trials[0],
            "trials": [self._row(row, stored) for row in rows.values()],
            "settings": differing(configs),
            "values": shown_values(values),
            "differences": differences(values, trials[0]),
        }

    def importance(self) -> dict[str, Any]:
        """What each setting accounts for in the variance of the finished search trials, and of how
        many; see `conspo_study.statistics.importance`."""
        from conspo_study.statistics.importance import importance

        with self._turn.taken():
            rows = self._read().builder.table.rows
        usable = [row for row in rows if row.state.has_result and not row.missing_seeds]
        values = [row.value for row in usable if row.value is not None]
        paths = dict.fromkeys(path for row in usable for path in row.params)
        settings = {path: [row.params.get(path) for row in usable] for path in paths}
        found = importance(values, settings) if len(values) == len(usable) else []
        return {"trials": len(usable), "settings": [asdict(one) for one in found]}

    def notes(self) -> dict[str, Any]:
        """The notes of the study and its trials, and the state of their file."""
        with self._turn.taken():
            noted = self._noted()
            return {"noted": noted, "notes": [note.as_json() for note in read_notes(self.folder)]}

    def add_note(self, given: Any) -> dict[str, Any]:
        """Add or withdraw a note (see `results.notes`); the only thing that the page writes.
        Returns `notes`. Raises ValueError for a malformed one, KeyError for an unknown trial."""
        if not isinstance(given, dict):
            raise ValueError("a note is a JSON object")
        with self._turn.taken():
            if trial := given.get("trial"):
                self._read().builder.row(str(trial))
            if not holds_study(self.folder):
                raise ValueError(f"{self.folder} holds no study")
            add_note(self.folder, given)
        return self.notes()

    def _noted(self) -> str:
        """Changes when notes do."""
        try:
            about = (self.folder / NOTES).stat()
        except OSError:
            return ""
        return f"{about.st_mtime_ns}-{about.st_size}"

    def samples(self, question: Mapping[str, str]) -> dict[str, Any]:
        """A page of the responses of the `trials` that are named, with commas between them; see
        `find_samples`. Raises KeyError and ValueError like `responses`."""
        trials = [name for name in question.get("trials", "").split(",") if name]
        with self._turn.taken():
            log = self._read()
            for trial in trials[: MOST_TRIALS + 1]:
                log.builder.row(trial)
        asked = {name: value for name, value in question.items() if name != "trials"}
        with self._samples.taken(RESPONSES_S):
            return find_samples(self.folder, trials, asked)

    def _read(self) -> LogTail:
        """The log, after reading its new lines."""
        self._log.advance(READING_S)
        return self._log

    def _open(self, trial: str) -> TrialView:
        view = self._trials.pop(trial, None) or TrialView(trial_folder(self.folder, trial))
        self._trials[trial] = view
        if len(self._trials) > OPEN_TRIALS:
            del self._trials[next(iter(self._trials))]
        return view

    def _row(self, row: TrialRow, stored: Stored) -> dict[str, Any]:
        running, metric = row.state is TrialState.RUNNING, stored.metric
        collapsed = collapse_rate(row, metric, stored.direction)
        return {
            "id": row.id,
            "seq": self._log.events[row.id][-1].seq,
            "state": row.state.value,
            "role": row.role.value,
            "of": row.of,
            "label": row.label,
            "params": dict(row.params),
            "config_hash": row.config_hash,
            "seeds": list(row.seeds),
            "step": row.step,
            "steps": row.steps,
            "value": row.value,
            "spread": row.spread,
            "values": with_text_seeds(row.values),
            "latest": _latest(row, metric),
            "decided": value_without_undecided(row, metric),
            "reward": _latest(row, "reward"),
            "cause": row.cause,
            "collapsed": {"shown": str(collapsed), "reasons": list(collapsed.reasons)},
            "incidents": dict(row.incidents),
            "wall_s": row.wall_s,
            "tokens_per_s": row.tokens_per_s,
            "left_s": self._log.seconds_left(row) if running else None,
        }


def _latest(row: TrialRow, metric: str) -> float | None:
    """Mean over the seeds of the last report; None unless all seeds have the metric."""
    values = [metrics[metric] for metrics in row.seed_metrics.values() if metric in metrics]
    complete = len(values) == len(row.seeds) > 0
    return statistics.fmean(values) if complete else None
