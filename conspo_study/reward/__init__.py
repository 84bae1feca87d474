"""Turns responses into verdicts and rewards, by the verifier or by custom functions.

`make_judge` builds the Judge of a configuration; `Verifier` is of use by itself. Final answers are
extracted from responses and read (`reading`); numbers, words and lists are compared directly,
formulas in checking processes that can be killed. Judges raise VerifierUnavailable, or
RewardUnavailable for a function that cannot be loaded.
"""

from conspo_study.reward.judge import Judge, make_judge
from conspo_study.reward.pool import RewardUnavailable, VerifierUnavailable
from conspo_study.reward.verifier import Verifier

__all__ = ["Judge", "RewardUnavailable", "Verifier", "VerifierUnavailable", "make_judge"]
