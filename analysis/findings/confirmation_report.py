"""The confirmation as a table and as sentences that claim no more than its seeds support."""

from __future__ import annotations

import statistics
from typing import Any

import pandas as pd

from analysis.findings.confirmation import Confirmation, Confirmed, SelectionBias
from analysis.findings.naming import describe, mean_sd
from analysis.load.text import metric_label, visible
from analysis.statistics.intervals import Interval, PairedDifference
from analysis.tables.text_table import ABSENT, SEEDS, TextTable, mean_and_sd, without_empty_columns
from conspo_study.records import TrialState
from conspo_study.text import first_line

FEWEST_SEEDS = 3
"""Fewer give an interval that is too wide, and leans too much on normality, to conclude from."""
NOT_YET = "not yet run"


def confirmation_frame(confirmation: Confirmation) -> pd.DataFrame:
    """One row per confirmed trial, the winner first.

    Columns: trial (of the confirmation), of (of the search), label, role, state, step, value (mean
    over fresh seeds), sd, n (seeds with a value), seeds (planned), low and high (95 % t-interval),
    difference (winner minus this trial, paired), difference_low, difference_high, difference_n,
    search_value, search_n, drop (search_value minus value), config_hash, cause. What cannot be
    computed is absent.
    """
    records = [_record(confirmation, trial) for trial in confirmation.trials]
    return pd.DataFrame(records, columns=_COLUMNS)


def confirmation_table(confirmation: Confirmation) -> TextTable:
    """The frame as text, with gaps where there is nothing to show."""
    titles = (
        "trial",
        "of",
        "label",
        "state (step)",
        metric_label(confirmation.study.metric),
        SEEDS,
        "95 % interval",
        "winner minus it",
        "95 % of that",
        "in the search",
        "drop",
        "cause",
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
                _named(trial),
                f"{record['state']}{step}",
                mean_and_sd(record["value"], record["sd"]),
                f"{n} of {planned}" if 0 < n < planned else str(n or ABSENT),
                _between(record["low"], record["high"], ".3f"),
                _number(record["difference"], "+.3f"),
                _between(record["difference_low"], record["difference_high"], "+.3f"),
                _number(record["search_value"], ".3f"),
                _number(record["drop"], "+.3f"),
                record["cause"],
            )
        )
    return without_empty_columns(TextTable(titles, tuple(rows)), ("cause",))


def confirmation_lines(confirmation: Confirmation) -> list[str]:
    """The confirmed value of the winner, its difference to each anchor, and the selection bias."""
    winner, study = confirmation.winner, confirmation.study
    if winner is None:
        ended = sum(trial.complete for trial in confirmation.trials)
        return [
            "Nothing is confirmed yet: the search has not ended with a winner; "
            f"{ended} of {len(confirmation.trials)} anchors have run again."
        ]
    name = describe(study, winner.search)
    if not winner.values:
        state = winner.run.state.value if winner.run is not None else NOT_YET
        return [f"Nothing is confirmed: the second run of the winner, {name}, is {state}."]
    lines = [
        f"Confirmed on fresh seeds and {confirmation.problems(winner)}: {name}: "
        f"{metric_label(study.metric)} {mean_sd(winner.values)}{_about(winner)}."
    ]
    lines += [_against(confirmation, anchor) for anchor in confirmation.anchors]
    if len(confirmation.anchors) > 1:
        lines.append(
            f"Each of these {len(confirmation.anchors)} intervals is 95 % on its own: that all of "
            "them hold is less certain."
        )
    return [*lines, *_selection(confirmation, winner)]


def _named(trial: Confirmed) -> str:
    label = visible(trial.search.label)
    if trial.role == "anchor":
        return label
    return f"{label} (winner)" if label else trial.role


def _about(trial: Confirmed) -> str:
    run = trial.run
    missing = (
        f"; {len(run.missing_seeds)} of its seeds are missing" if run and run.missing_seeds else ""
    )
    if trial.interval is None:
        return f"; one seed has no interval{missing}"
    return f", 95 % t-interval {_shown(trial.interval, '.3f')}{missing}"


def _against(confirmation: Confirmation, anchor: Confirmed) -> str:
    name = f"Winner minus {describe(confirmation.study, anchor.search)}"
    difference = confirmation.advantage(anchor)
    if difference is None:
        state = anchor.run.state.value if anchor.run is not None else NOT_YET
        reason = f"its second run is {state}" if not anchor.values else "they share no seed"
        return f"{name}: no difference, {reason}."
    n = len(difference.by_seed)
    seeds = f"paired over {n} seed{'s' if n != 1 else ''}"
    if difference.interval is None:
        return f"{name}: {difference.mean:+.3f}, {seeds}: no interval, and no claim."
    found = f"{name}: {difference.mean:+.3f} {_shown(difference.interval, '+.3f')}, {seeds}"
    if n < FEWEST_SEEDS:
        return f"{found}: too few for a claim."
    return f"{found}: {_verdict(difference, confirmation.study.direction)}."


def _verdict(difference: PairedDifference, direction: str) -> str:
    interval = difference.interval
    assert interval is not None
    if interval.low <= 0 <= interval.high:
        return "the interval includes 0, so no difference is shown"
    better = (interval.low > 0) == (direction == "max")
    return f"the winner is {'better' if better else 'worse'}, as far as these seeds tell"


def _selection(confirmation: Confirmation, winner: Confirmed) -> list[str]:
    """What having been selected had added to the winner's value."""
    if winner.drop is None:
        return []
    sign = 1.0 if confirmation.study.direction == "max" else -1.0
    searched = statistics.fmean(winner.selected_on.values())
    lost = sign * winner.drop
    change = f"{abs(lost):.3f} {'better' if lost >= 0 else 'worse'} than confirmed"
    lines = [
        f"In the search, which selected by it, the winner's value was {searched:.3f}, {change}."
    ]
    bias = confirmation.bias
    if bias is None:
        return [
            *lines,
            "Without an anchor that ran twice, selection cannot be told from other seeds and "
            "problems.",
        ]
    anchors = f"{bias.anchors} anchors" if bias.anchors > 1 else "the anchor"
    fixed = "which were fixed beforehand" if bias.anchors > 1 else "which was fixed beforehand"
    mean = " on average" if bias.anchors > 1 else ""
    return [
        *lines,
        f"For {anchors}, {fixed}, the search was {_signed_words(sign * bias.anchors_drop)}{mean}: "
        f"{_flattery(bias, sign)}.",
    ]


def _flattery(bias: SelectionBias, sign: float) -> str:
    estimate = sign * bias.estimate
    said = f"selection itself is estimated to have flattered the winner by {estimate:+.3f}"
    if bias.interval is None:
        return f"{said}, with no interval: a single seed in the search or the confirmation"
    ends = sorted((sign * bias.interval.low, sign * bias.interval.high))
    shown = f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"
    told = " and cannot be told from 0" if ends[0] <= 0 <= ends[1] else ""
    few = ", by too few seeds for a claim" if bias.interval.n < FEWEST_SEEDS else ""
    return f"{said} (95 % interval over the seeds {shown}{few}){told}"


def _signed_words(better: float) -> str:
    return f"{abs(better):.3f} {'better' if better >= 0 else 'worse'}"


def _shown(interval: Interval, spec: str) -> str:
    return f"[{interval.low:{spec}}, {interval.high:{spec}}]"


def _record(confirmation: Confirmation, trial: Confirmed) -> dict[str, Any]:
    run, values, interval = trial.run, trial.values, trial.interval
    winner = confirmation.winner
    difference = None if winner is None or winner is trial else confirmation.advantage(trial)
    between = difference.interval if difference else None
    return {
        "trial": run.id if run else "",
        "of": trial.search.id,
        "label": trial.search.label,
        "role": trial.role,
        "state": run.state.value if run else NOT_YET,
        "step": run.step if run else 0,
        "value": trial.mean,
        "sd": statistics.stdev(values.values()) if len(values) > 1 else None,
        "n": len(values),
        "seeds": len(run.seeds) if run else 0,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "difference": difference.mean if difference else None,
        "difference_low": between.low if between else None,
        "difference_high": between.high if between else None,
        "difference_n": len(difference.by_seed) if difference else 0,
        "search_value": (
            statistics.fmean(trial.selected_on.values()) if trial.selected_on else None
        ),
        "search_n": len(trial.selected_on),
        "drop": trial.drop,
        "config_hash": run.config_hash if run else "",
        "cause": first_line(run.cause) if run and run.state is TrialState.FAILED else "",
    }


_COLUMNS = [
    "trial",
    "of",
    "label",
    "role",
    "state",
    "step",
    "value",
    "sd",
    "n",
    "seeds",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "difference_n",
    "search_value",
    "search_n",
    "drop",
    "config_hash",
    "cause",
]


def _number(value: float | None, spec: str) -> str:
    return ABSENT if value is None or pd.isna(value) else f"{value:{spec}}"


def _between(low: float | None, high: float | None, spec: str) -> str:
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return ABSENT
    return f"[{low:{spec}}, {high:{spec}}]"
