"""Responses without a verdict in sentences: how much of a trial's value they leave open."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.load.study import StudyResults, StudyUnreadable
from analysis.load.text import metric_label, visible
from analysis.statistics.accuracy import (
    KEYS,
    Outcomes,
    greedy_outcomes,
    sampled_outcomes,
    set_means,
)
from conspo_study.records import TrialState, is_decided_name, undecided_name
from conspo_study.results.table import TrialRow
from conspo_study.results.undecided import value_without_undecided
from conspo_study.text import counted

_MOST = 6
"""Trials beyond this number are counted, not named."""
_COLUMNS = [*KEYS[1:], "sample", "verdict", "answer"]


def undecided_notes(study: StudyResults) -> list[str]:
    """The trials with responses that have no verdict, and the bounds of the study's metric there.

    Confirmations come first, then the best trial, then the others in their order.
    """
    ended = [
        row
        for row in study.table.all_rows
        if (row.state.has_result or row.state is TrialState.PRUNED) and row.value is not None
    ]
    ended.sort(key=lambda row: (not row.of, row != study.best))
    notes = [visible(note, 400) for row in ended for note in _notes(study, row)]
    more = len(notes) - _MOST
    rest = f"{counted(more, 'more trial')} with responses that have no verdict."
    return [*notes[:_MOST], rest] if more > 0 else notes


def _notes(study: StudyResults, row: TrialRow) -> Iterator[str]:
    logged = undecided_name(study.metric)
    count = int(sum(metrics.get(logged, 0) for metrics in row.seed_metrics.values()))
    outcomes = _outcomes(study, row) if count else None
    if outcomes is not None:
        count = int(outcomes.undecided[outcomes.samples > 0].sum())
    if not count:  # or only to problems whose gold answers cannot be read, which are left out
        return
    value = f"{metric_label(study.metric)} {row.value:.3f}"
    head = f"{row.id}: {counted(count, 'response')} without a verdict"
    decided = value_without_undecided(row, study.metric)
    if decided is not None:
        yield f"{head}, counted as wrong: {value}, and {decided:.3f} without them."
    elif _counts_as_wrong(study, row, outcomes):
        yield f"{head}, counted as wrong in {value}."
    else:
        low = _mean(study, outcomes)
        counted_too = "" if low is None else f"; counted as wrong, they make it {low:.3f}"
        yield f"{head}, which {value} leaves out, as earlier versions did{counted_too}."


def _outcomes(study: StudyResults, row: TrialRow) -> Outcomes | None:
    """Of the last step, on the metric's problem set; None where its files are lost."""
    name, _, kind = study.metric.removeprefix("eval/").rpartition("/")
    try:
        rows = study.evaluations_of([row.id], _COLUMNS, {row.step})
    except StudyUnreadable:
        return None
    rows = rows[(rows["problem_set"] == name) & rows["seed"].isin(row.seeds)]
    found = greedy_outcomes(rows) if kind == "greedy" else sampled_outcomes(rows)
    return found if len(found.keys) else None


def _counts_as_wrong(study: StudyResults, row: TrialRow, outcomes: Outcomes | None) -> bool:
    """Whether the logged value counts them; of earlier versions, it does not."""
    own = f"{study.metric.rpartition('/')[0]}/"
    bounds = [
        name
        for metrics in row.seed_metrics.values()
        for name in metrics
        if is_decided_name(name) and name.startswith(own)
    ]
    # Where nothing is decided, there is no other bound; earlier versions had no value then.
    return bool(bounds) or (outcomes is not None and not outcomes.decided.any())


def _mean(study: StudyResults, outcomes: Outcomes | None) -> float | None:
    """The metric with these responses as wrong; None if it is not an average over responses."""
    kind = study.metric.rpartition("/")[2].partition("@")[0]
    if outcomes is None or kind not in ("avg", "greedy"):
        return None
    return float(set_means(outcomes, outcomes.avg())["value"].mean())
