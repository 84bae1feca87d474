"""The optimiser steps on one rollout batch: mini-batches, old log-probabilities, corrections."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from conspo_study.config import ConSPOOptions, RunConfig
from conspo_study.objective import GroupBatch, Progress, Totals, objective_named
from conspo_study.objective.diagnostics import (
    grpo_identity_gap,
    margin_effect,
    mismatch_metrics,
    ratio_metrics,
    score_metrics,
)
from conspo_study.objective.margin import margin_at
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.records import FinishStatus, Group, Mean, Rollout, add_means
from conspo_study.reward.shaping import overlong_penalty
from conspo_study.update.gradient import accumulate_gradient, score_without_graph
from conspo_study.update.step import StepOutcome, Updater


@dataclass(frozen=True, slots=True)
class _Member:
    """A group of the rollout batch and the log-probabilities that its rollouts started from."""

    group: Group
    old_T: Tensor

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        return self.group.rollouts


class PolicyUpdate:
    """Turns groups into optimiser steps. Collective: all workers call `run` together."""

    def __init__(self, config: RunConfig, model: Any, updater: Updater):
        self.config, self.model, self.updater = config, model, updater
        self.world = updater.world
        self.objective = objective_named(config.objective.name)
        update = config.update
        self.one_step = update.mini_batches * update.epochs_per_batch == 1
        """With a single step per batch the policy is still the one that sampled."""

    def run(self, groups: Sequence[Group], progress: Progress, seed: int) -> dict[str, float]:
        """Update on this worker's `groups`; returns the metrics of all workers.

        Group g of the step, counted over all workers, belongs to mini-batch g mod `mini_batches`,
        in an order that `seed` shuffles anew in every epoch, so that the split does not depend on
        the number of workers. Nothing happens, and {} is returned, when no worker has a group.
        """
        settings = self.config.update
        held = self.world.gather(len(groups))
        if not sum(held):
            return {}
        before = sum(held[: self.world.rank])
        parts: dict[str, Mean] = {}
        members = self._members(groups, parts)
        outcomes: list[StepOutcome] = []
        losses = []
        for epoch in range(settings.epochs_per_batch):
            order = list(range(sum(held)))
            if epoch:
                random.Random(f"{seed}:{epoch}").shuffle(order)
            for part in range(settings.mini_batches):
                chosen = [
                    member
                    for index, member in enumerate(members, start=before)
                    if order[index] % settings.mini_batches == part
                ]
                totals = self._totals(chosen)
                if totals.groups:  # fewer groups than mini-batches leave some of them empty
                    losses.append(self._accumulate(chosen, totals, progress, parts))
                    outcomes.append(self.updater.step())
        count = len(outcomes)
        return self.world.means(parts) | {
            "loss": sum(losses) / count,
            "grad_norm": sum(outcome.grad_norm for outcome in outcomes) / count,
            "grad_clipped": sum(outcome.clipped for outcome in outcomes) / count,
            "step_skipped": sum(outcome.skipped for outcome in outcomes) / count,
            "learning_rate": outcomes[-1].learning_rate,
            "updates": float(count),
        }

    def _members(self, groups: Sequence[Group], parts: dict[str, Mean]) -> list[_Member]:
        """Fix the log-probabilities that ratios refer to, before any weight moves."""
        settings = self.config.update
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        sampled = [torch.tensor(rollout.logprobs) for rollout in rollouts]
        old = sampled
        if settings.old_logprobs == "trainer" and not self.one_step and rollouts:
            old = score_without_graph(
                self._score,
                [group.prompt_tokens for group in groups for _ in group.rollouts],
                [rollout.tokens for rollout in rollouts],
                settings.micro_batch_tokens,
            )
            parts.update(mismatch_metrics(torch.cat(old), torch.cat(sampled)))
        flat = iter(old)
        return [_Member(group, torch.cat([next(flat) for _ in group.rollouts])) for group in groups]

    def _totals(self, members: Sequence[_Member]) -> Totals:
        rollouts = [rollout for member in members for rollout in member.rollouts]
        tokens = sum(len(rollout.tokens) for rollout in rollouts)
        return Totals(*map(int, self.world.sum([len(members), len(rollouts), tokens])))

    def _accumulate(
        self,
        members: Sequence[_Member],
        totals: Totals,
        progress: Progress,
        parts: dict[str, Mean],
    ) -> float:
        """Add the gradient of this worker's share of a mini-batch; the loss over all workers."""
        if not members:
            self.world.sum([0.0])  # its part of kl_old
            return self.world.sum([0.0])[0]
        rollouts = [rollout for member in members for rollout in member.rollouts]
        sampled_T = torch.tensor(list(chain.from_iterable(r.logprobs for r in rollouts)))
        settings = self.config.update
        recompute = settings.old_logprobs == "trainer" and self.one_step

        def loss_of(logprobs_T: Tensor) -> Tensor:
            device = logprobs_T.device
            old_T = (
                logprobs_T.detach()
                if recompute
                else torch.cat([member.old_T for member in members]).to(device)
            )
            drift = float((old_T - logprobs_T.detach()).double().sum())
            batch = GroupBatch.of(
                logprobs_T,
                old_T,
                [len(rollout.tokens) for rollout in rollouts],
                [len(member.rollouts) for member in members],
                list(chain.from_iterable(member.group.correct for member in members)),
                totals,
                rewards=[self._reward(m.group, i) for m in members for i in range(len(m.rollouts))],
                kl_old=self.world.sum([drift])[0] / totals.tokens,
                correction_T=self._correction(old_T, sampled_T.to(device)),
                max_response_length=self.config.rollout.max_new_tokens,
            )
            output = self.objective(batch, self.config.objective, progress)
            found = output.metrics | score_metrics(batch) | ratio_metrics(batch)
            found |= self._checks(batch, progress)
            if recompute:
                found |= mismatch_metrics(logprobs_T, sampled_T)
            add_means(parts, found)
            return output.loss

        result = accumulate_gradient(
            self._score,
            [member.group.prompt_tokens for member in members for _ in member.rollouts],
            [rollout.tokens for rollout in rollouts],
            loss_of,
            settings.micro_batch_tokens,
        )
        return self.world.sum([result.loss])[0]

    def _checks(self, batch: GroupBatch, progress: Progress) -> dict[str, Mean]:
        """The paper's identity on live data, and how much ConSPO's margin can do at its tau."""
        found = {"grpo_identity_gap": Mean(grpo_identity_gap(batch), 1)}
        options = self.config.objective
        if isinstance(options, ConSPOOptions):
            margin = margin_at(options, progress.fraction)
            found["margin_effect"] = Mean(margin_effect(batch, options.tau, margin), 1)
        return found

    def _score(self, prompts: Any, responses: Any) -> Tensor:
        return response_logprobs(self.model, prompts, responses, self.config.rollout.temperature)

    def _reward(self, group: Group, index: int) -> float:
        rollout = group.rollouts[index]
        reward = float(group.correct[index])
        cache = self.config.reward.overlong_cache
        if cache:
            length = len(rollout.tokens) + (rollout.status is FinishStatus.TRUNCATED)
            reward += overlong_penalty(length, self.config.rollout.max_new_tokens, cache)
        return reward

    def _correction(self, old_T: Tensor, sampled_T: Tensor) -> Tensor | None:
        """Truncated importance weights of the trainer against the sampler, if configured."""
        cap = self.config.update.importance_cap
        return None if cap is None else (old_T - sampled_T).exp().clamp(max=cap).detach()
