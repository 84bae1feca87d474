"""Names what went wrong in a run, by rules over the metrics of its training steps.

`examine` gives the findings of a trial, each with the seeds that have it, the step at which it set
in, and the numbers that say so. The rules and their thresholds are in `rules`.
"""

from conspo_study.doctor.examine import COLLAPSED, Finding, examine
from conspo_study.doctor.rules import MARGIN, RULES, Rule
from conspo_study.doctor.series import metrics_of

__all__ = ["COLLAPSED", "MARGIN", "RULES", "Finding", "Rule", "examine", "metrics_of"]
