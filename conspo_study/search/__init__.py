"""The next trial of a study: a pure function of its definition and the results log.

Floor: above `definition` and `results`. `Search` suggests trials, `samplers` propose their
settings, `racing` sets the thresholds at which they are stopped early.
"""

from conspo_study.search.search import WAIT, Search, Suggestion, mean_value

__all__ = ["WAIT", "Search", "Suggestion", "mean_value"]
