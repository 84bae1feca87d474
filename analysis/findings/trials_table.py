"""The trials of a study as a table."""

from __future__ import annotations

from typing import Any

from analysis.findings.frames import WITH_RESULT, trials_frame
from analysis.findings.trial_settings import other_params, shown_path
from analysis.load.study import StudyResults
from analysis.load.text import metric_label
from analysis.tables.numbers import ABSENT, mean_and_sd, number
from analysis.tables.text_table import CAUSE, COLLAPSED, SEEDS, TextTable, without_empty_columns

_OBJECTIVE_TITLES = {
    "objective": "objective",
    "tau": "tau",
    "ratio": "M/tau",
    "schedule": "schedule",
    "alpha": "alpha",
}


def trials_table(study: StudyResults) -> TextTable:
    """All trials, those with a result first and best first, as text.

    The study's metric is given as mean ± sample standard deviation over seeds, the same metric of
    other problem sets as means; n is the number of seeds; where any
    collapsed, a column counts them.
    """
    frame = trials_frame(study)
    others = other_params(study)
    names = [str(name) for name in frame.columns]
    levels = [name.removesuffix("/sd") for name in names if name.endswith("/sd")]
    objective = [
        name
        for name in _OBJECTIVE_TITLES
        if (frame[name].nunique() > 1 if name == "objective" else frame[name].notna().any())
    ]
    titles = [
        "trial",
        "label",
        *(_OBJECTIVE_TITLES[name] for name in objective),
        *map(shown_path, others),
        "state (step)",
        metric_label(study.metric),
        COLLAPSED,
        SEEDS,
        *(_other_title(level, study.metric) for level in levels),
        CAUSE,
    ]
    rows = [
        (
            record["trial"],
            record["label"],
            *(_setting(record[name]) for name in [*objective, *others]),
            f"{record['state']} ({record['step']})",
            mean_and_sd(record["value"], record["sd"]),
            _collapsed(record),
            _seeds(record),
            *(_other_metric(record, level) for level in levels),
            record["cause"],
        )
        for record in frame.to_dict("records")
    ]
    own = {SEEDS, *(_OBJECTIVE_TITLES[name] for name in objective)} - set(map(shown_path, others))
    table = TextTable(tuple(titles), tuple(rows), frozenset(own))
    return without_empty_columns(table, ("label", COLLAPSED, CAUSE))


def _setting(value: Any) -> str:
    if value is None or isinstance(value, float):
        return number(value, "g")
    return str(value)


def _other_metric(record: dict[Any, Any], level: str) -> str:
    """The mean, and its number of seeds where that is smaller than for the study's metric."""
    n = record[f"{level}/n"]
    few = f" ({n} of {record['seeds']})" if 0 < n < record["n"] else ""
    return number(record[level], ".3f") + few


def _other_title(level: str, metric: str) -> str:
    """`easy` for `chain/easy` beside `chain/hard`; the full name for anything else."""
    folder, name = level.rpartition("/")[0].rpartition("/")[::2]
    return name if folder == metric.rpartition("/")[0].rpartition("/")[0] else metric_label(level)


def _collapsed(record: dict[Any, Any]) -> str:
    return f"{record['collapsed']} of {record['seeds']}" if record["collapsed"] else ""


def _seeds(record: dict[Any, Any]) -> str:
    n, planned = record["n"], record["seeds"]
    incomplete = record["state"] in WITH_RESULT and n < planned
    return f"{n} of {planned}" if incomplete else str(n or ABSENT)
