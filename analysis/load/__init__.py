"""Reading: a results directory, its evaluations, and the published numbers, checked on the way in.

`load_study` gives a `StudyResults`; `published_results` gives the paper's numbers.
"""

from analysis.load.published import published_results
from analysis.load.study import StudyResults, StudyUnreadable, load_studies, load_study

__all__ = ["StudyResults", "StudyUnreadable", "load_studies", "load_study", "published_results"]
