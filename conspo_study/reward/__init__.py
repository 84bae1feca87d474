"""Turns responses into verdicts and rewards, by math-verify or by custom functions.

`make_judge` builds the Judge of a configuration. Final answers are extracted from responses; plain
integers are compared directly, everything else in checking processes that can be killed. Judges
raise VerifierUnavailable, or RewardUnavailable for a function that cannot be loaded.
"""

from conspo_study.reward.judge import Judge, make_judge
from conspo_study.reward.pool import RewardUnavailable, VerifierUnavailable
from conspo_study.reward.verifier import Verifier

__all__ = ["Judge", "RewardUnavailable", "Verifier", "VerifierUnavailable", "make_judge"]
