"""Statistics over seeds and problems: arithmetic on arrays that knows no study.

Paired t-intervals (`paired_difference`), a two-level bootstrap (`estimate`, `difference`), Holm's
correction (`holm`), and avg@k, pass@k and maj@k from stored responses (`sampled_outcomes`).
"""

from analysis.statistics.accuracy import greedy_outcomes, sampled_outcomes
from analysis.statistics.bootstrap import Estimate, difference, estimate
from analysis.statistics.holm import holm
from analysis.statistics.intervals import Interval, mean_interval, paired_difference
from analysis.statistics.scores import ProblemScores, Scores

__all__ = [
    "Estimate",
    "Interval",
    "ProblemScores",
    "Scores",
    "difference",
    "estimate",
    "greedy_outcomes",
    "holm",
    "mean_interval",
    "paired_difference",
    "sampled_outcomes",
]
