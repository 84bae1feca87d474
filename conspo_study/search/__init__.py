"""Which trial comes next: a pure function of the definition and the results log."""

from conspo_study.search.search import WAIT, Search, Suggestion, mean_value

__all__ = ["WAIT", "Search", "Suggestion", "mean_value"]
