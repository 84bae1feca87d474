"""Data of figures about a search: settings against values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

import pandas as pd

from analysis.findings.frames import WITH_RESULT, trials_frame
from analysis.findings.trial_settings import other_params, other_settings
from analysis.load.study import StudyResults
from conspo_study.statistics.importance import Importance
from conspo_study.statistics.importance import importance as of_values

OBJECTIVE_SETTINGS = ("objective", "tau", "ratio", "schedule", "alpha")
MOST_GROUPS = 3
"""Groups of trials with equal settings beside their objective's that figures tell apart."""


def search_frame(study: StudyResults) -> tuple[pd.DataFrame, list[str]]:
    """The trials in the order of the search, and the settings that vary between them.

    Columns: those of `trials_frame`; number (0, 1, ...), margin (M = ratio x tau), usable (finished
    with all seeds). A setting that a trial does not use is None.
    """
    frame = trials_frame(study)
    number = {row.id: index for index, row in enumerate(study.table.rows)}
    frame = frame.assign(number=frame["trial"].map(number)).sort_values("number")
    tau = pd.to_numeric(frame["tau"], errors="coerce")
    frame["margin"] = pd.to_numeric(frame["ratio"], errors="coerce") * tau
    finished = frame["state"].isin(WITH_RESULT)
    frame["usable"] = finished & (frame["n"] == frame["seeds"])
    known = (*OBJECTIVE_SETTINGS, *other_params(study))
    settings = [name for name in known if _distinct(frame[name]) > 1]
    return frame.reset_index(drop=True), settings


def most_alike(study: StudyResults, frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The trials of the largest group that shares all settings but the objective's, and these as
    text: where a study has a few such groups, as at two learning rates, one figure must not mix
    them. All trials, and no text, where a search varies other settings from trial to trial.
    """
    others = {row.id: other_settings(study, row) for row in study.table.rows}
    group = frame["trial"].map(others)
    sizes = group[frame["usable"]].value_counts(sort=False)  # the first of equal ones
    if not 1 < len(sizes) <= MOST_GROUPS:
        return frame, ""
    largest = str(sizes.idxmax())
    other = int(sizes.sum() - sizes.max())
    at = f"at {largest}" if largest else "without other settings"
    return frame[group == largest], f" Trials {at}; {other} others are left out."


def importance(frame: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """The share of the variance between usable trials that each setting accounts for, the largest
    first; columns and rules are those of `conspo_study.statistics.importance`."""
    usable = frame[frame["usable"]]
    chosen = {
        name: [None if pd.isna(value) else value for value in usable[name]] for name in settings
    }
    found = of_values(usable["value"].to_list(), chosen)
    names = [field.name for field in fields(Importance)]
    return pd.DataFrame([astuple(one) for one in found], columns=names)


def _distinct(values: pd.Series[Any]) -> int:
    return int(values.nunique(dropna=False))
