"""Credits of an objective on scores, and the advantages that make a GRPO trainer follow them.

A policy-gradient trainer whose ratios are 1 and whose loss is -(1/B) sum_i A_i s_i has the gradient
-(1/B) sum_i A_i grad s_i, where s_i is the mean log-probability of response i's tokens. A loss L
that is a function of the scores alone has the gradient

    grad L = -(1/Q) sum_i c_i grad s_i,      c_i = -Q dL/ds_i

with Q the number of groups that have contrast. The c_i are the credits (for ConSPO those of Lemma 2
of arXiv 2605.12969; positive: make it more likely). So that trainer follows L exactly when
A_i = c_i B / Q. Credits need whole groups, but only their scores: compute them once, when the batch
has been sampled. Then no order and no micro-batch can change the gradient.

They are derivatives at the scores given, so after an optimiser step on the same rollouts they are
stale. Several updates per batch need live scores of whole groups at each of them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions
from conspo_study.integrations.groups import Arrangement, Rows, arrange, numbers
from conspo_study.integrations.score_based import is_score_based, score_batch
from conspo_study.integrations.settings import ObjectiveLike, objective_options
from conspo_study.objective import Progress, objective_of, token_weights


def credits(
    scores: Rows,
    correct: Rows,
    group: Rows,
    objective: ObjectiveLike = "conspo",
    progress: float | Progress = 1.0,
    *,
    rewards: Rows | None = None,
    counted: Rows | None = None,
) -> Any:
    """c_i = -Q dL/ds_i of each response, by autograd through the objective's own loss.

    scores: mean token log-probability of each response when it was sampled, nats: (B,). correct:
    verdicts, 0 and 1 or booleans: (B,). group: id of each response's group, any hashable, in any
    order; groups may differ in size: (B,). objective: `"conspo"`, `{"name": "conspo", "tau": 0.5}`,
    options of `conspo_study.config`, or an import path. progress: place in training, in [0, 1], for
    a margin that rises; a `Progress` where an objective reads the step itself. rewards: graded
    rewards, for objectives that read them: (B,). counted: False for responses to leave out, such as
    those without tokens: (B,).

    Returns (B,), of the kind and on the device of `scores` (float32 for lower precisions): 0 where
    the group has no contrast or the response does not count. ConSPO's sum to 0 within a group.

    Raises ValueError for a score that is not finite, a verdict that is not 0 or 1, a progress
    outside of [0, 1], lengths that differ, or an objective that is no function of scores.
    """
    options = objective_options(objective)
    _require_scores(options)
    scores_B = numbers(scores)
    plan = arrange(correct, group, options, rewards=rewards, counted=counted)
    rows = len(numbers(correct))
    if len(scores_B) != rows:
        raise ValueError(f"{len(scores_B)} scores for {rows} verdicts")
    credits_B = torch.zeros(len(scores_B), dtype=torch.float64)
    if plan.rows:
        _require_finite(scores_B, plan)
        batch = score_batch(scores_B[plan.rows], plan.sizes, plan.correct, plan.rewards)
        objective_function = objective_of(type(options))
        weights = token_weights(batch, objective_function, options, progress_of(progress))
        credits_B[plan.rows] = -plan.groups * weights.weights_T
    return _like(credits_B, scores)


def signal_groups(
    correct: Rows,
    group: Rows,
    objective: ObjectiveLike = "conspo",
    *,
    rewards: Rows | None = None,
    counted: Rows | None = None,
) -> int:
    """Q: the number of groups with contrast, by which the gradient of `credits` is divided."""
    options = objective_options(objective)
    return arrange(correct, group, options, rewards=rewards, counted=counted).groups


def rollout_mean_advantages(credits_B: Rows, groups: int, rollouts: int | None = None) -> Any:
    """A_i = c_i B / Q, for a loss that is the mean over B rollouts of the mean over their tokens.

    groups: Q of all workers. rollouts: B of the trainer's mean, all that it averages over, with or
    without contrast; the rows given by default. 0 groups give zeros. Returns the kind of
    `credits_B`: (B,).
    """
    values_B = numbers(credits_B)
    total = len(values_B) if rollouts is None else rollouts
    return _like(values_B * (total / groups if groups else 0.0), credits_B)


def token_mean_advantages(
    credits_B: Rows, lengths_B: Rows, groups: int, tokens: float | None = None
) -> Any:
    """A_i = c_i N / (T_i Q), for a loss that is one mean over the N tokens of all rollouts.

    lengths_B: T_i, tokens of each response that the loss counts: (B,). groups: Q of all workers.
    tokens: N of the trainer's mean; the sum of `lengths_B` by default. A response without tokens
    gets 0. Returns the kind of `credits_B`: (B,).
    """
    values_B, tokens_B = numbers(credits_B), numbers(lengths_B)
    total = float(tokens_B.sum()) if tokens is None else tokens
    per_token_B = torch.where(tokens_B > 0, values_B / tokens_B.clamp(min=1), 0.0)
    return _like(per_token_B * (total / groups if groups else 0.0), credits_B)


def progress_of(progress: float | Progress) -> Progress:
    """The place in training with exactly this fraction. Raises ValueError outside of [0, 1]."""
    if isinstance(progress, Progress):
        return progress
    if not 0 <= progress <= 1:
        raise ValueError(
            f"progress is {progress}: give the fraction of training done, between 0 and 1, such as "
            "step / total_steps"
        )
    step, steps = Fraction(progress).as_integer_ratio()
    return Progress(step, steps + 1)


def _require_scores(options: ObjectiveOptions) -> None:
    if not is_score_based(options):
        raise ValueError(
            f"{options.name} has no credits with these settings: its gradient depends on single "
            "tokens or on the old policy, not on the mean log-probability of each response alone. "
            "Use the exact form of the integration, or an objective on scores such as conspo and "
            "conspo_linear without clip_score and kl_limit, or disco with kl_penalty 0"
        )


def _require_finite(scores_B: Tensor, plan: Arrangement) -> None:
    for row in plan.rows:
        if not scores_B[row].isfinite():
            raise ValueError(
                f"row {row} has the score {float(scores_B[row])}: a response without tokens has "
                "none (leave it out with `counted`), and a model that gives NaN cannot be trained"
            )


def _like(values_B: Tensor, given: Rows) -> Any:
    """The values as the kind of array that was given, in at least float32."""
    if isinstance(given, Tensor):
        dtype = given.dtype if given.dtype in (torch.float32, torch.float64) else torch.float32
        return values_B.to(given.device, dtype)
    array = np.asarray(given)
    return values_B.numpy().astype(np.result_type(np.float32, array.dtype))
