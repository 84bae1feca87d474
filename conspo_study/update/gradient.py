"""The exact gradient of a group objective, in micro-batches of any size.

A group loss couples all rollouts of a group, but it reaches the model only through their token
log-probabilities. So: (1) the log-probabilities are computed; (2) the loss is differentiated with
respect to them alone, which gives one weight per token; (3) sum(weight * log-probability) is
back-propagated in micro-batches. The result is the gradient of the whole loss, whatever the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from conspo_study.update.micro_batches import Budget, Tokens, plan_micro_batches
from conspo_study.update.world import World

Result = TypeVar("Result")

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
    score: Score,
    prompts: Sequence[Tokens],
    responses: Sequence[Tokens],
    budget: Budget,
    world: World | None = None,
) -> list[Tensor]:
    """Log-probabilities of each response, constant, in micro-batches that keep to `budget`.

    It is halved, once, and all is scored again when memory runs out; not in a sharded `world`,
    where this is collective and a worker without responses takes part.
    """
    world = world or World()

    def forward() -> list[Tensor]:
        with torch.no_grad():
            return _Share.of(prompts, responses, budget, world).scored(score)

    return _sparing(forward, budget, world)[: len(responses)]


def accumulate_gradient(
    score: Score,
    prompts: Sequence[Tokens],
    responses: Sequence[Tokens],
    loss_of: Callable[[Tensor], Tensor],
    budget: Budget,
    parameters: Sequence[Tensor],
    world: World | None = None,
) -> TokenWeights:
    """Leave the gradient of `loss_of` in the `.grad` of `parameters`, in place of what was there.

    When everything fits the budget the log-probabilities are computed once and their graphs kept;
    otherwise they are computed without graphs first and again, micro-batch by micro-batch, with.
    When memory runs out the budget is halved, once, and the forward or backward passes begin again;
    `loss_of` is called once in any case. Not in a sharded `world`, where this is collective: the
    other workers would wait for the passes that one of them repeats.
    """
    world = world or World()
    count = len(responses)

    def forward() -> list[Tensor]:
        share = _Share.of(prompts, responses, budget, world)
        # A sharded model goes forward and backward in turn, on all workers alike.
        keep_graphs = len(share.batches) == 1 if world.sharded else share.tokens <= budget.tokens
        with torch.set_grad_enabled(keep_graphs):
            return share.scored(score)

    rows = _sparing(forward, budget, world)
    own_T = torch.cat(rows[:count]) if count else torch.empty(0)
    result = token_weights(own_T, loss_of)
    weights = [
        *torch.split(result.weights_T, [len(response) for response in responses]),
        *map(torch.zeros_like, rows[count:]),
    ]
    graphs = rows if rows and rows[0].requires_grad else []

    def backward() -> None:
        for parameter in parameters:
            parameter.grad = None
        if graphs:
            kept = graphs.copy()
            graphs.clear()
            torch.autograd.backward(kept, weights)
            return
        share = _Share.of(prompts, responses, budget, world)
        for batch in share.batches:
            torch.autograd.backward(share.score(score, batch), [weights[i] for i in batch])

    del own_T
    _sparing(backward, budget, world)
    return result


_STAND_IN = (0,)
"""Prompt and response of a worker that has nothing left to score while others have."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What this worker scores, and in which micro-batches."""

    prompts: Sequence[Tokens]
    responses: Sequence[Tokens]
    batches: list[list[int]]
    tokens: float
    """What all of them cost, as the budget counts."""

    @classmethod
    def of(
        cls,
        prompts: Sequence[Tokens],
        responses: Sequence[Tokens],
        budget: Budget,
        world: World,
    ) -> _Share:
        """Plan micro-batches; in a sharded world as many on every worker, stand-ins at the end."""
        plan = plan_micro_batches(prompts, responses, budget)
        own = len(plan.batches)
        missing = max(world.gather(own)) - own if world.sharded else 0
        count = len(responses)
        return cls(
            [*prompts, *[_STAND_IN] * missing],
            [*responses, *[_STAND_IN] * missing],
            [*plan.batches, *([index] for index in range(count, count + missing))],
            plan.tokens,
        )

    def score(self, score: Score, batch: Sequence[int]) -> tuple[Tensor, ...]:
        """Log-probabilities of each response of one micro-batch."""
        flat_T = score([self.prompts[i] for i in batch], [self.responses[i] for i in batch])
        return torch.split(flat_T, [len(self.responses[i]) for i in batch])

    def scored(self, score: Score) -> list[Tensor]:
        """Log-probabilities of each response, in their order."""
        rows: list[Tensor] = [torch.empty(0)] * len(self.responses)
        for batch in self.batches:
            for index, row in zip(batch, self.score(score, batch), strict=True):
                rows[index] = row
        return rows


def _sparing(work: Callable[[], Result], budget: Budget, world: World) -> Result:
    """The result of `work()`, which is done again with half the budget if memory runs out."""
    try:
        return work()
    except torch.OutOfMemoryError:
        if world.sharded or not budget.halve():
            raise
    # Only here, since the error's traceback holds what the attempt had allocated.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return work()
