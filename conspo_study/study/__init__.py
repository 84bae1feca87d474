"""`Study`: what a script declares, plans and runs, and whether a results directory is its own."""

from conspo_study.study.study import Outcome, Study, StudyStopped
from conspo_study.study.trust import UntrustedCode

__all__ = ["Outcome", "Study", "StudyStopped", "UntrustedCode"]
