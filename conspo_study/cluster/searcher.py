"""The searcher that Ray Tune asks: it hands out our suggestions and logs what becomes of them.

A resumed study reads the results log alone, nothing that Ray Tune stores.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from conspo_study.cluster.failures import DISK_FULL
from conspo_study.cluster.head import head_answers
from conspo_study.cluster.outlet import STEP
from conspo_study.cluster.reports import checked_report, collapses, reported_incidents
from conspo_study.cluster.restarts import Restarts
from conspo_study.cluster.trial import DETAILS, FAILURE, MACHINE
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.definition import StudyDefinition
from conspo_study.definition.foreign_code import imports_of
from conspo_study.files import make_folders, write_atomic, write_json_atomic
from conspo_study.processes import interrupts
from conspo_study.records import Collapse, EventKind, written_bar
from conspo_study.results import names
from conspo_study.results.incidents import (
    Incident,
    IncidentType,
    append_incident,
    read_incidents,
)
from conspo_study.results.trial_row import settings_of
from conspo_study.search import WAIT, Search, Suggestion, mean_value


@dataclass(slots=True)
class _Running:
    """A trial in progress."""

    suggestion: Suggestion
    started: float
    step: int = -1
    """Of its latest report."""
    seeds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The metrics by seed of its latest report, unchecked."""
    collapsed: Mapping[str, Collapse] = field(default_factory=dict)
    """The seeds that have collapsed, by its latest report."""
    failure: str = ""
    """The whole cause."""
    details: str = ""
    """The traceback."""
    machine: bool = False
    """Whether the failure is the machine's, so that the trial may be tried again."""
    death: str = ""
    """What Ray says of the death of the process that drives the trial."""

    @property
    def at_an_end(self) -> bool:
        """Whether it has reported its last step, a rung, or one where a bar may stop it."""
        ends = (self.suggestion.config.train.steps, self.suggestion.until)
        return self.step in self.suggestion.bars or self.step in ends


class LoggedSearcher(Searcher):  # type: ignore[misc]
    """Hands our suggestions to Ray Tune and its trials' reports to our log.

    A malformed report ends its trial as FAILED. No trial raises an error here, where it would end
    the study.
    """

    def __init__(
        self,
        search: Search,
        definition: StudyDefinition,
        results: Path,
        room: Callable[[], int],
        answers: Callable[[Callable[[], bool]], bool] = head_answers,
    ):
        """room: the number of trials that may run at once, now."""
        super().__init__()
        self._head_answers = answers
        self.search = search
        self.definition = definition
        self.results = results
        self._room = room
        self.out_of_space: OSError | None = None
        """Set when a trial found its disk full, which stops the study."""
        self._running: dict[str, _Running] = {}
        """By Tune's trial id."""
        self._unexplained: dict[str, _Running] = {}
        """Trials that ended without a cause, by Tune's id."""
        self._restarts: dict[str, Restarts] = {}
        """By trial."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's payload, None while there is none, FINISHED when there will be none."""
        self._start_again()
        if self._unexplained or self.out_of_space or len(self._running) >= self._room():
            return None
        suggestion = self.search.suggest()
        if suggestion is WAIT:
            assert self._running, "the search waits for a trial, and none is running"
            return None
        if suggestion is None:
            # Tune asks no more after FINISHED, and what still runs may have to be started again.
            finished: str = Searcher.FINISHED
            return None if self._running else finished
        spec = TrialSpec(
            study=self.definition.name,
            trial=suggestion.trial,
            config=suggestion.config.model_dump(mode="json"),
            seeds=suggestion.seeds,
            metric=self.definition.metric,
            direction=self.definition.direction,
            bars={str(step): written_bar(bar) for step, bar in suggestion.bars.items()},
            results=str(self.results),
            started_in=str(Path.cwd()),
            imports=imports_of(self.definition),
            label=suggestion.label,
            confirms=bool(suggestion.of),
            also=tuple(aim.metric for aim in self.definition.also),
            races=bool(self.definition.looks),
            until=suggestion.until,
            settings=settings_of(self.search.log.table.row(suggestion.trial)),
        )
        make_folders(spec.folder, names.INNER)
        write_json_atomic(
            spec.folder / names.CONFIG,
            {"label": suggestion.label, "seeds": list(spec.seeds), "config": spec.config},
            names.INNER,
        )
        self._running[trial_id] = _Running(suggestion, time.monotonic())
        self.search.started(suggestion.trial)
        return spec.payload()

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Log a progress report and the failures that the trial recovered from; a report of the
        trial's failure is kept for its ending."""
        running = self._running[trial_id]
        trial = running.suggestion.trial
        try:
            incidents = reported_incidents(result)
            report = None if FAILURE in result else checked_report(result, running.suggestion)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            running.failure = f"a malformed report: {type(error).__name__}: {error}"
            return
        if incidents:
            self.search.incidents(trial, incidents)
        if report is None:
            running.failure = str(result[FAILURE])
            running.details = str(result.get(DETAILS, ""))
            running.machine = bool(result.get(MACHINE))
        elif report.step > running.step:
            # Tune repeats the last report at the end, workers repeat steps after a restart.
            running.step, running.seeds = report.step, report.seeds
            running.collapsed = report.collapsed
            self.search.reported(trial, report.data())

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Log how the trial ended: finished, collapsed, stopped at a bar, or failed and why. The
        end of one that names no cause is kept until it is known whether the machine is there."""
        if result and (FAILURE in result or STEP in result):
            self.on_trial_result(trial_id, result)
        running = self._running.pop(trial_id)
        if running.failure.startswith(DISK_FULL):
            # The trial is not at fault, and the next one would fail alike: it stays open.
            trial = running.suggestion.trial
            self.out_of_space = OSError(errno.ENOSPC, running.failure, trial)
            interrupts.stop()
        elif running.failure or (running.at_an_end and not error):
            self._log_ending(running)
        else:
            self._unexplained[trial_id] = running

    def died_of(self, trial_id: str, what: str) -> None:
        """Take note of what Ray says about a trial that ended with an error."""
        if trial_id in self._unexplained:
            self._unexplained[trial_id].death = what

    def _start_again(self) -> None:
        """Have trials that ended without a cause suggested once more, or fail those for which that
        has been in vain. When the head is gone, or the study stops, they stay open."""
        while self._unexplained and self._head_answers(interrupts.stopping):
            running = self._unexplained.pop(next(iter(self._unexplained)))
            trial, step = running.suggestion.trial, running.step
            restarts = self._restarts.setdefault(trial, Restarts())
            what = running.death or "its process ended without a result"
            if restarts.allowed(step):
                folder = names.trial_folder(self.results, trial)
                append_incident(folder, Incident(IncidentType.TRIAL_RESTARTED, what))
                self.search.incidents(trial, read_incidents(folder))
                self.search.again(trial)
            else:
                often = f"{restarts.deaths} times at step {max(0, step)}"
                running.failure = f"the trial's driver died {often}: {what}"
                running.machine = True
                self._log_ending(running)

    def _log_ending(self, running: _Running) -> None:
        trial = running.suggestion.trial
        data = {
            "step": max(0, running.step),
            "wall_s": round(time.monotonic() - running.started, 2),
        }
        try:
            kind, values = self._ending(running)
        except ValueError as problem:
            self._write_failure(trial, str(problem), running.details)
            failure = {"cause": str(problem), "machine": running.machine}
            self.search.ended(trial, EventKind.FAILED, data | failure)
            return
        self.search.ended(trial, kind, {**data, **values})

    def _write_failure(self, trial: str, cause: str, details: str) -> None:
        text = f"{cause}\n\n{details}".rstrip() + "\n"
        folder = names.trial_folder(self.results, trial)
        with suppress(OSError):  # the log has the cause
            make_folders(folder, names.INNER)
            content = text.encode("utf-8", "backslashreplace")
            write_atomic(folder / names.FAILURE, content, names.INNER)

    def _ending(self, running: _Running) -> tuple[EventKind, dict[str, Any]]:
        """The kind of ending with its values. Raises ValueError with the cause of a failure."""
        if running.failure:
            raise ValueError(running.failure)
        suggestion = running.suggestion
        value, values = mean_value(running.seeds, self.definition.metric, suggestion.seeds)
        also = {
            aim.metric: mean_value(running.seeds, aim.metric, suggestion.seeds)[1]
            for aim in self.definition.also
        }
        whole = running.step == suggestion.config.train.steps
        if whole and len(running.collapsed) == len(suggestion.seeds):
            kind = EventKind.COLLAPSED
        elif whole:
            kind = EventKind.FINISHED
        elif running.step == suggestion.until:
            kind = EventKind.PAUSED
        else:
            kind = EventKind.PRUNED
        ended = {"value": value, "values": values, **({"also": also} if also else {})}
        return kind, ended | collapses(running.collapsed)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the log is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Refused: a search is rebuilt from the results log, never from a pickle."""
        raise RuntimeError("a study resumes from its results log, not from Ray Tune's state")

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save: the log is the state."""

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune pickles its configuration, this object included; ours stays out of it."""
        return {}
