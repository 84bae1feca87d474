"""The optimiser steps on one rollout batch: mini-batches, old log-probabilities, corrections."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

from conspo_study.config import RunConfig
from conspo_study.objective import GroupBatch, Progress, Totals, objective_of
from conspo_study.objective.diagnostics import (
    credits_of,
    grpo_identity_gap,
    mismatch_metrics,
    ratio_metrics,
    score_metrics,
)
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import can_pack
from conspo_study.records import (
    CreditRow,
    FinishStatus,
    Group,
    Mean,
    Part,
    Peak,
    Rollout,
    add_parts,
)
from conspo_study.reward.shaping import overlong_penalty
from conspo_study.training.clock import Clock
from conspo_study.training.flops import ModelFlops, matmul_rate
from conspo_study.training.kept_rollouts import Push
from conspo_study.update.errors import MismatchError
from conspo_study.update.gradient import accumulate_gradient, score_without_graph
from conspo_study.update.memory import peak_memory_gib
from conspo_study.update.micro_batches import Budget
from conspo_study.update.step import StepOutcome, Updater

AGREEMENT_NATS = 1e-4
"""Largest difference of a token's log-probabilities, in nats, at which trainer and sampler agree:
some ten times the rounding of float32 kernels that batch the same tokens differently."""

ABSURD_NATS = {False: (0.01, 1.0), True: (0.3, 20.0)}
"""Mean and largest difference of a token's log-probabilities, in nats, beyond which sampler and
trainer do not compute the same thing, by whether either computes in half precision. In float32 they
differ by some 1e-6 and 1e-4 at most; in bfloat16, with 2^16 times its rounding, by some 0.02 in the
mean, and by a few nats for single tokens of models with experts."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A group of the rollout batch."""

    index: int
    """Among the groups of all workers."""
    group: Group
    sampled_T: Tensor
    """Log-probabilities that the sampler reported."""

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        return self.group.rollouts


@dataclass(slots=True)
class _Batch:
    """What has become of a rollout batch so far, on this worker."""

    parts: dict[str, Part]
    storing: bool
    """Whether credits are due."""
    old_T: dict[int, Tensor]
    """By group index, the log-probabilities that its ratios refer to, once they are known."""
    losses: list[float] = field(default_factory=list)
    """Of each optimiser step, over all workers."""
    outcomes: list[StepOutcome] = field(default_factory=list)
    staleness: list[int] = field(default_factory=list)
    """How often the weights had moved, before each step, since the first of its rollouts was
    drawn."""
    flops: float = 0.0
    """That the passes over this worker's share needed."""
    credits: list[CreditRow] = field(default_factory=list)
    pushes: dict[int, list[Push]] = field(default_factory=dict)
    """By group index, one per rollout, of the first step on the group."""


class PolicyUpdate:
    """Turns groups into optimiser steps. Collective: all workers call `run` together.

    The first step on a rollout batch scores its groups with the very weights that sampled, unless
    they were asked to do so ahead, so that trainer and sampler are compared at no cost. What ratios
    refer to is `update.old_logprobs`: `trainer` takes that scoring for the first step, whose ratios
    are then exactly 1, and scores the other groups before any weight moves; `sampler` trusts what
    the sampler reported. `auto` spares the further scoring where it is not needed: when no token of
    the first mini-batch differs by more than `AGREEMENT_NATS` it trusts the sampler for the other
    groups, and otherwise it is `trainer`, bit for bit. The rule knows only the batch at hand, and
    that of all workers: they all decide alike, however many there are, and nothing needs to survive
    a resume. Single odd tokens in other mini-batches escape it; a sampler that computes something
    else does not.
    """

    def __init__(self, config: RunConfig, model: Any, updater: Updater):
        self.config, self.model, self.updater = config, model, updater
        self.world = updater.world
        self.objective = objective_of(type(config.objective))
        self._flops, self._clock = ModelFlops.of(model), Clock()
        self.budget = Budget(config.update.micro_batch_tokens, packed=can_pack(model))
        self.credits: list[CreditRow] = []
        """Of the last rollout batch, over all workers; empty where `store_credits_every` asks for
        none."""
        self.pushes: list[list[Push]] = []
        """For each of the last groups of this worker, what the first step on it made of its
        rollouts."""

    def run(
        self,
        groups: Sequence[Group],
        progress: Progress,
        seed: int,
        clock: Clock | None = None,
    ) -> dict[str, float]:
        """Update on this worker's `groups`; returns the metrics of all workers.

        Group g of the step, counted over all workers, belongs to mini-batch g mod `mini_batches`,
        in an order that `seed` shuffles anew in every epoch, so that the split does not depend on
        the number of workers. Nothing happens, and {} is returned, when no worker has a group.
        """
        settings = self.config.update
        self._clock = clock or Clock()
        with self._clock.stage("wait"):
            held = self.world.gather(len(groups))
        self.credits, self.pushes = [], []
        if not sum(held):
            return {}
        first = sum(held[: self.world.rank])
        halved = self.budget.halved
        members = [
            _Member(index, group, torch.tensor([p for r in group.rollouts for p in r.logprobs]))
            for index, group in enumerate(groups, start=first)
        ]
        trusted = settings.old_logprobs == "sampler"
        every = settings.store_credits_every
        batch = _Batch(
            parts=self._shaping(members),
            storing=every > 0 and progress.step % every == 0,
            old_T={member.index: member.sampled_T for member in members if trusted},
        )
        found = {"groups": float(sum(held))}
        versions = [r.weights_version for m in members for r in m.rollouts]
        oldest = min(self.world.gather(min(versions, default=self.updater.applied)))
        for epoch in range(settings.epochs_per_batch):
            order = list(range(sum(held)))
            if epoch:
                random.Random(f"{seed}:{epoch}").shuffle(order)
            for part in range(settings.mini_batches):
                chosen = [m for m in members if order[m.index] % settings.mini_batches == part]
                totals = self._totals(chosen)
                if totals.groups:  # fewer groups than mini-batches leave some of them empty
                    batch.losses.append(self._accumulate(chosen, totals, progress, batch))
                    if not batch.outcomes:
                        found |= self._fix_old(members, batch)
                    batch.staleness.append(self.updater.applied - oldest)
                    with self._clock.stage("optimizer"):
                        batch.outcomes.append(self.updater.step())
                    self._clock.move(batch.outcomes[-1].sync_s, "optimizer", "sync")
        if batch.storing:
            rows = chain.from_iterable(self.world.gather(batch.credits))
            self.credits = sorted(rows, key=lambda row: (row.update, row.group, row.rollout))
        self.pushes = [batch.pushes[member.index] for member in members]
        device = next(self.model.parameters()).device
        batch.parts["peak_memory_gib"] = Peak(peak_memory_gib(device))
        outcomes, count = batch.outcomes, len(batch.outcomes)
        found |= {
            "loss": sum(batch.losses) / count,
            "grad_norm": sum(outcome.grad_norm for outcome in outcomes) / count,
            "grad_clipped": sum(outcome.clipped for outcome in outcomes) / count,
            "step_skipped": sum(outcome.skipped for outcome in outcomes) / count,
            "learning_rate": outcomes[-1].learning_rate,
            "updates": float(count),
            "staleness": sum(batch.staleness) / count,
            "micro_batches_halved": self.world.sum([self.budget.halved and not halved])[0],
            "mfu": self._utilisation(batch.flops),
        }
        return self.world.metrics(batch.parts) | found

    def refuse_absurd_mismatch(self, metrics: Mapping[str, float]) -> None:
        """Raise MismatchError where what `run` returned of a policy's first update shows that the
        responses were drawn from something else than the policy that is trained."""
        if "mismatch_max" not in metrics:
            return
        policy, rollout = self.config.policy, self.config.rollout
        sampled_in = rollout.vllm_dtype if rollout.engine == "vllm" else policy.precision
        mean, most = ABSURD_NATS[{policy.precision, sampled_in} != {"float32"}]
        found = metrics["mismatch_abs"], metrics["mismatch_max"]
        if found[0] > mean or found[1] > most:
            raise MismatchError(
                f"sampler ({rollout.engine}) and trainer give the same tokens log-probabilities "
                f"that differ by {found[0]:.3g} nats on average and {found[1]:.3g} at most "
                f"(expected: below {mean:g} and {most:g}), although their weights are the same: "
                "one of them computes this model wrongly, such as its attention windows or rotary "
                "embedding; use another rollout.engine, policy.attention=eager or another model"
            )

    def _utilisation(self, flops: float) -> float:
        """Model FLOP utilisation of scoring and backward passes, over all workers."""
        device = next(self.model.parameters()).device
        lower = self.config.policy.precision == "bfloat16"
        dtype = torch.bfloat16 if lower else torch.float32
        rate = matmul_rate(device, dtype, torch.get_num_threads())
        seconds = sum(self._clock.seconds.get(stage, 0.0) for stage in ("score", "backward"))
        done, could = self.world.sum([flops, seconds * rate])
        return done / could if could else 0.0

    def _totals(self, members: Sequence[_Member]) -> Totals:
        rollouts = [rollout for member in members for rollout in member.rollouts]
        tokens = sum(len(rollout.tokens) for rollout in rollouts)
        return Totals(*map(int, self.world.sum([len(members), len(rollouts), tokens])))

    def _accumulate(
        self, members: Sequence[_Member], totals: Totals, progress: Progress, batch: _Batch
    ) -> float:
        """Add the gradient of this worker's share of a mini-batch; the loss over all workers."""
        rollouts = [rollout for member in members for rollout in member.rollouts]
        shares: list[GroupBatch] = []
        advantages: list[Tensor | None] = []

        def loss_of(logprobs_T: Tensor) -> Tensor:
            with self._clock.stage("objective"):
                return loss(logprobs_T)

        def loss(logprobs_T: Tensor) -> Tensor:
            if not members:
                self.world.sum([0.0])  # its part of kl_old
                return logprobs_T.sum()
            current_T = logprobs_T.detach()
            sampled_T = torch.cat([m.sampled_T for m in members]).to(current_T.device)
            old_T = self._old(members, current_T, batch)
            drift = float((old_T - current_T).double().sum())
            share = GroupBatch.of(
                logprobs_T,
                old_T,
                [len(rollout.tokens) for rollout in rollouts],
                [len(member.rollouts) for member in members],
                list(chain.from_iterable(member.group.correct for member in members)),
                totals,
                rewards=list(chain.from_iterable(map(self._rewards, members))),
                kl_old=self.world.sum([drift])[0] / totals.tokens,
                correction_T=self._correction(old_T, sampled_T),
                max_response_length=self.config.rollout.max_new_tokens,
            )
            shares.append(share)
            output = self.objective(share, self.config.objective, progress)
            advantages.append(output.advantages_B)
            add_parts(batch.parts, output.metrics)
            add_parts(batch.parts, score_metrics(share) | ratio_metrics(share))
            add_parts(batch.parts, {"grpo_identity_gap": Peak(grpo_identity_gap(share))})
            if not batch.outcomes:  # the weights are still those that sampled, or the next
                add_parts(batch.parts, mismatch_metrics(current_T, sampled_T))
            return output.loss

        prompts = [member.group.prompt_tokens for member in members for _ in member.rollouts]
        responses = [rollout.tokens for rollout in rollouts]
        batch.flops += self._flops.training(prompts, responses)
        with self._clock.stage("backward"):
            result = accumulate_gradient(
                self._score,
                prompts,
                responses,
                loss_of,
                self.budget,
                self.updater.parameters,
                self.world,
            )
        if members:
            pushes = _pushes(members, shares[0], result.weights_T, advantages[0])
            batch.pushes = pushes | batch.pushes
            if batch.storing:
                batch.credits += _credit_rows(len(batch.outcomes), members, pushes)
        return self.world.sum([result.loss])[0]

    def _old(self, members: Sequence[_Member], current_T: Tensor, batch: _Batch) -> Tensor:
        """What the ratios of these groups refer to: the policy itself while that is not known."""
        sizes = [len(member.sampled_T) for member in members]
        for member, own_T in zip(members, torch.split(current_T, sizes), strict=True):
            batch.old_T.setdefault(member.index, own_T)
        return torch.cat([batch.old_T[member.index].to(current_T.device) for member in members])

    def _fix_old(self, members: Sequence[_Member], batch: _Batch) -> dict[str, float]:
        """Settle what ratios refer to in the groups that the first mini-batch left out.

        Called between its gradient and its step, while the weights are those that sampled.
        """
        settings = self.config.update
        waiting = [member for member in members if member.index not in batch.old_T]
        trusted = settings.old_logprobs == "sampler"
        if settings.old_logprobs == "auto":
            scored = [member for member in members if member.index in batch.old_T]
            gaps = [float((batch.old_T[m.index].cpu() - m.sampled_T).abs().max()) for m in scored]
            agreed = all(gap <= AGREEMENT_NATS for gap in gaps)
            trusted = all(self.world.gather(agreed))
        if trusted:
            batch.old_T |= {member.index: member.sampled_T for member in waiting}
        elif waiting or self.world.sharded:  # others may wait
            scores = score_without_graph(
                self._score,
                [member.group.prompt_tokens for member in waiting for _ in member.rollouts],
                [rollout.tokens for member in waiting for rollout in member.rollouts],
                self.budget,
                self.world,
            )
            rows = iter(scores)
            for member in waiting:
                batch.old_T[member.index] = torch.cat([next(rows) for _ in member.rollouts])
            if waiting:
                sampled_T = torch.cat([member.sampled_T for member in waiting])
                add_parts(batch.parts, mismatch_metrics(torch.cat(scores), sampled_T))
        return {"old_logprobs_sampler": float(trusted)}

    def _score(self, prompts: Any, responses: Any) -> Tensor:
        temperature, precision = self.config.rollout.temperature, self.config.policy.precision
        with self._clock.stage("score"):
            return response_logprobs(self.model, prompts, responses, temperature, precision)

    def _shaping(self, members: Sequence[_Member]) -> dict[str, Part]:
        """The reward that advantages read and the penalty in it, where lengths are penalised."""
        if not self.config.reward.overlong_cache:
            return {}
        shaped = [reward for member in members for reward in self._rewards(member)]
        raw = [reward for member in members for reward in member.group.rewards]
        return {
            "shaped_reward": Mean(sum(shaped), len(shaped)),
            "overlong_penalty": Mean(sum(shaped) - sum(raw), len(shaped)),
        }

    def _rewards(self, member: _Member) -> list[float]:
        """The rewards, less what lengths cost."""
        rewards = list(member.group.rewards)
        cache, limit = self.config.reward.overlong_cache, self.config.rollout.max_new_tokens
        if cache:
            for i, rollout in enumerate(member.rollouts):
                length = len(rollout.tokens) + (rollout.status is FinishStatus.TRUNCATED)
                rewards[i] += overlong_penalty(length, limit, cache)
        return rewards

    def _correction(self, old_T: Tensor, sampled_T: Tensor) -> Tensor | None:
        """Truncated importance weights of the trainer against the sampler, if configured."""
        cap = self.config.update.importance_cap
        return None if cap is None else (old_T - sampled_T).exp().clamp(max=cap).detach()


def _pushes(
    members: Sequence[_Member], share: GroupBatch, weights_T: Tensor, advantages_B: Tensor | None
) -> dict[int, list[Push]]:
    """By group index, what this optimiser step makes of the rollouts of a worker's share."""
    scores = iter(share.rollout_mean(share.logprobs_T.detach()).tolist())
    credits = iter(credits_of(share, weights_T).tolist())
    advantages = repeat(None) if advantages_B is None else iter(advantages_B.tolist())
    return {
        member.index: [Push(next(scores), next(credits), next(advantages)) for _ in member.rollouts]
        for member in members
    }


def _credit_rows(
    update: int, members: Sequence[_Member], pushes: Mapping[int, Sequence[Push]]
) -> list[CreditRow]:
    """The credits that this optimiser step gives to the rollouts of a worker's share."""
    return [
        CreditRow(
            update=update,
            group=member.index,
            problem_id=member.group.problem_id,
            rollout=i,
            correct=member.group.correct[i],
            score=push.score,
            credit=push.credit,
            response_tokens=len(rollout.tokens),
        )
        for member in members
        for i, (rollout, push) in enumerate(zip(member.rollouts, pushes[member.index], strict=True))
    ]
