"""Data of the figure of margin and temperature: trials with intervals, and their differences to
training without a margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.final_scores import final_scores, score_interval
from analysis.findings.frames import WITH_RESULT
from analysis.findings.metric_difference import metric_difference
from analysis.load.study import StudyResults
from analysis.statistics.intervals import FEWEST_SEEDS, mean_interval
from analysis.statistics.scores import Scores
from conspo_study.results.table import TrialRow

_MEASURED = (
    *("value", "low", "high", "over_problems", "by_seed"),
    *("reference", "difference", "difference_low", "difference_high", "difference_by_seed"),
)


@dataclass(frozen=True, slots=True)
class MarginPanel:
    """The trials of one temperature that share their settings beside the objective's."""

    tau: float
    other: str
    """These settings as text, as `frames.margin_points` has them; empty where none varies."""
    trials: pd.DataFrame
    """A row per trial, see `margin_trials`."""


def margin_trials(study: StudyResults, points: pd.DataFrame) -> pd.DataFrame:
    """One row per trial of `points`, with its mean and its difference to training without a margin.

    points: of `frames.margin_points`. Columns: its own but seed and value; value (mean over seeds),
    low and high (95 % interval, nan without one), over_problems (whether it is over problems, too),
    by_seed (a list); reference (the finished trial without a margin at the same tau and other
    settings, "" without one and for that trial itself), difference, difference_low,
    difference_high, difference_by_seed. A pruned trial has none of these.

    Intervals are those of the tables: over seeds and problems where responses are stored; else
    Student's over at least `FEWEST_SEEDS` seeds. Raises StudyUnreadable naming a damaged file.
    """
    keys = ["trial", "label", "state", "step", "tau", "ratio", "schedule", "other", "complete"]
    trials = points.drop_duplicates("trial")[keys].reset_index(drop=True)
    ended = trials["state"].isin(WITH_RESULT)
    without = trials[ended & trials["complete"] & (trials["ratio"] == 0)]
    references = without.drop_duplicates(["tau", "other"]).set_index(["tau", "other"])["trial"]
    scores: dict[str, Scores | None] = {
        trial: final_scores(study, study.table.row(trial)) for trial in trials["trial"][ended]
    }
    records = []
    for trial, tau, other, has_value in zip(
        *(trials[name] for name in ("trial", "tau", "other")), ended, strict=True
    ):
        found = str(references.get((tau, other), ""))
        reference = "" if found == trial else found
        row = study.table.row(trial)
        record: dict[str, object] = {"reference": "", "over_problems": False}
        record |= _own(row, scores[trial]) if has_value else {}
        if has_value and reference:
            record |= _difference(row, study.table.row(reference), scores) | {
                "reference": reference
            }
        records.append(record)
    return trials.join(pd.DataFrame(records, columns=list(_MEASURED), index=trials.index))


def margin_panels(trials: pd.DataFrame) -> list[MarginPanel]:
    """A panel for every temperature of every group, largest group first."""
    return [
        MarginPanel(float(tau), str(other), own)
        for other in trials["other"].value_counts().index
        for tau, own in trials[trials["other"] == other].groupby("tau")
    ]


def _own(row: TrialRow, scores: Scores | None) -> dict[str, object]:
    values = list(row.values.values())
    over_problems = score_interval(scores)
    found = over_problems or (mean_interval(values) if len(values) >= FEWEST_SEEDS else None)
    return {
        "value": float(np.mean(values)),
        "low": found.low if found else np.nan,
        "high": found.high if found else np.nan,
        "over_problems": over_problems is not None,
        "by_seed": values,
    }


def _difference(
    row: TrialRow, reference: TrialRow, scores: Mapping[str, Scores | None]
) -> dict[str, object]:
    pair = scores[row.id], scores[reference.id]
    found = metric_difference(row.values, reference.values, pair)
    if found is None:
        return {}
    enough = found.problems or len(found.by_seed) >= FEWEST_SEEDS
    low, high = found.contrast.interval() if found.contrast and enough else (np.nan, np.nan)
    return {
        "difference": found.value,
        "difference_low": low,
        "difference_high": high,
        "difference_by_seed": list(found.by_seed.values()),
    }
