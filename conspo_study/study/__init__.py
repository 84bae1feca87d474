"""`Study`: what a script declares, plans and runs, and whether a results directory is its own."""

from conspo_study.study.endings import Outcome, StudyStopped
from conspo_study.study.study import Study
from conspo_study.study.trust import UntrustedCode

__all__ = ["Outcome", "Study", "StudyStopped", "UntrustedCode"]
