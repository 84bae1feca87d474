"""A few steps of a study on this machine, to plan with what they take."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from conspo_study.config import ConfigError, with_overrides
from conspo_study.forecast.measured import Measured
from conspo_study.records import StudyError
from conspo_study.results.folder import read_table
from conspo_study.results.names import STEPS, trial_folder
from conspo_study.results.rows import read_steps
from conspo_study.results.table import TrialRow
from conspo_study.study.study import Study
from conspo_study.terminal.console import Console
from conspo_study.text import counted

_EVALUATION = "time/evaluate_s"


def probe(
    study: Study, steps: int, results_root: Path, gpu_memory: float | None, console: Console
) -> Measured:
    """Run the first trial of the study with one seed for so many steps, evaluated before and after
    them, in a folder of `results_root` that is removed again.

    Raises StudyError when it cannot run or does not finish, with its cause, and when too few steps
    updated anything.
    """
    try:
        base = with_overrides(study.base, {"train.steps": steps, "evaluation.every": steps})
    except ConfigError as error:
        raise StudyError(f"a probe of {steps} steps: {error}") from error
    first = {
        "base": base,
        "anchors": study.anchors[:1],
        "trials": 1,
        "seeds": study.seeds[:1],
        "confirm": None,
        "early_stopping": None,
    }
    results_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="probe-", dir=results_root) as place:
        folder = Path(place) / study.name
        study.model_copy(update=first).run_in(folder, gpu_memory=gpu_memory, console=console)
        (row,) = read_table(folder).rows
        if row.cause or not row.values:
            raise StudyError(f"the probe did not finish: {row.cause or 'it was interrupted'}")
        return _measured(row, read_steps(trial_folder(folder, row.id) / STEPS))


def _measured(row: TrialRow, steps: list[dict[str, float]]) -> Measured:
    spent = [sum(v for name, v in step.items() if name.startswith("time/")) for step in steps]
    # A step whose groups are all right or all wrong updates nothing, and costs less.
    whole = [number for number, step in enumerate(steps) if "peak_memory_gib" in step]
    if len(whole) < 2:
        raise StudyError(
            f"{counted(len(whole), 'step')} of {len(steps)} had a group with right and wrong "
            "answers, and the first such step is not measured: probe more steps"
        )
    (metrics,) = row.seed_metrics.values()
    evaluation = metrics[_EVALUATION]
    return Measured(
        steps=len(steps),
        step_s=statistics.median(spent[number] for number in whole[1:]),
        evaluation_s=evaluation,
        start_s=max(0.0, (row.wall_s or 0.0) - sum(spent) - 2 * evaluation),
        peak_gib=max(steps[number]["peak_memory_gib"] for number in whole),
    )
