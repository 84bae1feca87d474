"""Objectives of this package inside the trainers of others: TRL, Tinker, and what else has a hook.

Floor: above the stages, beside `training`. Imports `objective` and `config`; a foreign library is
imported only by the module named after it, so this package needs none of them:

    from conspo_study.integrations.trl import with_objective
    from conspo_study.integrations.tinker import custom_loss

`credits` is what they have in common. It turns the scores and verdicts of a sampled batch into what
any policy-gradient trainer accepts: one number per response (`rollout_mean_advantages` and
`token_mean_advantages` scale it to the mean that the trainer takes).
"""

from conspo_study.integrations.credits import (
    credits,
    progress_of,
    rollout_mean_advantages,
    signal_groups,
    token_mean_advantages,
)
from conspo_study.integrations.groups import Arrangement, arrange
from conspo_study.integrations.score_based import is_score_based
from conspo_study.integrations.settings import ObjectiveLike, objective_options

__all__ = [
    "Arrangement",
    "ObjectiveLike",
    "arrange",
    "credits",
    "is_score_based",
    "objective_options",
    "progress_of",
    "rollout_mean_advantages",
    "signal_groups",
    "token_mean_advantages",
]
