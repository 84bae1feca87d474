"""Data of figures about a search: settings against values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.frames import WITH_RESULT, trials_frame
from analysis.findings.trial_settings import other_params, other_settings
from analysis.load.study import StudyResults

OBJECTIVE_SETTINGS = ("objective", "tau", "ratio", "schedule", "alpha")
FEWEST_TRIALS = 8
"""With fewer, a share of the variance says nothing."""
MOST_GROUPS = 3
"""Groups of trials with equal settings beside their objective's that figures tell apart."""
_SHUFFLES = 500
_BINS = 4
_ABSENT = "absent"


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
    """The share of the variance between trials that each setting accounts for by itself.

    setting, share (one-way eta squared of the mean over seeds), chance (its 95 % quantile when the
    values are shuffled among the trials), groups. Numbers with more than four values are put into
    quartiles; "absent" is a value of its own. Largest share first; empty with fewer than
    `FEWEST_TRIALS` usable trials. Interactions are not included, and a sampler that prefers some
    region makes settings look alike that were varied together.
    """
    usable = frame[frame["usable"]]
    values = usable["value"].to_numpy(dtype=float)
    columns = ["setting", "share", "chance", "groups"]
    if len(values) < FEWEST_TRIALS or np.ptp(values) == 0:
        return pd.DataFrame(columns=columns)
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(values) for _ in range(_SHUFFLES)])
    records = []
    for name in settings:
        codes = _groups(usable[name])
        count = int(codes.max()) + 1
        # As many groups as trials explain everything, whatever the values.
        if 1 < count <= len(values) // 2:
            chance = float(np.quantile(_eta_squared(shuffled, codes), 0.95))
            records.append((name, float(_eta_squared(values[None], codes)[0]), chance, count))
    found = pd.DataFrame(records, columns=columns)
    return found.sort_values("share", ascending=False, ignore_index=True)


def _distinct(values: pd.Series[Any]) -> int:
    return int(values.nunique(dropna=False))


def _groups(values: pd.Series[Any]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """A code per trial: of its value, or of the quartile of many numbers."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum() and numbers.nunique() > _BINS:
        values = pd.qcut(numbers, _BINS, duplicates="drop").astype(str)
    shown = values.astype(object).where(values.notna(), _ABSENT).astype(str)
    return np.asarray(pd.factorize(shown)[0], dtype=np.intp)


def _eta_squared(
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    codes: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[rows, trials] -> [rows]: variance between the groups over the whole variance."""
    centred = values - values.mean(axis=1, keepdims=True)
    member = np.eye(int(codes.max()) + 1)[codes]
    between = ((centred @ member) ** 2 / member.sum(axis=0)).sum(axis=1)
    return np.asarray(between / (centred**2).sum(axis=1))
