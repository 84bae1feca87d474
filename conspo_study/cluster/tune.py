"""Ray Tune as the engine of a study: it places trials and reports their results to the search."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler

from conspo_study.cluster.head import HEAD
from conspo_study.cluster.names import trial_driver
from conspo_study.cluster.own_ray import secrets_stay
from conspo_study.cluster.searcher import LoggedSearcher
from conspo_study.cluster.trial import run_trial
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.definition import StudyDefinition
from conspo_study.search import Search

_LONGEST = 300
"""Characters of what Ray says about a death."""


def run_search(
    search: Search,
    definition: StudyDefinition,
    results: Path,
    scratch: Path,
    room: Callable[[], int],
) -> None:
    """Run trials, at most `room()` at a time, until the search has no more to suggest.

    scratch: the folder of this machine for what Tune stores, which is pickled and never read.
    Ray must be initialised. Returns early on an interrupt (Ctrl-C), with unfinished trials open in
    the log. Raises OSError when the disk of a trial was full; that trial is open in the log, too.
    """
    if search.complete:
        return  # Tune cannot end without having had a trial
    searcher = LoggedSearcher(search, definition, results, room)
    driver = trial_driver(
        run_trial,
        lambda payload: TrialSpec(**payload).title,
        # The driver only waits for its workers, which need the CPUs. It requests a sliver of the
        # head node, since Ray refuses an empty request.
        {"CPU": 0, **HEAD},
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
            callbacks=[_Errors(searcher)],
        ),
    )
    # An interrupted study has trials that did not complete: no error.
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
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


class _Errors(tune.Callback):  # type: ignore[misc]
    """Tells the searcher what a trial died of, which Tune does not."""

    def __init__(self, searcher: LoggedSearcher):
        self._searcher = searcher

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Called right after the searcher's `on_trial_complete`."""
        lines: list[str] = []
        if trial.error_file:
            with suppress(OSError):
                lines = Path(trial.error_file).read_text("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self._searcher.died_of(trial.trial_id, last[:_LONGEST])

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune pickles its configuration; the searcher stays out of it."""
        return {}
