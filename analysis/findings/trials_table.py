"""The trials of a study as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.findings.frames import other_params, trials_frame
from analysis.load.study import StudyResults
from analysis.load.text import metric_label
from analysis.tables.text_table import (
    ABSENT,
    CAUSE,
    SEEDS,
    TextTable,
    mean_and_sd,
    without_empty_columns,
)
from conspo_study.records import TrialState

_OBJECTIVE_TITLES = {
    "objective": "objective",
    "tau": "tau",
    "ratio": "M/tau",
    "schedule": "schedule",
    "alpha": "alpha",
}


def trials_table(study: StudyResults) -> TextTable:
    """All trials, finished ones first and best first, as text.

    The study's metric is given as mean ± sample standard deviation over seeds, other levels as
    means; n is the number of seeds behind them.
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
        *others,
        "state (step)",
        metric_label(study.metric),
        SEEDS,
        *(_level_title(level, study.metric) for level in levels),
        CAUSE,
    ]
    rows = [
        (
            record["trial"],
            record["label"],
            *(_text(record[name]) for name in [*objective, *others]),
            f"{record['state']} ({record['step']})",
            mean_and_sd(record["value"], record["sd"]),
            _seeds(record),
            *(_level(record, level) for level in levels),
            record["cause"],
        )
        for record in frame.to_dict("records")
    ]
    return without_empty_columns(TextTable(tuple(titles), tuple(rows)), ("label", CAUSE))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ABSENT
    return f"{value:g}" if isinstance(value, float) else str(value)


def _level(record: dict[Any, Any], level: str) -> str:
    """The mean, and how many seeds it is over when that is fewer than for the study's metric."""
    n = record[f"{level}/n"]
    few = f" ({n} of {record['seeds']})" if 0 < n < record["n"] else ""
    return mean_and_sd(record[level], None) + few


def _level_title(level: str, metric: str) -> str:
    """`chain/easy` beside `chain/hard` is `easy`; anything else keeps its full name."""
    folder, name = level.rpartition("/")[0].rpartition("/")[::2]
    return name if folder == metric.rpartition("/")[0].rpartition("/")[0] else metric_label(level)


def _seeds(record: dict[Any, Any]) -> str:
    n, planned = record["n"], record["seeds"]
    incomplete = record["state"] == TrialState.FINISHED.value and n < planned
    return f"{n} of {planned}" if incomplete else str(n or ABSENT)
