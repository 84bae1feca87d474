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
    batches = plan_micro_batches(_lengths(prompts, responses), budget)
    with torch.no_grad():
        return _score_rows(score, prompts, responses, batches)


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
    lengths = _lengths(prompts, responses)
    batches = plan_micro_batches(lengths, budget)
    keep_graphs = padded_tokens(batches, lengths) <= budget
    with torch.set_grad_enabled(keep_graphs):
        rows = _score_rows(score, prompts, responses, batches)
    result = token_weights(torch.cat(rows), loss_of)
    weights = torch.split(result.weights_T, [len(response) for response in responses])
    if keep_graphs:
        torch.autograd.backward(rows, weights)
    else:
        for batch in batches:
            again = _score_batch(score, prompts, responses, batch)
            torch.autograd.backward(again, [weights[i] for i in batch])
    return result


def _lengths(prompts: Sequence[Tokens], responses: Sequence[Tokens]) -> list[int]:
    return [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]


def _score_batch(
    score: Score, prompts: Sequence[Tokens], responses: Sequence[Tokens], batch: Sequence[int]
) -> tuple[Tensor, ...]:
    """Log-probabilities of each response of one micro-batch."""
    flat_T = score([prompts[i] for i in batch], [responses[i] for i in batch])
    return torch.split(flat_T, [len(responses[i]) for i in batch])


def _score_rows(
    score: Score,
    prompts: Sequence[Tokens],
    responses: Sequence[Tokens],
    batches: Sequence[Sequence[int]],
) -> list[Tensor]:
    """Log-probabilities of each response, in their order."""
    rows: list[Tensor] = [torch.empty(0)] * len(responses)
    for batch in batches:
        for index, row in zip(batch, _score_batch(score, prompts, responses, batch), strict=True):
            rows[index] = row
    return rows
