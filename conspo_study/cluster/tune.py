"""Ray Tune as the engine of a study: it places trials and reports their results to the search.

A resumed study reads the results log alone, nothing that Ray Tune stores.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from conspo_study.cluster.failures import DISK_FULL
from conspo_study.cluster.names import trial_driver
from conspo_study.cluster.outlet import INCIDENTS, STEP
from conspo_study.cluster.own_ray import secrets_stay
from conspo_study.cluster.trial import DETAILS, FAILURE, run_trial
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.definition import StudyDefinition
from conspo_study.definition.foreign_code import imports_of
from conspo_study.files import finite, write_atomic, write_json_atomic
from conspo_study.processes import interrupts
from conspo_study.records import EventKind, is_number
from conspo_study.results import names
from conspo_study.results.table import settings_of
from conspo_study.search import WAIT, Search, Suggestion, mean_value


def run_search(
    search: Search, definition: StudyDefinition, results: Path, scratch: Path, concurrent: int
) -> None:
    """Run trials, `concurrent` at a time, until the search has no more to suggest.

    scratch: the folder of this machine for what Tune stores, which is pickled and never read.
    Ray must be initialised. Returns early on an interrupt (Ctrl-C), with unfinished trials open in
    the log. Raises OSError when the disk of a trial was full; that trial is open in the log, too.
    """
    if search.complete:
        return  # Tune cannot end without having had a trial
    searcher = LoggedSearcher(search, definition, results, concurrent)
    driver = trial_driver(
        run_trial,
        lambda payload: TrialSpec(**payload).title,
        # The driver only waits for its workers, which need the CPUs. It requests a sliver of the
        # head node, since Ray refuses an empty request.
        {"CPU": 0, "node:__internal_head__": 0.001},
    )
    tuner = tune.Tuner(
        driver,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            # Trials stop themselves, at their bars.
            scheduler=FIFOScheduler(),
            num_samples=-1,
            trial_name_creator=lambda trial: trial.config["trial"],
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            progress_reporter=_Silent(),
        ),
    )
    with secrets_stay():
        tuner.fit()
    if searcher.out_of_space is not None:
        raise searcher.out_of_space


class _Silent(tune.ProgressReporter):  # type: ignore[misc]
    """Reports nothing. Tune's own reporter for notebooks clears what a cell has shown."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        """Nothing."""


@dataclass(slots=True)
class _Running:
    """A trial in progress."""

    suggestion: Suggestion
    started: float
    step: int = -1
    """Of its latest report."""
    seeds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The metrics by seed of its latest report, unchecked."""
    failure: str = ""
    """The whole cause."""
    details: str = ""
    """The traceback."""


class LoggedSearcher(Searcher):  # type: ignore[misc]
    """Hands our suggestions to Ray Tune and its trials' reports to our log.

    A malformed report ends its trial as FAILED. No trial raises an error here, where it would end
    the study.
    """

    def __init__(self, search: Search, definition: StudyDefinition, results: Path, concurrent: int):
        super().__init__()
        self.search = search
        self.definition = definition
        self.results = results
        self.concurrent = concurrent
        self.out_of_space: OSError | None = None
        """Set when a trial found its disk full, which stops the study."""
        self._running: dict[str, _Running] = {}
        """By Tune's trial id."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's payload, None while there is none, FINISHED when there will be none."""
        if len(self._running) >= self.concurrent or self.out_of_space is not None:
            return None
        suggestion = self.search.suggest()
        if suggestion is WAIT:
            assert self._running, "the search waits for a trial, and none is running"
            return None
        if suggestion is None:
            finished: str = Searcher.FINISHED
            return finished
        spec = TrialSpec(
            study=self.definition.name,
            trial=suggestion.trial,
            config=suggestion.config.model_dump(mode="json"),
            seeds=suggestion.seeds,
            metric=self.definition.metric,
            direction=self.definition.direction,
            bars={str(step): bar for step, bar in suggestion.bars.items()},
            results=str(self.results),
            started_in=str(Path.cwd()),
            imports=imports_of(self.definition),
            settings=settings_of(self.search.log.table.row(suggestion.trial)),
        )
        spec.folder.mkdir(parents=True, exist_ok=True)
        write_json_atomic(
            spec.folder / names.CONFIG,
            {"label": suggestion.label, "seeds": list(spec.seeds), "config": spec.config},
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
            incidents = _incidents(result)
            report = None if FAILURE in result else _report(result, running.suggestion)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            running.failure = f"a malformed report: {type(error).__name__}: {error}"
            return
        if incidents:
            self.search.incidents(trial, incidents)
        if report is None:
            running.failure = str(result[FAILURE])
            running.details = str(result.get(DETAILS, ""))
        elif report.step > running.step:
            # Tune repeats the last report at the end, workers repeat steps after a restart.
            running.step, running.seeds = report.step, report.seeds
            self.search.reported(trial, report.data())

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Log how the trial ended: finished, stopped at a bar, or failed and why."""
        if result and (FAILURE in result or STEP in result):
            self.on_trial_result(trial_id, result)
        running = self._running.pop(trial_id)
        trial = running.suggestion.trial
        data = {
            "step": max(0, running.step),
            "wall_s": round(time.monotonic() - running.started, 2),
        }
        if running.failure.startswith(DISK_FULL):
            # The trial is not at fault, and the next one would fail alike: it stays open.
            self.out_of_space = OSError(errno.ENOSPC, running.failure, trial)
            interrupts.stop()
            return
        try:
            kind, values = self._ending(running, error)
        except ValueError as problem:
            self._write_failure(trial, str(problem), running.details)
            self.search.ended(trial, EventKind.FAILED, {**data, "cause": str(problem)})
            return
        self.search.ended(trial, kind, {**data, **values})

    def _write_failure(self, trial: str, cause: str, details: str) -> None:
        text = f"{cause}\n\n{details}".rstrip() + "\n"
        folder = names.trial_folder(self.results, trial)
        with suppress(OSError):  # the log has the cause
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / names.FAILURE, text.encode("utf-8", "backslashreplace"))

    def _ending(self, running: _Running, error: bool) -> tuple[EventKind, dict[str, Any]]:
        """The kind of ending with its values. Raises ValueError with the cause of a failure."""
        suggestion, step = running.suggestion, running.step
        steps = suggestion.config.train.steps
        if running.failure:
            raise ValueError(running.failure)
        if step < 0:
            raise ValueError("the trial's processes died without a report")
        if error:
            raise ValueError(f"the trial's processes died after step {step}")
        if step < steps and step not in suggestion.bars:
            raise ValueError(f"the trial ended after step {step} of {steps}, where no bar stops it")
        value, values = mean_value(running.seeds, self.definition.metric, suggestion.seeds)
        also = {
            aim.metric: mean_value(running.seeds, aim.metric, suggestion.seeds)[1]
            for aim in self.definition.also
        }
        kind = EventKind.FINISHED if step == steps else EventKind.PRUNED
        return kind, {"value": value, "values": values, **({"also": also} if also else {})}

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


@dataclass(frozen=True, slots=True)
class _Report:
    """A checked progress report."""

    step: int
    steps: int
    seeds: Mapping[str, Mapping[str, Any]]
    """The metrics by seed."""

    def data(self) -> dict[str, Any]:
        """The report for the log, which is strict JSON: non-finite numbers become null."""
        rates = [metrics.get("tokens_per_s") for metrics in self.seeds.values()]
        known = [rate for rate in rates if is_number(rate)]
        return {
            "step": self.step,
            "steps": self.steps,
            "seeds": finite(self.seeds),
            "tokens_per_s": sum(known) / len(known) if known else None,
        }


def _report(result: Mapping[str, Any], suggestion: Suggestion) -> _Report:
    """Check a result. Raises ValueError, TypeError, KeyError or AttributeError if malformed."""
    step, steps, seeds = result[STEP], result["steps"], json.loads(result["seeds"])
    if steps != suggestion.config.train.steps or step not in range(steps + 1):
        raise ValueError(f"step {step!r} of {steps!r}")
    unknown = seeds.keys() - set(map(str, suggestion.seeds))
    if unknown or not all(isinstance(metrics, dict) for metrics in seeds.values()):
        raise ValueError(f"metrics of the seeds {', '.join(seeds)}")
    return _Report(step, steps, seeds)


def _incidents(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The failures that the trial recovered from over its life. Raises as `_report`."""
    return [
        {
            "type": str(incident["type"]),
            "count": int(incident["count"]),
            "detail": str(incident["detail"]),
        }
        for incident in json.loads(result.get(INCIDENTS, "[]"))
    ]
