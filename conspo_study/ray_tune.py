"""Ray Tune as the engine of a study: places trials, stops weak ones, and tells our search.

Nothing that Ray Tune stores is read back; the results log holds all that a resumed study needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from conspo_study.definition import StudyDefinition
from conspo_study.ray_train import FAILURE, SCORE, STEP, TrialSpec, payload_of, run_trial
from conspo_study.records import EventKind
from conspo_study.results.snapshot import write_json_atomic
from conspo_study.search import Search, Suggestion, mean_value

OnSuggestion = Callable[[Suggestion], None]


def run_search(search: Search, definition: StudyDefinition, results: Path, concurrent: int) -> None:
    """Run trials, `concurrent` at a time, until the search has no more to suggest.

    Ray must be initialised. Returns early on an interrupt (Ctrl-C), with unfinished trials open in
    the log.
    """
    searcher = LoggedSearcher(search, definition, results, concurrent)
    driver = tune.with_resources(
        # The driver only waits for its workers. It takes no CPU, which they need, and a sliver of
        # the head node, since an entirely empty request is refused.
        run_trial,
        {"CPU": 0, "node:__internal_head__": 0.001},
    )
    tune.Tuner(
        driver,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=_scheduler(definition),
            num_samples=-1,
            trial_name_creator=lambda trial: trial.config["trial"],
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(results / "ray"), verbose=0),
    ).fit()


class LoggedSearcher(Searcher):  # type: ignore[misc]
    """Hands our suggestions to Ray Tune and its trials' reports to our log."""

    def __init__(self, search: Search, definition: StudyDefinition, results: Path, concurrent: int):
        super().__init__(metric=SCORE, mode=definition.direction)
        self.search = search
        self.definition = definition
        self.results = results
        self.concurrent = concurrent
        self._running: dict[str, tuple[str, float]] = {}
        """Tune's trial id -> ours, and when it started."""
        self._last: dict[str, Mapping[str, Any]] = {}
        """Our trial id -> its latest report."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's payload, None when all slots are busy, FINISHED when there is none."""
        if len(self._running) >= self.concurrent:
            return None
        suggestion = self.search.suggest()
        if suggestion is None:
            finished: str = Searcher.FINISHED
            return finished
        spec = TrialSpec(
            study=self.definition.name,
            trial=suggestion.trial,
            config=suggestion.config.model_dump(mode="json"),
            seeds=self.definition.seeds,
            metric=self.definition.metric,
            anchor=bool(suggestion.label),
            results=str(self.results),
        )
        spec.folder.mkdir(parents=True, exist_ok=True)
        write_json_atomic(
            spec.folder / "config.json",
            {"label": suggestion.label, "seeds": list(spec.seeds), "config": spec.config},
        )
        self._running[trial_id] = (suggestion.trial, time.monotonic())
        self.search.started(suggestion.trial)
        return payload_of(spec)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Log a progress report; a report that carries a failure is kept for the ending."""
        trial, _ = self._running[trial_id]
        known = self._last.get(trial, {})
        if FAILURE in result:
            self._last[trial] = {**known, FAILURE: result[FAILURE]}
            return
        if result[STEP] <= known.get(STEP, -1):
            return  # Tune repeats the last report at the end, workers after a restart
        report = {
            STEP: result[STEP],
            "steps": result["steps"],
            "seeds": json.loads(result["seeds"]),
        }
        self._last[trial] = report
        self.search.reported(trial, {**report, "tokens_per_s": _tokens_per_s(report["seeds"])})

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Log how the trial ended: finished, stopped early, or failed and why."""
        if result and (FAILURE in result or STEP in result):
            self.on_trial_result(trial_id, result)  # the report that a stopped trial was stopped at
        trial, started = self._running.pop(trial_id)
        last = self._last.pop(trial, {})
        data: dict[str, Any] = {
            "step": last.get(STEP, 0),
            "wall_s": round(time.monotonic() - started, 2),
        }
        if FAILURE in last or error or STEP not in last:
            cause = last.get(FAILURE) or "the trial's processes died without a report"
            self.search.ended(trial, EventKind.FAILED, {**data, "cause": cause})
            return
        try:
            value, values = mean_value(last["seeds"], self.definition.metric)
        except ValueError as problem:
            self.search.ended(trial, EventKind.FAILED, {**data, "cause": str(problem)})
            return
        kind = EventKind.FINISHED if last[STEP] == last["steps"] else EventKind.PRUNED
        self.search.ended(trial, kind, {**data, "value": value, "values": values})

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


class PoliteASHA(ASHAScheduler):  # type: ignore[misc]
    """Successive halving that asks a trial to stop, and never asks an anchor.

    Tune stops a trial by killing its driver. A controller that sees its worker die before it dies
    itself starts a new one, whose placement group nobody removes: after a few such trials no CPU is
    left. A trial that ends by itself frees everything.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's hook; always CONTINUE."""
        decision = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP and not trial.config["anchor"]:
            TrialSpec(**trial.config).stop_file.touch()
        return str(TrialScheduler.CONTINUE)


def _scheduler(definition: StudyDefinition) -> TrialScheduler:
    rule = definition.early_stopping
    if rule is None:
        return FIFOScheduler()
    steps = definition.base.train.steps
    return PoliteASHA(
        time_attr=STEP,
        metric=SCORE,
        mode=definition.direction,
        # Tune stops a trial that reports max_t, which would cut off what follows its last report.
        max_t=steps + 1,
        grace_period=max(1, round(rule.min_fraction * steps)),
        reduction_factor=rule.reduction_factor,
    )


def _tokens_per_s(seeds: Mapping[str, Mapping[str, Any]]) -> float | None:
    rates = [metrics["tokens_per_s"] for metrics in seeds.values() if "tokens_per_s" in metrics]
    return sum(rates) / len(rates) if rates else None
