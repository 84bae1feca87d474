"""From a response to a verdict and a reward: extraction, an exact path for integers, own functions,
killable checking processes."""

from conspo_study.reward.judge import Judge, make_judge
from conspo_study.reward.pool import RewardUnavailable, VerifierUnavailable
from conspo_study.reward.verifier import Verifier

__all__ = ["Judge", "RewardUnavailable", "Verifier", "VerifierUnavailable", "make_judge"]
