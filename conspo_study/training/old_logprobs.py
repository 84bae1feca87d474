"""The log-probabilities that ratios refer to: log pi_old of each group of a rollout batch.

`update.old_logprobs` names their source. With `trainer` they are the trainer's. The first optimiser
step on a batch scores its groups with the weights that sampled; the groups of later mini-batches
are scored, too, before that step moves the weights. (With `rollout.ahead` responses were drawn one
update earlier; ratios refer to the weights at the batch's first step, and its comparison of trainer
and sampler measures the distance.)

With `sampler` they are those that the sampler reported. `auto` makes the first step's comparison
the judge: where trainer and sampler agree on every token of every worker within `AGREEMENT_NATS`,
it trusts the sampler for the other groups; otherwise it is `trainer`, bit for bit. The decision
rests on the batch alone, over all workers: they all decide alike, however many there are, and
nothing needs to survive a resume. Single odd tokens in other mini-batches escape it; a sampler that
computes something else does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from conspo_study.objective.diagnostics import mismatch_metrics
from conspo_study.records import Part
from conspo_study.training.step_groups import StepGroup, by_group, prompts_of, responses_of
from conspo_study.update.gradient import MicroBatchedPolicy
from conspo_study.update.world import World

AGREEMENT_NATS = 1e-4
"""Largest difference of a token's log-probabilities, in nats, at which trainer and sampler agree:
some ten times the rounding of float32 kernels that batch the same tokens differently."""


class OldLogprobs:
    """log pi_old of the groups of one rollout batch on this worker.

    source: `update.old_logprobs`. groups: all groups of this worker.
    """

    def __init__(self, source: str, groups: Sequence[StepGroup], world: World):
        self.source, self.groups, self.world = source, groups, world
        self._by_group: dict[int, Tensor] = {}
        self.scored: Sequence[StepGroup] = ()
        """The groups that `settle` had to score."""
        if source == "sampler":
            self._by_group = {group.index: group.sampled_T for group in groups}

    def of(self, groups: Sequence[StepGroup], current_T: Tensor) -> Tensor:
        """log pi_old of the tokens of `groups`: [T].

        current_T: their log-probabilities under the policy as it is now, [T], which become log
        pi_old of the groups that have none yet.
        """
        self._by_group = by_group(groups, current_T) | self._by_group
        return torch.cat([self._by_group[group.index].to(current_T.device) for group in groups])

    def mismatch(self, groups: Sequence[StepGroup], current_T: Tensor) -> dict[str, Part]:
        """Metrics of trainer against sampler on `groups`, which the current weights have scored."""
        if not groups:
            return {}
        return mismatch_metrics(current_T, torch.cat([group.sampled_T for group in groups]))

    def settle(self, policy: MicroBatchedPolicy) -> tuple[bool, dict[str, Part]]:
        """Fix log pi_old of the groups that the first mini-batch left out; collective.

        Must be called between the gradient of the first mini-batch and its step, while the weights
        are those that sampled. Returns whether the sampler was trusted, and the metrics of trainer
        against sampler of the groups that had to be scored.
        """
        waiting = [group for group in self.groups if group.index not in self._by_group]
        trusted = self.source == "sampler" or (self.source == "auto" and self._agrees())
        if trusted:
            self._by_group |= {group.index: group.sampled_T for group in waiting}
        elif waiting or self.world.sharded:  # others may wait
            scores_T = policy.score_without_graph(prompts_of(waiting), responses_of(waiting))
            self.scored = waiting
            self._by_group |= by_group(waiting, scores_T)
            if waiting:
                sampled_T = torch.cat([group.sampled_T for group in waiting])
                return trusted, mismatch_metrics(scores_T, sampled_T)
        return trusted, {}

    def _agrees(self) -> bool:
        """Whether trainer and sampler agree on all scored tokens of all workers."""
        gaps = [
            float((self._by_group[group.index].cpu() - group.sampled_T).abs().max())
            for group in self.groups
            if group.index in self._by_group
        ]
        return all(self.world.gather(all(gap <= AGREEMENT_NATS for gap in gaps)))
