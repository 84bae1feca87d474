"""Data of figures about training: the trials to show, means and bands over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from analysis.figures.symbols import literal, trial_name
from analysis.findings.confirmation import confirmation_of
from analysis.findings.naming import describe
from analysis.findings.regimes import is_mapped
from analysis.findings.summary import reference_of
from analysis.findings.trial_settings import objective_settings
from analysis.load.study import StudyResults, StudyUnreadable
from conspo_study.records import TrialState
from conspo_study.results.names import CREDITS
from conspo_study.results.rows import read_credits
from conspo_study.results.table import TrialRow

MOST_CURVES = 10
MOST_STRATA = 8
"""More curves than this in one panel cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A trial to draw and what to call it."""

    trial: str
    name: str
    """Plain text, with the trial's id: for captions."""
    typeset: str
    """For legends and panels."""


def curves_to_show(study: StudyResults) -> list[Curve]:
    """The best trial, the baselines, its reference without a margin, other such trials. Of a study
    whose strata are confirmed, the best trial of each."""
    if chosen_ones := _best_of_strata(study):
        return chosen_ones
    best = study.best
    chosen: dict[str, str] = {}
    if best is not None:
        chosen[best.id] = "best: "
    for row in study.table.rows:
        if row.label and row.state is not TrialState.WAITING:
            chosen.setdefault(row.id, "")
    reference = reference_of(study, best) if best else None
    if reference is not None:
        chosen.setdefault(reference.id, "")
    without_margin = [
        row
        for row in study.table.rows
        if (row.state.has_result or row.state is TrialState.PRUNED)
        and objective_settings(study.configs.get(row.id, {}), row.params)["ratio"] == 0
    ]
    for row in sorted(without_margin, key=lambda row: row.id)[: max(0, 6 - len(chosen))]:
        chosen.setdefault(row.id, "")
    rows = {row.id: row for row in study.table.rows}
    return _told_apart(
        [
            curve_of(study, rows[trial], role, _stopped(rows[trial]))
            for trial, role in list(chosen.items())[:MOST_CURVES]
        ]
    )


def curve_of(study: StudyResults, row: TrialRow, role: str = "", note: str = "") -> Curve:
    """The curve of a trial; role and note come before and after its name."""
    return Curve(
        row.id, role + describe(study, row) + note, role + trial_name(study, row) + literal(note)
    )


def _told_apart(curves: list[Curve]) -> list[Curve]:
    """Curves whose typeset names are one another's get their ids as well."""
    counts = Counter(curve.typeset for curve in curves)
    return [
        replace(curve, typeset=f"{curve.trial}: {curve.typeset}")
        if counts[curve.typeset] > 1
        else curve
        for curve in curves
    ]


def _best_of_strata(study: StudyResults) -> list[Curve]:
    confirmation = confirmation_of(study) if is_mapped(study) else None
    best = [one.search for one in confirmation.trials if one.role == "best"] if confirmation else []
    return _told_apart([curve_of(study, row) for row in best[:MOST_STRATA]])


def bands(frame: pd.DataFrame, window: int = 1) -> pd.DataFrame:
    """trial, step, mean, sd, n over seeds, at the steps that all seeds of the trial have.

    frame: trial, seed, step, value. window: each seed's curve is first averaged over so many
    neighbouring recorded steps. sd has n - 1 degrees of freedom and is nan for n = 1.
    """
    parts = []
    for trial, group in frame.groupby("trial", sort=False):
        wide = group.pivot(index="step", columns="seed", values="value")
        if window > 1:
            wide = wide.rolling(window, center=True, min_periods=1).mean().where(wide.notna())
        wide = wide.dropna()
        part = pd.DataFrame({"mean": wide.mean(axis=1), "sd": wide.std(axis=1, ddof=1)})
        parts.append(part.assign(trial=trial, n=wide.shape[1]).reset_index())
    columns = ["trial", "step", "mean", "sd", "n"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def differences_to(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """trial, seed, step, value: minus the reference's at the same seed and step, where both have
    one; without the reference itself.

    frame: trial, seed, step, value.
    """
    keys = ["seed", "step"]
    subtracted = frame[frame["trial"] == reference].set_index(keys)["value"].rename("_reference")
    found = frame[frame["trial"] != reference].join(subtracted, on=keys, how="inner")
    return found.assign(value=found["value"] - found["_reference"]).drop(columns="_reference")


def smoothing(steps: pd.DataFrame) -> int:
    """The number of steps that a curve is averaged over: a twentieth of all, an odd number."""
    longest = int(steps["step"].max()) if len(steps) else 0
    return max(1, longest // 20) // 2 * 2 + 1


def credits_frame(study: StudyResults, trials: Iterable[str]) -> pd.DataFrame:
    """One row per rollout and optimiser step whose credit was stored: trial, seed, step and the
    fields of `CreditRow`; rows without a finite score or credit are left out.

    Raises StudyUnreadable naming a damaged line.
    """
    try:
        rows = [
            {**row, "trial": trial}
            for trial in trials
            for row in read_credits(study.trial_folder(trial) / CREDITS)
        ]
    except ValueError as error:
        raise StudyUnreadable(str(error)) from error
    if not rows:
        return pd.DataFrame(columns=["trial", "seed", "step", "correct", "score", "credit"])
    return pd.DataFrame(rows).dropna(subset=["score", "credit"]).reset_index(drop=True)


def cost_curves(study: StudyResults, evaluation: pd.DataFrame) -> pd.DataFrame:
    """Evaluations and their cost: trial, seed, step, value, group_size, rollouts, seconds.

    evaluation: trial, seed, step, value. rollouts: sampled so far, refills not counted. seconds:
    of training, evaluations not counted; nan where a step before has no times. Trials whose
    group size or prompts per step are not known are left out.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for trial in evaluation["trial"].unique():
        rollout = study.configs.get(trial, {}).get("rollout", {})
        size, prompts = rollout.get("group_size"), rollout.get("prompts_per_step")
        if isinstance(size, int) and isinstance(prompts, int):
            sizes[trial] = size, prompts
    known = evaluation[evaluation["trial"].isin(list(sizes))].copy()
    if known.empty:
        return known.assign(group_size=[], rollouts=[], seconds=[])
    known["group_size"] = [sizes[trial][0] for trial in known["trial"]]
    known["rollouts"] = [
        step * sizes[trial][0] * sizes[trial][1]
        for trial, step in zip(known["trial"], known["step"], strict=True)
    ]
    steps = study.steps_of(sizes)
    timed = steps.reindex(columns=["trial", "seed", "step", "tokens", "tokens_per_s"])
    spent = timed["tokens"].astype(float) / timed["tokens_per_s"].astype(float)
    timed = timed.assign(spent=spent).sort_values(["trial", "seed", "step"])
    timed["seconds"] = timed.groupby(["trial", "seed"])["spent"].cumsum(skipna=False)
    keys = ["trial", "seed", "step"]
    merged = known.merge(timed[[*keys, "seconds"]], on=keys, how="left")
    merged["seconds"] = merged["seconds"].astype(float).mask(merged["step"] == 0, 0.0)
    return merged


def _stopped(row: TrialRow) -> str:
    early = row.state in (TrialState.PRUNED, TrialState.FAILED)
    return f", {row.state} at step {row.step}" if early else ""
