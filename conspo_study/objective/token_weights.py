"""The weight of each token: the derivative of a group objective by its log-probability.

A loss over whole groups reaches the policy's parameters theta only through the log-probabilities
l_t = log pi_theta(o_t) of the response tokens. So its gradient is, by the chain rule,

    d loss / d theta = sum over tokens t of w_t (d l_t / d theta),    w_t = d loss / d l_t

The weights need the log-probabilities of whole groups, but neither the model nor its graph; the sum
can then be taken in micro-batches of any size, on any number of workers
(`conspo_study.update.gradient`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.registry import Objective
from conspo_study.records import Part


class TokenWeights(NamedTuple):
    """A loss and its derivative by the log-probabilities, all of them constant."""

    loss: float
    """Of these groups: this worker's share when the groups of a step are spread over workers."""
    weights_T: Tensor
    """d loss / d log pi_theta of each token: [T]."""
    metrics: dict[str, Part]
    """Metrics of the objective; see `ObjectiveOutput`."""
    advantages_B: Tensor | None
    """Advantage of each rollout: [B]; None for an objective without advantages."""


def token_weights(
    batch: GroupBatch, objective: Objective, options: ObjectiveOptions, progress: Progress
) -> TokenWeights:
    """Differentiate the loss of whole groups by the log-probability of each token.

    `batch.logprobs_T` [T] may be constant; a graph behind it is neither used nor kept. The loss is
    to be minimised: a response with negative weights becomes more likely.
    """
    leaf_T = batch.logprobs_T.detach().requires_grad_()
    output = objective(replace(batch, logprobs_T=leaf_T), options, progress)
    (weights_T,) = torch.autograd.grad(output.loss, leaf_T)
    advantages_B = None if output.advantages_B is None else output.advantages_B.detach()
    return TokenWeights(float(output.loss.detach()), weights_T, output.metrics, advantages_B)
