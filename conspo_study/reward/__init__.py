"""From a response to a verdict: extraction, an exact path for integers, killable checkers."""

from conspo_study.reward.pool import VerifierUnavailable
from conspo_study.reward.verifier import Verifier

__all__ = ["Verifier", "VerifierUnavailable"]
