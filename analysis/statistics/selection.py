"""Selection bias: by how much the best of several settings looks better than it is.

The best of many noisy means is chosen partly for its noise. What it loses when it is measured
again, beyond what the others lose, is the bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from analysis.statistics.intervals import Interval


@dataclass(frozen=True)
class SelectionBias:
    """The lead of the winner over the baselines in the search, beyond the confirmed one."""

    winner_drop: float
    anchors_drop: float
    """Mean drop of the baselines: the effect of other seeds and problems without selection."""
    anchors: int
    interval: Interval | None
    """95 % Welch interval of the difference of the two, over the seeds; None when the search or the
    confirmation has a single one, or where the two share seeds."""

    @property
    def estimate(self) -> float:
        """Drop of the winner minus mean drop of the baselines."""
        return self.winner_drop - self.anchors_drop


def advantages(values: Mapping[int, float], others: Sequence[Mapping[int, float]]) -> list[float]:
    """Per seed that all have: a setting's value minus the mean of the others'."""
    shared = sorted(set(values).intersection(*others))
    return [values[seed] - fmean(other[seed] for other in others) for seed in shared]


def left_out_bias(
    settings: Mapping[str, Mapping[int, float]], *, lower_is_better: bool = False
) -> SelectionBias | None:
    """The bias of choosing the best mean over all seeds, without a second measurement.

    Every seed is left out once: the best setting of the other seeds is measured on it, and so are
    all others. What is chosen on one seed fewer is chosen a little worse, so the estimate is a
    little too large. Only seeds that all settings have count; None for fewer than two of them, or
    of settings. The drops are of values: of one that should be low they are negative.
    """
    shared = set.intersection(*(set(values) for values in settings.values())) if settings else set()
    if len(shared) < 2 or len(settings) < 2:
        return None
    best = min if lower_is_better else max
    winner_drops, others_drops = [], []
    for left_out in sorted(shared):
        kept = shared - {left_out}
        means = {
            name: fmean(values[seed] for seed in sorted(kept)) for name, values in settings.items()
        }
        drops = {name: means[name] - values[left_out] for name, values in settings.items()}
        winner = best(means, key=means.__getitem__)
        winner_drops.append(drops.pop(winner))
        others_drops.append(fmean(drops.values()))
    return SelectionBias(fmean(winner_drops), fmean(others_drops), len(settings) - 1, None)
