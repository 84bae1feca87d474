"""The weights of a padded batch's tokens under an objective: d loss / d log pi of each.

TRL keeps responses as padded rows, (R, T) with a mask. An objective reads whole groups without
padding. `weigh` goes from one to the other and back, over the rows of all processes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions
from conspo_study.integrations.groups import Arrangement
from conspo_study.objective import GroupBatch, Progress, Totals, objective_of, token_weights
from conspo_study.objective.diagnostics import credits_of, ratio_metrics, score_metrics
from conspo_study.objective.direction import direction_metrics


class Rows(NamedTuple):
    """Responses of all processes, one a row."""

    logprobs: Tensor
    """log pi of each token, nats: (R, T). For an objective on scores the scores: (R, 1)."""
    mask: Tensor
    """True for the tokens that count: (R, T)."""
    old: Tensor | None = None
    """log pi of the policy that sampled: (R, T); None when it is the same policy."""
    correction: Tensor | None = None
    """Constant importance weights of the tokens: (R, T); None is 1."""


class Weighed(NamedTuple):
    """A loss's derivative, and what its batch shows."""

    weights: Tensor
    """d loss / d log pi: (R, T), 0 where a row has no part in the loss."""
    metrics: dict[str, float]
    """Of the objective and of the scores."""


def weigh(
    rows: Rows,
    plan: Arrangement,
    totals: Totals,
    options: ObjectiveOptions,
    progress: Progress,
    *,
    on_scores: bool,
    max_response_length: int | None = None,
) -> Weighed:
    """Differentiate the objective's loss over the groups of `plan`.

    totals: sizes of the optimiser step, which may be larger than `plan`. on_scores: the objective
    is a function of scores, and `rows` holds those. Raises ValueError where the objective needs
    more than a part of a step can know.
    """
    weights = torch.zeros_like(rows.logprobs)
    if not plan.rows:
        return Weighed(weights, {})
    order = torch.tensor(plan.rows, device=weights.device)
    mask = rows.mask[order].bool()

    def flat(padded: Tensor) -> Tensor:
        return padded.expand_as(rows.logprobs)[order][mask]

    logprobs_T = flat(rows.logprobs)
    batch = GroupBatch.of(
        logprobs_T,
        logprobs_T if rows.old is None else flat(rows.old),
        mask.sum(1).tolist(),
        plan.sizes,
        plan.correct,
        totals,
        rewards=plan.rewards,
        kl_old=0.0 if on_scores else None,  # which then has no part in the loss
        max_response_length=None if on_scores else max_response_length,
        correction_T=None if rows.correction is None else flat(rows.correction),
    )
    objective = objective_of(type(options))
    found = token_weights(batch, objective, options, progress)
    inner = torch.zeros_like(rows.logprobs[order])
    inner[mask] = found.weights_T
    weights[order] = inner
    parts = found.metrics | score_metrics(batch) | ({} if on_scores else ratio_metrics(batch))
    parts |= direction_metrics(batch, found.weights_T, objective, options, progress)
    metrics = {name: part.value for name, part in parts.items() if part.value is not None}
    credits_B = credits_of(batch, found.weights_T).abs()
    metrics |= {"credit_abs": float(credits_B.mean()), "credit_max": float(credits_B.max())}
    return Weighed(weights, metrics)
