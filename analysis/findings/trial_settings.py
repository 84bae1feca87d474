"""The settings of a trial as tables, figures and sentences show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.load.study import StudyResults
from conspo_study.records import is_number
from conspo_study.results.table import TrialRow
from conspo_study.text import setting_text

NO_MARGIN = "no margin"
"""The schedule of a trial without a margin, in frames and figures."""

STEPS = ("update.mini_batches", "update.epochs_per_batch")
"""Settings whose product is E, the number of optimiser steps per rollout batch."""

_OBJECTIVE = ("name", "tau", "margin", "margin_unit", "schedule", "alpha")


def objective_settings(config: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """objective, tau, ratio (M/tau), schedule and alpha of a trial; None where unknown.

    config: the full configuration. params: used for a trial that never started. Without a margin
    (schedule `off`, or M = 0) ratio is 0 and there is no schedule; a margin that is absent or
    constant has no alpha. Options of these names that are not numbers, as a custom objective may
    have them, are text, and then there is no ratio.
    """
    prefix = "objective."
    given = {path.removeprefix(prefix): v for path, v in params.items() if path.startswith(prefix)}
    options = {**given, **config.get("objective", {})}
    tau, margin, unit = (options.get(key) for key in ("tau", "margin", "margin_unit"))
    schedule, alpha = options.get("schedule"), options.get("alpha")
    ratio = None
    if tau is None or is_number(tau):
        if schedule == "off" or (is_number(margin) and margin == 0):
            ratio, schedule, alpha = 0.0, None, None
        elif is_number(margin) and unit == "tau":
            ratio = float(margin)
        elif is_number(margin) and unit == "score" and tau:
            ratio = float(f"{margin / tau:.12g}")  # 0.3 / 0.1 and 3 / 1 are one value
    if schedule == "constant":
        alpha = None
    return {
        "objective": _plain(options.get("name")),
        "tau": _plain(tau),
        "ratio": ratio,
        "schedule": _plain(schedule),
        "alpha": _plain(alpha),
    }


def other_params(study: StudyResults) -> list[str]:
    """Dotted settings that vary between trials, without those in `objective_settings`."""
    if "other_params" not in study.derived:
        study.derived["other_params"] = _other_params(study)
    return list(study.derived["other_params"])


def _other_params(study: StudyResults) -> list[str]:
    known = {f"objective.{name}" for name in _OBJECTIVE}
    if not all(_ratio_tells_margin(study, row) for row in study.table.rows):
        known -= {"objective.margin", "objective.margin_unit"}
    return [path for path in study.varying if path not in known]


def other_settings(study: StudyResults, row: TrialRow) -> str:
    """The values of `other_params` in a trial, as `E 16, learning rate 0.0001`; empty where none
    varies. E are the optimiser steps per rollout batch."""
    paths = other_params(study)
    shown = []
    if any(path in STEPS for path in paths):
        paths = [path for path in paths if path not in STEPS]
        shown.append(f"E {optimiser_steps(study, row)}")
    for path in paths:
        value = setting(study, row, path)
        if value is not None:
            name = path.rpartition(".")[2].replace("_", " ")
            shown.append(f"{name} {setting_text(value)}")
    return ", ".join(shown)


def optimiser_steps(study: StudyResults, row: TrialRow) -> int:
    """E, the optimiser steps of a trial per rollout batch."""
    steps = 1
    for path in STEPS:
        value = study.setting(row, path)
        steps *= value if isinstance(value, int) and value > 0 else 1
    return steps


def shown_path(path: str) -> str:
    """A dotted setting as tables and sentences name it; a parameter of a function by its name."""
    return path.removeprefix("params.")


def setting(study: StudyResults, row: TrialRow, path: str) -> Any:
    """Value of a dotted setting in a trial, from its full configuration, else its parameters: a
    number, or text as by `setting_text`; None where the trial has no such setting."""
    found = study.setting(row, path)
    return "null" if found is None and study.has_setting(row, path) else _plain(found)


def _ratio_tells_margin(study: StudyResults, row: TrialRow) -> bool:
    settings = objective_settings(study.configs.get(row.id, {}), row.params)
    return settings["ratio"] is not None or setting(study, row, "objective.margin") is None


def _plain(value: Any) -> Any:
    """A number or None unchanged, anything else as text."""
    return value if value is None or is_number(value) else setting_text(value)
