"""The exact gradient of a group objective, in micro-batches of any size.

A loss over whole groups couples all rollouts of a group, but it reaches the parameters theta only
through the log-probabilities l_t of the response tokens. With w_t = d loss / d l_t

    d loss / d theta = sum over tokens t of w_t (d l_t / d theta)

so a step takes three lines, of which only the middle one needs whole groups:

    scores = policy.score(prompts, responses)                         # l_t, constant
    weights = token_weights(batch_of(scores.logprobs_T), objective, options, progress)    # w_t
    policy.backward(scores, weights.weights_T)                        # sum of w_t (d l_t / d theta)

(`token_weights` is in `conspo_study.objective`.) Up to rounding this is the gradient of the whole
loss for micro-batches of any size; on several workers the sum of their gradients is. A loss that
also reads the entropies of the policy at these tokens has a second weight for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from conspo_study.update.micro_batches import Budget, Tokens, plan_micro_batches
from conspo_study.update.world import World

LogprobsOf = Callable[[Sequence[Tokens], Sequence[Tokens]], Tensor]
"""(prompts, responses) -> log-probabilities (nats) of all response tokens, in order: [T],
differentiable in the parameters of a policy; or [T, 2], with entropies in the second column.
`policy.logprobs.response_logprobs` of a model is one, as is any other that scores a response the
same whatever is beside it."""
_STAND_IN = (0,)
"""Prompt and response of a worker that has nothing left to score while others have."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of responses under the current policy, and entropies if it gives them."""

    prompts: Sequence[Tokens]
    responses: Sequence[Tokens]
    values: Tensor
    """Nats, of all response tokens, response after response: [T] or [T, 2], constant."""
    graphs: list[Tensor] = field(default_factory=list)
    """The same with their graphs, one tensor for each response, when all of them fit the budget of
    a micro-batch; `backward` uses them up. Otherwise empty."""

    @property
    def logprobs_T(self) -> Tensor:
        """Nats: [T]."""
        return _logprobs(self.values)

    @property
    def entropies_T(self) -> Tensor:
        """Nats, of a policy that gives them: [T]."""
        return self.values[:, 1]


class MicroBatchedPolicy:
    """A policy that scores responses and back-propagates token weights in micro-batches.

    logprobs_of: scores a micro-batch. parameters: those that receive gradients. budget: tokens of a
    micro-batch. When memory runs out the budget is halved, once, and the pass is repeated; not in a
    sharded `world`, where both methods are collective: the other workers would wait for the passes
    that one of them repeats. There a worker without responses takes part, too.
    """

    def __init__(
        self,
        logprobs_of: LogprobsOf,
        parameters: Iterable[Tensor],
        budget: Budget,
        world: World | None = None,
    ):
        self.logprobs_of = logprobs_of
        self.parameters = list(parameters)
        self.budget = budget
        self.world = world or World()

    def score(self, prompts: Sequence[Tokens], responses: Sequence[Tokens]) -> Scores:
        """Score `responses[i]` behind `prompts[i]`.

        When everything fits the budget, the graphs are kept, and `backward` needs no second forward
        pass. Raises torch.OutOfMemoryError when half of the budget is too much.
        """
        rows = self._sparing_memory(self._rows, prompts, responses, True)
        graphs = rows if rows and rows[0].requires_grad else []
        return Scores(prompts, responses, _joined(rows[: len(responses)]), graphs)

    def score_without_graph(self, prompts: Sequence[Tokens], responses: Sequence[Tokens]) -> Tensor:
        """Log-probabilities of all response tokens, constant: [T]. Raises as `score`."""
        rows = self._sparing_memory(self._rows, prompts, responses, False)
        return _logprobs(_joined(rows[: len(responses)]))

    def backward(self, scores: Scores, weights: Tensor) -> None:
        """Leave sum over tokens t of weights_t (d l_t / d theta) in the `.grad` of the parameters,
        in place of what was there.

        weights: [T], as `token_weights` gives them, or [T, 2] like `scores.values`. Raises as
        `score`.
        """
        of_each = torch.split(weights, [len(response) for response in scores.responses])
        self._sparing_memory(self._backward, scores, of_each)

    def _rows(
        self, prompts: Sequence[Tokens], responses: Sequence[Tokens], keep_graphs: bool
    ) -> list[Tensor]:
        """Log-probabilities of each response, those of stand-ins at the end."""
        share = _Share.of(prompts, responses, self.budget, self.world)
        # A sharded model goes forward and backward in turn, on all workers alike.
        fits = len(share.batches) == 1 if self.world.sharded else share.tokens <= self.budget.tokens
        rows = [torch.empty(0)] * len(share.responses)
        with torch.set_grad_enabled(keep_graphs and fits):
            for batch in share.batches:
                for index, row in zip(batch, share.scored(self.logprobs_of, batch), strict=True):
                    rows[index] = row
        return rows

    def _backward(self, scores: Scores, weights: Sequence[Tensor]) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        if scores.graphs:
            rows = scores.graphs.copy()
            scores.graphs.clear()  # a repetition must not meet graphs that are half used up
            _backward(rows, weights)
            return
        share = _Share.of(scores.prompts, scores.responses, self.budget, self.world)
        for batch in share.batches:
            _backward(
                share.scored(self.logprobs_of, batch),
                [weights[index] for index in batch if index < len(weights)],
            )

    def _sparing_memory(
        self,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """The result of `work`, repeated with half the budget if memory runs out."""
        try:
            return work(*arguments, **named)
        except torch.OutOfMemoryError:
            if self.world.sharded or not self.budget.halve():
                raise
        # Only here, since the error's traceback holds what the attempt had allocated.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return work(*arguments, **named)


@dataclass(frozen=True, slots=True)
class _Share:
    """The responses of this worker, and their micro-batches."""

    prompts: Sequence[Tokens]
    responses: Sequence[Tokens]
    batches: list[list[int]]
    tokens: float
    """Cost of all micro-batches, as the budget counts."""

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
        planned, count = len(plan.batches), len(responses)
        missing = max(world.gather(planned)) - planned if world.sharded else 0
        return cls(
            [*prompts, *[_STAND_IN] * missing],
            [*responses, *[_STAND_IN] * missing],
            [*plan.batches, *([index] for index in range(count, count + missing))],
            plan.tokens,
        )

    def scored(self, logprobs_of: LogprobsOf, batch: Sequence[int]) -> tuple[Tensor, ...]:
        """Log-probabilities of each response of one micro-batch."""
        flat_T = logprobs_of([self.prompts[i] for i in batch], [self.responses[i] for i in batch])
        return torch.split(flat_T, [len(self.responses[i]) for i in batch])


def _logprobs(values: Tensor) -> Tensor:
    return values if values.ndim == 1 else values[:, 0]


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat([*rows]).detach() if rows else torch.empty(0)


def _backward(rows: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Back-propagate sum(weight * log-probability); rows beyond the weights are stand-ins."""
    stand_ins = map(torch.zeros_like, rows[len(weights) :])
    torch.autograd.backward(tuple(rows), [*weights, *stand_ins])
