"""Who is right, by the reward functions of a trainer and before any scaling of their rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions

HALF = 0.5
"""Smallest reward that counts as right for an objective that reads rewards, unless given."""


class Judged(NamedTuple):
    """Verdicts and rewards of the rows of all processes."""

    correct: Tensor
    """1 or 0: (R,)."""
    rewards: Tensor
    """The weighted sum of the reward functions: (R,)."""
    counted: Tensor
    """False for rows that no reward function could judge: (R,)."""


def judge_column(names: Sequence[str], judge: str | None, options: ObjectiveOptions) -> int | None:
    """The reward function that decides who is right; None: the weighted sum does.

    Raises ValueError when there are several and an objective that compares verdicts is not told.
    """
    if judge is not None:
        if judge not in names:
            raise ValueError(f"judge={judge!r} is none of the reward functions {', '.join(names)}")
        return list(names).index(judge)
    if options.contrast == "verdicts" and len(names) > 1:
        raise ValueError(
            f"{options.name} compares right with wrong responses, and there are {len(names)} "
            f"reward functions ({', '.join(names)}): say which of them decides, such as "
            f"with_objective(..., judge={names[0]!r})"
        )
    return None


def judged(
    rewards_RF: Tensor,
    weights_F: Tensor,
    column: int | None,
    threshold: float | None,
    options: ObjectiveOptions,
) -> Judged:
    """Verdicts from the rewards of each function, NaN where it did not judge: (R, F).

    Raises ValueError for rewards that are not 0 or 1 when an objective compares verdicts and no
    threshold says which are right.
    """
    rewards_RF = rewards_RF.detach().double().cpu()
    rewards_R = (rewards_RF * weights_F.double().cpu()).nansum(1)
    counted_R = ~rewards_RF.isnan().all(1)
    decisive_R = rewards_R if column is None else rewards_RF[:, column]
    if column is None and rewards_RF.shape[1] == 1:
        decisive_R = rewards_RF[:, 0]
    if options.contrast == "verdicts":
        counted_R &= ~decisive_R.isnan()
        strange = counted_R & (decisive_R != 0) & (decisive_R != 1)
        if threshold is None and strange.any():
            raise ValueError(
                f"a reward of {float(decisive_R[strange][0]):g} does not say whether a response is "
                "right, which 0 and 1 would: give the smallest reward that counts as right, "
                f"such as with_objective(..., threshold={HALF})"
            )
    limit = HALF if threshold is None else threshold
    correct_R = (decisive_R >= limit).to(torch.float64)
    return Judged(correct_R, torch.where(counted_R, rewards_R, 0.0), counted_R)
