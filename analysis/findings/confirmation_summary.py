"""The confirmation in sentences that claim no more than its seeds support."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from analysis.findings.confirmation import Confirmation, Confirmed
from analysis.findings.metric_difference import difference_text, family_text
from analysis.findings.naming import describe, mean_and_seeds
from analysis.load.text import metric_label
from analysis.statistics.intervals import FEWEST_SEEDS
from analysis.statistics.selection import SelectionBias
from analysis.tables.numbers import interval
from conspo_study.records import TrialState
from conspo_study.results.strata import chosen_over, strata_of
from conspo_study.results.table import TrialRow
from conspo_study.text import counted, setting_text

_MOST_NAMED = 5
"""Strata that a sentence names."""


def confirmation_lines(confirmation: Confirmation) -> list[str]:
    """The winner's confirmed value, its difference to each baseline, and the selection bias."""
    winner, study = confirmation.winner, confirmation.study
    if over := chosen_over(study.definition):
        return _strata(confirmation, over)
    if winner is None:
        ended = sum(trial.complete for trial in confirmation.trials)
        return [
            "Nothing is confirmed yet: the search has no winner so far; "
            f"{ended} of {counted(len(confirmation.trials), 'baseline')} confirmed."
        ]
    name = describe(study, winner.search)
    if not winner.values:
        return [
            f"Nothing is confirmed yet: the confirmation run of the winner, {name}, "
            f"{_state(winner.run)}."
        ]
    lines = [
        f"Confirmed on fresh seeds{_on(confirmation, winner)}: {name}: "
        f"{metric_label(study.metric)} {mean_and_seeds(winner.values)}{_precision(winner)}."
    ]
    lines += [_against(confirmation, anchor) for anchor in confirmation.anchors]
    if len(confirmation.anchors) > 1:
        lines.append(family_text(confirmation.compared[confirmation.anchors[0].search.id].family))
    return [*lines, *_selection(confirmation, winner)]


def _strata(confirmation: Confirmation, over: Sequence[str]) -> list[str]:
    """How many strata there are, and how many of them have been confirmed."""
    study = confirmation.study
    strata = strata_of(study.table.rows, over)
    best = [trial for trial in confirmation.trials if trial.role == "best"]
    done = sum(trial.complete for trial in best)
    number = f"{len(strata)} {'stratum' if len(strata) == 1 else 'strata'}"
    lines = [
        f"{number}, each at its own best {', '.join(over)}: {done} confirmed on fresh seeds. Their "
        "differences are in the table map."
    ]
    none = [one.rows[0] for one in strata if one.ended and one.winner(study.direction) is None]
    if none:
        named = ", ".join(describe(study, row) for row in none[:_MOST_NAMED])
        lines.append(f"Strata without a finished trial: {len(none)}, the first trials {named}.")
    return lines


def _on(confirmation: Confirmation, winner: Confirmed) -> str:
    """What besides the seeds was fresh."""
    if not confirmation.study.function:
        return f" and {confirmation.problems(winner)}"
    declared = confirmation.study.definition.get("confirm")
    changes = declared.get("overrides") if isinstance(declared, dict) else None
    if not isinstance(changes, dict) or not changes:
        return ""
    return " with " + ", ".join(f"{name} = {setting_text(v)}" for name, v in changes.items())


def _state(run: TrialRow | None) -> str:
    if run is None:
        return "has not started"
    return f"has {run.state}" if run.state is TrialState.FAILED else f"is {run.state}"


def _precision(trial: Confirmed) -> str:
    run, found = trial.run, trial.interval
    lacking = len(run.missing_seeds) if run else 0
    missing = f"; without a value: {counted(lacking, 'seed')}" if lacking else ""
    if found is None:
        why = "from a single seed" if len(trial.values) < 2 else "from seeds that do not vary"
        return f"; no interval {why}{missing}"
    over = f" over seeds{' and problems' if trial.over_problems else ''}"
    return f", 95 % CI {interval(found.low, found.high, '.3f')}{over}{missing}"


def _against(confirmation: Confirmation, anchor: Confirmed) -> str:
    name = f"Winner minus {describe(confirmation.study, anchor.search)}"
    found = confirmation.compared[anchor.search.id]
    if found.difference is None and not anchor.values:
        return f"{name}: no difference, because its confirmation run {_state(anchor.run)}."
    return f"{name}: {difference_text(found, 'the winner is')}."


def _selection(confirmation: Confirmation, winner: Confirmed) -> list[str]:
    """The change from the search to the confirmation, and the share of selection in it."""
    if winner.drop is None or winner.mean is None:
        return []
    searched = statistics.fmean(winner.selected_on.values())
    change = (
        f"Winner: search value {searched:.3f}, confirmed {winner.mean:.3f} ({-winner.drop:+.3f})."
    )
    bias = confirmation.bias
    if bias is None:
        return [
            change,
            "Without a confirmed baseline, selection bias cannot be told from the effect of other "
            f"seeds{'' if confirmation.study.function else ' and problems'}.",
        ]
    several = bias.anchors > 1
    baselines = f"{bias.anchors} baselines, which were" if several else "baseline, which was"
    mean = " on average" if several else ""
    sign = 1.0 if confirmation.study.direction == "max" else -1.0
    return [
        change,
        f"The {baselines} not selected, changed by {-bias.anchors_drop:+.3f}{mean}. "
        f"{_bias(bias, sign)}.",
    ]


def _bias(bias: SelectionBias, sign: float) -> str:
    shown = f"Estimated selection bias in favour of the winner: {sign * bias.estimate:+.3f}"
    if bias.interval is None:
        return f"{shown}, with no interval: a single seed in the search or the confirmation"
    low, high = sorted((sign * bias.interval.low, sign * bias.interval.high))
    few = ", too few seeds for a claim" if bias.interval.n < FEWEST_SEEDS else ""
    zero = ": not distinguishable from 0" if low <= 0 <= high else ""
    return f"{shown} (95 % CI {interval(low, high, '+.3f')}{few}){zero}"
