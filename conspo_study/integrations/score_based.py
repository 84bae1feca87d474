"""Whether an objective is a function of the mean log-probability of each response alone.

Asked of the loss itself, not of a list of names, so the answer holds for settings that change it
(DisCO has a penalty on tokens, without it none) and for objectives of one's own.
"""

from __future__ import annotations

import torch

from conspo_study.config import ObjectiveOptions
from conspo_study.objective import GroupBatch, Progress, objective_of, token_weights

_LENGTHS, _SIZES = [3, 7, 1, 5, 9, 2, 4, 4], [5, 3]
_CORRECT = [True, False, False, True, False, False, True, False]
_DRIFTS = (-0.4, 0.4, -1e6, 1e6)
"""Nats by which the policy has moved away from the one that sampled, in both directions; the large
ones reach any limit that lets a smaller one pass."""


def is_score_based(options: ObjectiveOptions, *, corrected: bool = False) -> bool:
    """Whether d loss / d log pi of a token is d loss / d s / T, whatever the old policy thinks.

    corrected: also where a batch has importance weights of its tokens, which objectives on scores
    ignore and REINFORCE does not.

    Compares, on two ragged groups far from the policy that sampled, the weights of the tokens with
    those of one-token responses that have the same scores.
    """
    objective = objective_of(type(options))
    generator = torch.Generator().manual_seed(0)
    for drift in _DRIFTS:
        shape = (sum(_LENGTHS),)
        logprobs_T = -2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.1
        noise_T = 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        old_T = logprobs_T - drift - noise_T
        correction_T = torch.rand(shape, generator=generator) if corrected else None
        batch = GroupBatch.of(
            logprobs_T, old_T, _LENGTHS, _SIZES, _CORRECT, correction_T=correction_T
        )
        scores_B = batch.rollout_mean(logprobs_T)
        single = score_batch(scores_B, _SIZES, _CORRECT, [float(c) for c in _CORRECT])
        for progress in (Progress(0, 10), Progress(9, 10)):
            weights_T = token_weights(batch, objective, options, progress).weights_T
            slopes_B = token_weights(single, objective, options, progress).weights_T
            expected_T = (slopes_B / batch.lengths_B)[batch.rollout_T]
            if not torch.allclose(weights_T, expected_T, rtol=1e-9, atol=1e-12):
                return False
    return True


def score_batch(
    scores_B: torch.Tensor, sizes: list[int], correct: list[bool], rewards: list[float]
) -> GroupBatch:
    """A batch of one-token responses with these scores, whose log-probabilities the scores are."""
    return GroupBatch.of(scores_B, scores_B, [1] * len(scores_B), sizes, correct, rewards=rewards)
