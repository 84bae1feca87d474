"""The optimiser steps on one rollout batch.

For each mini-batch of whole groups: score its responses, weigh their tokens, back-propagate the
weights, step. The gradient is exact for groups of any size (`conspo_study.update.gradient`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import torch
from torch import Tensor
from transformers import PreTrainedModel

from conspo_study.config import RunConfig
from conspo_study.objective import GroupBatch, Progress, Totals, objective_of, token_weights
from conspo_study.objective.diagnostics import (
    grpo_identity_gap,
    ratio_metrics,
    score_metrics,
)
from conspo_study.objective.direction import direction_metrics
from conspo_study.objective.regularization import importance_weighted, regularized
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import can_pack
from conspo_study.records import CreditRow, Group, Part, Peak, add_parts
from conspo_study.training.clock import Clock
from conspo_study.training.flops import ModelFlops, matmul_rate
from conspo_study.training.old_logprobs import OldLogprobs
from conspo_study.training.step_groups import (
    StepGroup,
    by_group,
    prompts_of,
    responses_of,
    shaping_metrics,
)
from conspo_study.training.step_result import Signal, UpdateResult, credit_rows, signals_of
from conspo_study.update.gradient import LogprobsOf, MicroBatchedPolicy, Scores
from conspo_study.update.memory import peak_memory_gib
from conspo_study.update.micro_batches import Budget, Tokens
from conspo_study.update.step import StepOutcome, Updater


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The groups of one mini-batch on this worker, as the objective weighs them."""

    loss: float
    weights: Tensor
    """d loss / d log pi of each response token: [T]; with a bonus for entropies [T, 2], beside
    d loss / d entropy."""
    parts: dict[str, Part]
    """Metrics, in parts that add up over workers and steps."""
    signals: list[list[Signal]]
    """By group and rollout."""


@dataclass(slots=True)
class _Steps:
    """The optimiser steps on one rollout batch so far."""

    losses: list[float] = field(default_factory=list)
    """Over all workers."""
    outcomes: list[StepOutcome] = field(default_factory=list)
    staleness: list[int] = field(default_factory=list)
    """How often the weights had moved, before each step, since the first of the rollouts was
    drawn."""
    flops: float = 0.0
    """Needed by the passes over this worker's responses."""
    credits: list[CreditRow] = field(default_factory=list)
    """Of this worker's groups at every step, if they are stored."""
    signals: dict[int, list[Signal]] = field(default_factory=dict)
    """By group index, of the first step on each of this worker's groups."""


class PolicyUpdate:
    """Turns groups into optimiser steps. Collective: all workers call `run` together."""

    def __init__(
        self,
        config: RunConfig,
        model: PreTrainedModel,
        updater: Updater,
        reference: LogprobsOf | None = None,
    ):
        """reference: the policy that `update.reference_kl` refers to, which that needs."""
        self.config, self.model, self.updater = config, model, updater
        self.reference = reference
        self.world = updater.world
        self.objective = objective_of(type(config.objective))
        self.flops = ModelFlops.of(model)
        self.budget = Budget(config.update.micro_batch_tokens, packed=can_pack(model))

    def run(
        self,
        groups: Sequence[Group],
        progress: Progress,
        seed: int,
        clock: Clock | None = None,
    ) -> UpdateResult:
        """Update on this worker's `groups`; metrics and credits are those of all workers.

        seed: shuffles the groups in every epoch but the first. clock: counts the stages. When no
        worker has a group, nothing happens and the result is empty.
        """
        clock = clock or Clock()
        with clock.stage("wait"):
            held = self.world.gather(len(groups))
        if not sum(held):
            return UpdateResult({}, [], [])
        batch = [
            StepGroup.of(index, group, self.config)
            for index, group in enumerate(groups, start=sum(held[: self.world.rank]))
        ]
        already_halved = self.budget.halved
        oldest = self._oldest_weights(batch)
        policy = MicroBatchedPolicy(
            partial(self._logprobs, clock), self.updater.parameters, self.budget, self.world
        )
        old = OldLogprobs(self.config.update.old_logprobs, batch, self.world)
        parts = shaping_metrics(batch, self.config)
        steps, trusted = _Steps(), False
        reference = self._reference(batch, clock, steps)
        every = self.config.update.store_credits_every
        storing = every > 0 and progress.step % every == 0
        for mini_batch in self._mini_batches(batch, sum(held), seed):
            totals = self._totals(mini_batch)
            if not totals.groups:
                continue  # fewer groups than mini-batches leave some of them empty
            prompts, responses = prompts_of(mini_batch), responses_of(mini_batch)
            first = not steps.outcomes
            with clock.stage("backward"):
                scores = policy.score(prompts, responses)
                with clock.stage("objective"):
                    weighed = self._weigh(mini_batch, scores, old, reference, totals, progress)
                policy.backward(scores, weighed.weights)
            add_parts(parts, weighed.parts)
            if first:  # the weights are still those that sampled, or the next
                add_parts(parts, old.mismatch(mini_batch, scores.logprobs_T))
                trusted, mismatch = old.settle(policy)
                add_parts(parts, mismatch)
                steps.flops += self.flops.forward(prompts_of(old.scored), responses_of(old.scored))
            steps.losses.append(self.world.sum([weighed.loss])[0])
            steps.staleness.append(self.updater.applied - oldest)
            steps.flops += self.flops.training(prompts, responses)
            if storing:
                steps.credits += credit_rows(len(steps.outcomes), mini_batch, weighed.signals)
            for group, of_group in zip(mini_batch, weighed.signals, strict=True):
                steps.signals.setdefault(group.index, of_group)
            with clock.stage("optimizer"):
                steps.outcomes.append(self.updater.step())
            clock.move(steps.outcomes[-1].sync_s, "optimizer", "sync")
        credits = self._of_all_workers(steps.credits) if storing else []
        parts["peak_memory_gib"] = Peak(peak_memory_gib(next(self.model.parameters()).device))
        metrics = {
            "groups": float(sum(held)),
            "old_logprobs_sampler": float(trusted),
            **self._step_metrics(steps),
            "micro_batches_halved": self.world.sum([self.budget.halved and not already_halved])[0],
            **self._work(steps.flops, clock),
        }
        signals = [steps.signals[group.index] for group in batch]
        return UpdateResult(self.world.metrics(parts) | metrics, credits, signals)

    def _logprobs(
        self, clock: Clock, prompts: Sequence[Tokens], responses: Sequence[Tokens]
    ) -> Tensor:
        """Log-probabilities of all response tokens at the sampling temperature: [T], or [T, 2] with
        entropies where they have a bonus."""
        temperature, precision = self.config.rollout.temperature, self.config.policy.precision
        entropy = self.config.update.entropy_bonus > 0
        with clock.stage("score"):
            how = temperature, precision, entropy
            return response_logprobs(self.model, prompts, responses, *how)

    def _reference(
        self, batch: Sequence[StepGroup], clock: Clock, steps: _Steps
    ) -> dict[int, Tensor]:
        """Log-probabilities under the reference of each of this worker's groups, by index; empty
        without a penalty."""
        if self.reference is None:
            return {}
        policy = MicroBatchedPolicy(self.reference, (), self.budget, self.world)
        prompts, responses = prompts_of(batch), responses_of(batch)
        with clock.stage("score"):
            scores_T = policy.score_without_graph(prompts, responses)
        steps.flops += self.flops.forward(prompts, responses)
        return by_group(batch, scores_T)

    def _mini_batches(
        self, batch: Sequence[StepGroup], count: int, seed: int
    ) -> Iterator[list[StepGroup]]:
        """This worker's share of every mini-batch of every epoch.

        Group g of the `count` groups of all workers belongs to mini-batch g mod `mini_batches`, in
        an order that is shuffled anew in every epoch but the first, so that the split does not
        depend on the number of workers.
        """
        settings = self.config.update
        for epoch in range(settings.epochs_per_batch):
            order = list(range(count))
            if epoch:
                random.Random(f"{seed}:{epoch}").shuffle(order)
            for part in range(settings.mini_batches):
                yield [g for g in batch if order[g.index] % settings.mini_batches == part]

    def _weigh(
        self,
        groups: Sequence[StepGroup],
        scores: Scores,
        old: OldLogprobs,
        reference: Mapping[int, Tensor],
        totals: Totals,
        progress: Progress,
    ) -> _Weighed:
        """Weigh the tokens of this worker's groups of a mini-batch.

        scores: of the current policy. reference: log-probabilities of each group under that of the
        penalty, if there is one. totals: sizes of the mini-batch over all workers.
        """
        if not groups:
            self.world.sum([0.0])  # its part of kl_old
            return _Weighed(0.0, scores.values, {}, [])
        logprobs_T, settings = scores.logprobs_T, self.config.update
        old_T = old.of(groups, logprobs_T)
        sampled_T = torch.cat([group.sampled_T for group in groups]).to(logprobs_T.device)
        drift = float((old_T - logprobs_T).double().sum())
        batch = GroupBatch.of(
            logprobs_T,
            old_T,
            [len(tokens) for tokens in responses_of(groups)],
            [len(group.rollouts) for group in groups],
            list(chain.from_iterable(group.group.correct for group in groups)),
            totals,
            rewards=list(chain.from_iterable(group.rewards for group in groups)),
            kl_old=self.world.sum([drift])[0] / totals.tokens,
            correction_T=self._correction(old_T, sampled_T),
            max_response_length=self.config.rollout.max_new_tokens,
        )
        weights = token_weights(batch, self.objective, self.config.objective, progress)
        of_weights = batch, weights.weights_T, self.objective, self.config.objective, progress
        parts = score_metrics(batch) | ratio_metrics(batch) | direction_metrics(*of_weights)
        parts |= {"grpo_identity_gap": Peak(grpo_identity_gap(batch))}
        if settings.importance_cap is not None and settings.importance_level == "sequence":
            weights = importance_weighted(weights, batch, sampled_T, settings.importance_cap)
        loss, both, metrics = regularized(
            settings,
            weights,
            logprobs_T,
            scores.entropies_T if settings.entropy_bonus else None,
            torch.cat([reference[group.index] for group in groups]) if reference else None,
            totals.tokens,
        )
        add_parts(parts, metrics)
        return _Weighed(loss, both, parts, signals_of(groups, batch, weights))

    def _correction(self, old_T: Tensor, sampled_T: Tensor) -> Tensor | None:
        """Truncated importance weights of each token, trainer against sampler, if configured:
        [T]."""
        settings = self.config.update
        if settings.importance_cap is None or settings.importance_level != "token":
            return None
        return (old_T - sampled_T).exp().clamp(max=settings.importance_cap)

    def _totals(self, groups: Sequence[StepGroup]) -> Totals:
        responses = responses_of(groups)
        sizes = [len(groups), len(responses), sum(map(len, responses))]
        return Totals(*map(int, self.world.sum(sizes)))

    def _oldest_weights(self, batch: Sequence[StepGroup]) -> int:
        """Optimiser steps behind the oldest weights that drew a rollout, over all workers."""
        versions = [rollout.weights_version for group in batch for rollout in group.rollouts]
        return min(self.world.gather(min(versions, default=self.updater.applied)))

    def _of_all_workers(self, credits: list[CreditRow]) -> list[CreditRow]:
        rows = chain.from_iterable(self.world.gather(credits))
        return sorted(rows, key=lambda row: (row.update, row.group, row.rollout))

    def _step_metrics(self, steps: _Steps) -> dict[str, float]:
        """Means over the optimiser steps; the last learning rate."""
        outcomes, count = steps.outcomes, len(steps.outcomes)
        return {
            "loss": sum(steps.losses) / count,
            "grad_norm": sum(outcome.grad_norm for outcome in outcomes) / count,
            "grad_clipped": sum(outcome.clipped for outcome in outcomes) / count,
            "step_skipped": sum(outcome.skipped for outcome in outcomes) / count,
            "learning_rate": outcomes[-1].learning_rate,
            "updates": float(count),
            "staleness": sum(steps.staleness) / count,
        }

    def _work(self, flops: float, clock: Clock) -> dict[str, float]:
        """FLOP of scoring and backward passes over all workers, and their utilisation."""
        device = next(self.model.parameters()).device
        lower = self.config.policy.precision == "bfloat16"
        dtype = torch.bfloat16 if lower else torch.float32
        rate = matmul_rate(device, dtype, torch.get_num_threads())
        seconds = sum(clock.seconds.get(stage, 0.0) for stage in ("score", "backward"))
        needed, possible = self.world.sum([flops, seconds * rate])
        return {"flops": needed, "mfu": needed / possible if possible else 0.0}
