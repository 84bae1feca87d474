"""The exact gradient of a group objective, in micro-batches of any size.

A group loss couples all rollouts of a group, but it reaches the model only through their token
log-probabilities. So: (1) the log-probabilities are computed; (2) the loss is differentiated with
respect to them alone, which gives one weight per token; (3) sum(weight * log-probability) is
back-propagated in micro-batches. The result is the gradient of the whole loss, whatever the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from conspo_study.update.micro_batches import padded_tokens, plan_micro_batches

Tokens = Sequence[int]
Score = Callable[[Sequence[Tokens], Sequence[Tokens]], Tensor]
"""(prompts, responses) -> log-probabilities [T] of all response tokens, in order; differentiable
in the parameters of the model that it closes over."""


class TokenWeights(NamedTuple):
    """The loss at the current policy and its derivative."""

    loss: float
    weights_T: Tensor
    """d loss / d log pi of each response token."""


def token_weights(logprobs_T: Tensor, loss_of: Callable[[Tensor], Tensor]) -> TokenWeights:
    """Differentiate `loss_of(logprobs_T)`, a scalar, with respect to the log-probabilities."""
    leaf_T = logprobs_T.detach().requires_grad_()
    loss = loss_of(leaf_T)
    (weights_T,) = torch.autograd.grad(loss, leaf_T)
    return TokenWeights(float(loss.detach()), weights_T)


def score_without_graph(
    score: Score, prompts: Sequence[Tokens], responses: Sequence[Tokens], budget: int
) -> list[Tensor]:
    """Log-probabilities of each response, constant, in micro-batches of at most `budget` tokens."""
    sizes = [len(response) for response in responses]
    lengths = [len(prompt) + size for prompt, size in zip(prompts, sizes, strict=True)]
    rows: list[Tensor] = [torch.empty(0)] * len(responses)
    with torch.no_grad():
        for batch in plan_micro_batches(lengths, budget):
            flat_T = score([prompts[i] for i in batch], [responses[i] for i in batch])
            for index, row in zip(
                batch, torch.split(flat_T, [sizes[i] for i in batch]), strict=True
            ):
                rows[index] = row
    return rows


def accumulate_gradient(
    score: Score,
    prompts: Sequence[Tokens],
    responses: Sequence[Tokens],
    loss_of: Callable[[Tensor], Tensor],
    budget: int,
) -> TokenWeights:
    """Add the gradient of `loss_of` to the parameters' `.grad`, holding at most `budget` tokens.

    When everything fits the budget the log-probabilities are computed once and their graphs kept;
    otherwise they are computed without graphs first and again, micro-batch by micro-batch, with.
    """
    sizes = [len(response) for response in responses]
    lengths = [len(prompt) + size for prompt, size in zip(prompts, sizes, strict=True)]
    batches = plan_micro_batches(lengths, budget)
    keep_graphs = padded_tokens(batches, lengths) <= budget

    def forward(batch: Sequence[int]) -> tuple[Tensor, ...]:
        flat_T = score([prompts[i] for i in batch], [responses[i] for i in batch])
        return torch.split(flat_T, [sizes[i] for i in batch])

    rows: list[Tensor] = [torch.empty(0)] * len(responses)
    with torch.set_grad_enabled(keep_graphs):
        for batch in batches:
            for index, row in zip(batch, forward(batch), strict=True):
                rows[index] = row
    result = token_weights(torch.cat(rows), loss_of)
    weights = torch.split(result.weights_T, sizes)
    if keep_graphs:
        torch.autograd.backward(rows, weights)
    else:
        for batch in batches:
            torch.autograd.backward(forward(batch), [weights[i] for i in batch])
    return result
