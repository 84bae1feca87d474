"""Collapsed seeds in sentences: how many, of which trials, and why."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings.diagnoses import before_collapse
from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.results.collapse import CollapseRate, collapse_rate
from conspo_study.results.table import TrialRow
from conspo_study.text import counted

_MOST = 6
"""Trials beyond this number are counted, not named."""
_MOST_SEEDS = 3
"""Seeds of a trial whose reasons are given."""


def rate_of(study: StudyResults, row: TrialRow) -> CollapseRate:
    """The collapsed seeds of a trial, by the rule of `conspo_study.results.collapse`."""
    return collapse_rate(row, study.metric, study.direction)


def collapse_notes(study: StudyResults) -> list[str]:
    """A line for each trial with collapsed seeds, and what set in first (`conspo_study.doctor`);
    confirmations first, most first."""
    found = [(row, rate_of(study, row)) for row in study.table.all_rows]
    some = sorted(
        ((row, rate) for row, rate in found if rate.seeds),
        key=lambda item: (not item[0].of, -item[1].rate, item[0].id),
    )
    notes = [_note(row, rate, before_collapse(study, row)) for row, rate in some[:_MOST]]
    more = len(some) - _MOST
    return notes + ([f"{counted(more, 'more trial')} with collapsed seeds."] if more > 0 else [])


def _note(row: TrialRow, rate: CollapseRate, first: str) -> str:
    more = len(rate.reasons) - _MOST_SEEDS
    reasons = [*rate.reasons[:_MOST_SEEDS], *([f"{more} more"] if more > 0 else [])]
    name = f"{row.id} ({row.label})" if row.label else row.id
    return visible(f"{name}: {rate.sentence}, which count with their last value: ", 300) + (
        visible("; ".join(reasons), 600) + (f". What set in first: {first}." if first else ".")
    )


def compared_rates(rates: Sequence[tuple[str, CollapseRate]]) -> list[str]:
    """One sentence with the rates of methods that are compared, by name; none where no seed of any
    has collapsed."""
    if not any(rate.seeds for _, rate in rates):
        return []
    shown = ", ".join(f"{visible(name)} {len(rate.seeds)} of {rate.of}" for name, rate in rates)
    return [f"Collapsed seeds, which count with their last value: {shown}."]
