"""The confirmation of a study as a frame and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from analysis.findings.collapses import rate_of
from analysis.findings.confirmation import Confirmation, Confirmed
from analysis.findings.metric_difference import Judged
from analysis.load.text import metric_label, visible
from analysis.tables.numbers import ABSENT, interval, mean_and_sd, number
from analysis.tables.text_table import (
    CAUSE,
    COLLAPSED,
    SEEDS,
    TextTable,
    without_columns,
    without_empty_columns,
)
from conspo_study.records import TrialState
from conspo_study.results.strata import chosen_over
from conspo_study.text import first_line

NOT_YET = "not yet run"
_COLUMNS = ["trial", "of", "label", "role", "state", "step", "value", "sd", "n", "seeds"]
_COLUMNS += ["collapsed"]
_COLUMNS += ["low", "high", "difference", "difference_low", "difference_high", "difference_n"]
_COLUMNS += ["difference_p", "finding"]
_COLUMNS += ["search_value", "search_n", "drop", "config_hash", "cause"]
_TO_WINNER = ("difference to winner", "95 % CI of difference", "finding")


def confirmation_frame(confirmation: Confirmation) -> pd.DataFrame:
    """One row per confirmed trial, the winner first.

    Columns: trial (of the confirmation), of (the search trial), label, role, state, step, value
    (mean over fresh seeds), sd (sample standard deviation), n (seeds with a value), seeds
    (planned), collapsed (seeds), low and high (95 % interval), difference (winner minus this trial,
    paired), difference_low, difference_high, difference_n, difference_p (corrected for all of
    them), finding (what that shows of the winner), search_value, search_n, drop (search_value minus
    value), config_hash, cause. What cannot be computed is absent.
    """
    records = [_record(confirmation, trial) for trial in confirmation.trials]
    return pd.DataFrame(records, columns=_COLUMNS)


def confirmation_table(confirmation: Confirmation) -> TextTable:
    """The frame as text."""
    titles = (
        "trial",
        "search trial",
        "label",
        "state (step)",
        metric_label(confirmation.study.metric),
        COLLAPSED,
        SEEDS,
        "95 % CI",
        *_TO_WINNER,
        "search value",
        "search minus confirmed",
        CAUSE,
    )
    rows = []
    records = confirmation_frame(confirmation).to_dict("records")
    for trial, record in zip(confirmation.trials, records, strict=True):
        n, planned = int(record["n"]), int(record["seeds"])
        step = "" if record["state"] == NOT_YET else f" ({record['step']})"
        rows.append(
            (
                record["trial"] or ABSENT,
                record["of"],
                _label(trial),
                f"{record['state']}{step}",
                mean_and_sd(record["value"], record["sd"]),
                f"{record['collapsed']} of {planned}" if record["collapsed"] else "",
                f"{n} of {planned}" if 0 < n < planned else str(n or ABSENT),
                interval(record["low"], record["high"], ".3f"),
                number(record["difference"], "+.3f"),
                interval(record["difference_low"], record["difference_high"], "+.3f"),
                record["finding"] or ABSENT,
                number(record["search_value"], ".3f"),
                number(record["drop"], "+.3f"),
                record["cause"],
            )
        )
    table = TextTable(titles, tuple(rows), frozenset({SEEDS}))
    if chosen_over(confirmation.study.definition):
        table = without_columns(table, _TO_WINNER)
    return without_empty_columns(table, (COLLAPSED, CAUSE))


def _label(trial: Confirmed) -> str:
    label = visible(trial.search.label)
    if trial.role in ("anchor", "best"):
        return label or trial.role
    return f"{label} (winner)" if label else trial.role


def _record(confirmation: Confirmation, trial: Confirmed) -> dict[str, Any]:
    run, values, ends = trial.run, trial.values, trial.interval
    winner = confirmation.winner
    judged = confirmation.compared.get(trial.search.id) if trial is not winner else None
    difference, ends_of_difference = _to_winner(confirmation, trial, judged)
    return {
        "trial": run.id if run else "",
        "of": trial.search.id,
        "label": trial.search.label,
        "role": trial.role,
        "state": run.state.value if run else NOT_YET,
        "step": run.step if run else 0,
        "value": trial.mean,
        "sd": stdev(values.values()) if len(values) > 1 else None,
        "n": len(values),
        "seeds": len(run.seeds) if run else 0,
        "collapsed": len(rate_of(confirmation.study, run).seeds) if run else 0,
        "low": ends.low if ends else None,
        "high": ends.high if ends else None,
        "difference": None if difference is None else fmean(difference.values()),
        "difference_low": ends_of_difference[0] if ends_of_difference else None,
        "difference_high": ends_of_difference[1] if ends_of_difference else None,
        "difference_n": len(difference) if difference else 0,
        "difference_p": judged.tested.adjusted if judged else None,
        "finding": judged.finding if judged and difference else "",
        "search_value": (fmean(trial.selected_on.values()) if trial.selected_on else None),
        "search_n": len(trial.selected_on),
        "drop": trial.drop,
        "config_hash": run.config_hash if run else "",
        "cause": first_line(run.cause) if run and run.state is TrialState.FAILED else "",
    }


def _to_winner(
    confirmation: Confirmation, trial: Confirmed, judged: Judged | None
) -> tuple[Mapping[int, float] | None, tuple[float, float] | None]:
    """Winner minus this trial by seed, and the 95 % interval; an earlier winner is in no family."""
    if judged is not None:
        contrast = judged.tested.contrast
        by_seed = judged.difference.by_seed if judged.difference else None
        return by_seed, contrast.interval() if contrast else None
    winner = confirmation.winner
    found = None if winner is None or winner is trial else confirmation.advantage(trial)
    if found is None:
        return None, None
    return found.by_seed, (found.interval.low, found.interval.high) if found.interval else None
