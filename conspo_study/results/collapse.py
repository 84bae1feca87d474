"""The collapsed seeds of a trial: one rule, for tables, comparisons, pages and the terminal.

A seed has collapsed if its training ended by itself (`TrialRow.collapses`), or if it ended with
less than `SHARE` of what its untrained policy had of the same metric at step 0: a method that
comes to 0.02 from 0.19 has collapsed as well as one whose gradients are non-finite. The rule by
value needs a metric of which more is better, reported at step 0 and positive there; where less is
better, half of the start is no failure.

A collapsed seed counts with its last value in every mean and comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conspo_study.results.table import TrialRow
from conspo_study.text import first_line, printable

SHARE = 0.5
"""Of the untrained policy's value, below which a seed that was trained to its end has collapsed."""


@dataclass(frozen=True, slots=True)
class CollapseRate:
    """The collapsed seeds of a trial, among all of its seeds."""

    seeds: tuple[int, ...]
    of: int
    reasons: tuple[str, ...]
    """A sentence about each of `seeds`."""

    def __str__(self) -> str:
        """Such as `3 of 10`; empty where no seed has collapsed."""
        return f"{len(self.seeds)} of {self.of}" if self.seeds else ""

    @property
    def sentence(self) -> str:
        """Such as `3 of 10 seeds collapsed`; empty where none has."""
        return f"{self} seed{'' if self.of == 1 else 's'} collapsed" if self.seeds else ""

    @property
    def rate(self) -> float:
        """The share of seeds that collapsed, from 0 to 1."""
        return len(self.seeds) / self.of if self.of else 0.0


def collapse_rate(row: TrialRow, metric: str, direction: str) -> CollapseRate:
    """The collapsed seeds of a trial by the rule of this module.

    metric, direction: the study's. While a trial runs, only seeds whose training has ended by
    itself have collapsed.
    """
    found = dict(_collapsed(row, metric, direction))
    return CollapseRate(tuple(found), len(row.seeds), tuple(found.values()))


def _collapsed(row: TrialRow, metric: str, direction: str) -> Iterator[tuple[int, str]]:
    for seed in row.seeds:
        collapse = row.collapses.get(seed)
        start = row.untrained.get(seed, {}).get(metric, 0.0) if direction == "max" else 0.0
        value = row.values.get(seed)
        if collapse is not None:
            cause = printable(first_line(collapse.cause))
            yield seed, f"seed {seed} collapsed at step {collapse.step}: {cause}"
        elif value is not None and start > 0 and value < SHARE * start:
            yield seed, f"seed {seed} collapsed from {start:.3f} untrained to {value:.3f}"
