"""The seed-to-seed spread that the trials of a study show."""

from __future__ import annotations

from collections.abc import Iterable

from conspo_study.results.table import TrialRow
from conspo_study.statistics.paired_spread import PairedSpread, pooled_spread


def measured_spread(rows: Iterable[TrialRow]) -> PairedSpread | None:
    """Pooled over trials with a result for all their seeds, of the most frequent list of seeds;
    None for fewer than two trials or seeds, or when the values do not vary."""
    layouts: dict[tuple[int, ...], list[list[float]]] = {}
    for row in rows:
        if row.state.has_result and not row.missing_seeds:
            seeds = tuple(sorted(row.values))
            layouts.setdefault(seeds, []).append([row.values[seed] for seed in seeds])
    return pooled_spread(max(layouts.values(), key=len, default=[]))
