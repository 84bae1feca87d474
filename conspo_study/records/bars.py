"""Pruning thresholds of a trial, as search sets them, the log keeps them and the trial decides.

Studies that version 0.2 began have plain numbers: a trial stops where its mean over seeds is worse.
A `PairedBar` also asks whether the trial's own values, seed by seed, are significantly worse than
those of the best rival, whatever the noise of either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True, slots=True)
class PairedBar:
    """A threshold for the mean over seeds, and the best rival's values to be compared with."""

    threshold: float
    """The mean over seeds that must not be missed, from the noise of all rivals together."""
    rival: Mapping[int, float]
    """Values of the best rival at this step, by seed."""
    factor: float
    """The trial is worse where the mean of its differences to `rival` exceeds this multiple of
    their standard deviation (ddof 1)."""

    def missed(self, values: Mapping[int, float], sign: float) -> bool:
        """Whether a trial with these values by seed must stop.

        sign: 1 if more of the metric is better, -1 if less. The trial goes on when fewer than two
        of its seeds are the rival's.
        """
        losses = [sign * (self.rival[s] - v) for s, v in values.items() if s in self.rival]
        if len(losses) < 2 or not sign * (self.threshold - fmean(values.values())) > 0:
            return False
        mean = fmean(losses)
        squares = math.fsum((loss - mean) ** 2 for loss in losses)
        return mean > self.factor * math.sqrt(squares / (len(losses) - 1))


Bar = float | PairedBar


def threshold_of(bar: Bar) -> float:
    """The value that the mean over seeds must not miss."""
    return bar.threshold if isinstance(bar, PairedBar) else bar


def misses_bar(bar: Bar, values: Mapping[int, float], sign: float) -> bool:
    """Whether a trial with these values by seed must stop; sign as in `PairedBar.missed`."""
    if isinstance(bar, PairedBar):
        return bar.missed(values, sign)
    return sign * (bar - fmean(values.values())) > 0


def written_bar(bar: Bar) -> Any:
    """The bar as JSON: a number, or an object."""
    if not isinstance(bar, PairedBar):
        return bar
    rival = {str(seed): value for seed, value in bar.rival.items()}
    return {"threshold": bar.threshold, "rival": rival, "factor": bar.factor}


def read_bar(written: Any) -> Bar:
    """The bar of its JSON. Raises ValueError, TypeError or KeyError for anything else."""
    if not isinstance(written, Mapping):
        return float(written)
    rival = {int(seed): float(value) for seed, value in written["rival"].items()}
    return PairedBar(float(written["threshold"]), rival, float(written["factor"]))
