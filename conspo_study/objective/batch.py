"""The batch of whole groups that every objective reads.

An objective minimises: `loss = -J` for a paper that maximises J. It sees log-probabilities only,
never the model, so the gradient of the loss with respect to them (one weight per token) is all that
the update needs, whatever the micro-batching. Shape letters: T tokens of all rollouts together,
B rollouts, Q groups, G the largest group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class Totals(NamedTuple):
    """Sizes of the optimiser step over all workers; every mean of a loss divides by one of them."""

    groups: int
    rollouts: int
    tokens: int


class Progress(NamedTuple):
    """The place of training: optimiser step `step` of `steps`, counted from 0."""

    step: int
    steps: int

    @property
    def fraction(self) -> float:
        """lambda_t in [0, 1]: 0 at the first step, 1 at the last."""
        return self.step / (self.steps - 1) if self.steps > 1 else 1.0


@dataclass(frozen=True)
class GroupBatch:
    """Whole groups with their token log-probabilities, ragged and without padding.

    Every group has contrast (groups without are dropped before a batch is formed), and the rollouts
    of a group are adjacent. Contrast is a correct and a wrong rollout; for an objective that reads
    rewards alone, two different rewards will do.
    """

    logprobs_T: Tensor
    """log pi_theta of each response token, rollout after rollout; the differentiable input."""
    old_logprobs_T: Tensor
    """log pi_old of the same tokens, constant."""
    lengths_B: Tensor
    """Response length of each rollout in tokens, >= 1 (int64)."""
    group_B: Tensor
    """Index 0..Q-1 of each rollout's group, non-decreasing (int64)."""
    correct_B: Tensor
    """Verified correct? (bool)."""
    rewards_B: Tensor
    """Reward of each rollout, read by advantages only (float64): 0 and 1 unless graded or
    shaped."""
    totals: Totals
    """Sizes over all workers; with one worker those of this batch."""
    kl_old: float | None
    """Mean over the tokens of all workers of log pi_old - log pi_theta, an estimate of
    KL(pi_old || pi_theta); None when unknown and this batch is not the whole step."""
    max_response_length: int | None
    """The rollouts' response limit in tokens; None like `kl_old`."""
    correction_T: Tensor | None
    """Constant weight of each token's loss, such as the truncated ratio of trainer to sampler;
    None is 1. Only losses that are sums over tokens can be weighted so: GRPO, DAPO, Dr. GRPO,
    CISPO, SAPO, DPPO, RLOO, MaxRL, REINFORCE and DRO. VESPO multiplies its sequence ratio by the
    product of a rollout's; objectives on other sequence ratios or on scores ignore it."""

    @classmethod
    def of(
        cls,
        logprobs_T: Tensor,
        old_logprobs_T: Tensor,
        lengths: Sequence[int],
        group_sizes: Sequence[int],
        correct: Sequence[bool],
        totals: Totals | None = None,
        *,
        rewards: Sequence[float] | None = None,
        kl_old: float | None = None,
        max_response_length: int | None = None,
        correction_T: Tensor | None = None,
    ) -> GroupBatch:
        """Build a batch from plain lists, checking that the pieces fit.

        Left out, `rewards` are the verdicts as 0 and 1. `kl_old` and `max_response_length` are
        taken from the batch itself, provided it holds the whole step. Beware of the latter: the
        longest response changes from step to step, the configured limit does not, so pass that.

        Raises ValueError naming what does not fit: token counts, group sizes, a group without
        contrast, or a response beyond the limit.
        """
        if sum(lengths) != len(logprobs_T) or len(logprobs_T) != len(old_logprobs_T):
            raise ValueError(
                f"{sum(lengths)} response tokens but {len(logprobs_T)} log-probabilities "
                f"and {len(old_logprobs_T)} old ones"
            )
        if not len(lengths) == len(correct) == sum(group_sizes):
            raise ValueError(
                f"{len(lengths)} lengths, {len(correct)} verdicts and groups of together "
                f"{sum(group_sizes)} rollouts"
            )
        if rewards is not None and len(rewards) != len(lengths):
            raise ValueError(f"{len(rewards)} rewards for {len(lengths)} rollouts")
        if correction_T is not None and len(correction_T) != len(logprobs_T):
            raise ValueError(f"{len(correction_T)} corrections for {len(logprobs_T)} tokens")
        longest = max(lengths, default=1)
        if max_response_length is not None and longest > max_response_length:
            raise ValueError(
                f"a response of {longest} tokens exceeds max_response_length {max_response_length}"
            )
        if min(lengths, default=1) < 1:
            raise ValueError("every rollout needs at least one token")
        start = 0
        for index, size in enumerate(group_sizes):
            members = slice(start, start + size)
            alike = len(set(rewards[members])) < 2 if rewards is not None else True
            if len(set(correct[members])) < 2 and alike:
                raise ValueError(f"group {index} has no contrast: drop it before forming a batch")
            start += size
        device = logprobs_T.device
        sizes = Totals(len(group_sizes), len(lengths), sum(lengths))
        if totals is None or totals == sizes:
            moved_T = old_logprobs_T.detach().double() - logprobs_T.detach().double()
            kl_old = float(moved_T.mean()) if kl_old is None else kl_old
            max_response_length = max_response_length or longest
        return cls(
            logprobs_T=logprobs_T,
            old_logprobs_T=old_logprobs_T,
            lengths_B=torch.tensor(lengths, dtype=torch.int64, device=device),
            group_B=torch.repeat_interleave(
                torch.arange(len(group_sizes)), torch.tensor(group_sizes, dtype=torch.int64)
            ).to(device),
            correct_B=torch.tensor(correct, dtype=torch.bool, device=device),
            rewards_B=torch.tensor(
                correct if rewards is None else rewards, dtype=torch.float64, device=device
            ),
            totals=totals or sizes,
            kl_old=kl_old,
            max_response_length=max_response_length,
            correction_T=None if correction_T is None else correction_T.detach(),
        )

    @cached_property
    def groups(self) -> int:
        """Q, the groups of this batch."""
        return int(self.group_B[-1]) + 1 if len(self.group_B) else 0

    @cached_property
    def rollout_T(self) -> Tensor:
        """Index of the rollout that each token belongs to."""
        rollouts = torch.arange(len(self.lengths_B), device=self.lengths_B.device)
        return torch.repeat_interleave(rollouts, self.lengths_B)

    @property
    def log_ratio_T(self) -> Tensor:
        """log rho = log pi_theta - log pi_old of each token."""
        return self.logprobs_T - self.old_logprobs_T

    @property
    def ratio_T(self) -> Tensor:
        """rho = pi_theta / pi_old of each token, unbounded."""
        return self.log_ratio_T.exp()

    def corrected(self, loss_T: Tensor) -> Tensor:
        """Per-token losses times the importance weights that the caller gave, if any."""
        return loss_T if self.correction_T is None else loss_T * self.correction_T

    def rollout_sum(self, values_T: Tensor) -> Tensor:
        """Sum over the tokens of each rollout: [T] -> [B]."""
        sums = torch.zeros(len(self.lengths_B), dtype=values_T.dtype, device=values_T.device)
        return sums.index_add(0, self.rollout_T, values_T)

    def rollout_mean(self, values_T: Tensor) -> Tensor:
        """Mean over the tokens of each rollout: [T] -> [B]."""
        return self.rollout_sum(values_T) / self.lengths_B

    def group_sum(self, values_B: Tensor) -> Tensor:
        """Sum over the rollouts of each group: [B] -> [Q]."""
        sums = torch.zeros(self.groups, dtype=values_B.dtype, device=values_B.device)
        return sums.index_add(0, self.group_B, values_B)

    @cached_property
    def has_verdicts_Q(self) -> Tensor:
        """True for groups with a correct and a wrong rollout: [Q]."""
        return (self.positives_Q > 0) & (self.negatives_Q > 0)

    def require_verdicts(self) -> None:
        """Raise ValueError where correct rollouts have no wrong one to be compared with, or none
        is correct: such groups are for objectives whose options say `contrast = "rewards"`."""
        if not self._all_have_verdicts:
            index = int((~self.has_verdicts_Q).nonzero()[0])
            raise ValueError(
                f"group {index} has no correct or no wrong rollout, and this objective compares "
                'them: leave `contrast` of its options at "verdicts"'
            )

    @cached_property
    def _all_have_verdicts(self) -> bool:
        return bool(self.has_verdicts_Q.all())

    def with_verdicts(self) -> GroupBatch:
        """The groups that have a correct and a wrong rollout; `totals` count these groups only."""
        if self._all_have_verdicts:
            return self
        keep_B = self.has_verdicts_Q[self.group_B]
        keep_T = keep_B[self.rollout_T]
        sizes = self.sizes_Q[self.has_verdicts_Q]
        kept = torch.arange(len(sizes), device=sizes.device)
        return replace(
            self,
            logprobs_T=self.logprobs_T[keep_T],
            old_logprobs_T=self.old_logprobs_T[keep_T],
            lengths_B=self.lengths_B[keep_B],
            group_B=torch.repeat_interleave(kept, sizes),
            correct_B=self.correct_B[keep_B],
            rewards_B=self.rewards_B[keep_B],
            totals=Totals(len(sizes), int(keep_B.sum()), int(keep_T.sum())),
            correction_T=None if self.correction_T is None else self.correction_T[keep_T],
        )

    def group_means(self, values_B: Tensor) -> tuple[Tensor, Tensor]:
        """Means over the correct and over the wrong rollouts of each group: [B] -> [Q], [Q].

        Raises ValueError for a group that has only one kind.
        """
        self.require_verdicts()
        correct_Q = self.group_sum(torch.where(self.correct_B, values_B, 0.0))
        wrong_Q = self.group_sum(torch.where(self.correct_B, 0.0, values_B))
        return correct_Q / self.positives_Q, wrong_Q / self.negatives_Q

    def centered(self, values_B: Tensor) -> Tensor:
        """Values minus a constant per group, near their mean: [B] -> [B].

        Contrasts of scores do not change; their small gaps keep digits that large scores cost.
        """
        center_Q = self.group_sum(values_B.detach()) / self.sizes_Q
        return values_B - center_Q[self.group_B]

    @cached_property
    def positives_Q(self) -> Tensor:
        """N+ of each group."""
        return self.group_sum(self.correct_B.to(self.lengths_B.dtype))

    @cached_property
    def sizes_Q(self) -> Tensor:
        """Rollouts of each group."""
        return self.group_sum(torch.ones_like(self.lengths_B))

    @cached_property
    def negatives_Q(self) -> Tensor:
        """N- of each group."""
        return self.sizes_Q - self.positives_Q

    @cached_property
    def slot_B(self) -> Tensor:
        """Place 0..G-1 of each rollout inside its group."""
        first_Q = torch.cumsum(self.sizes_Q, 0) - self.sizes_Q
        return torch.arange(len(self.group_B), device=self.group_B.device) - first_Q[self.group_B]

    @cached_property
    def wrong_W(self) -> Tensor:
        """Indices of the wrong rollouts."""
        return (~self.correct_B).nonzero().flatten()

    @cached_property
    def table_places(self) -> tuple[Tensor, Tensor, int]:
        """Row and column of each wrong rollout in a table with a row per group, and its width G."""
        return self.group_B[self.wrong_W], self.slot_B[self.wrong_W], int(self.sizes_Q.max())

    def negatives_table(self, values_B: Tensor) -> Tensor:
        """Values of the wrong rollouts, one row per group, -inf elsewhere: [B] -> [Q, G].

        Raises ValueError for a group that has only correct or only wrong ones.
        """
        self.require_verdicts()
        row_W, column_W, width = self.table_places
        table_QG = values_B.new_full((self.groups, width), -torch.inf)
        return table_QG.index_put((row_W, column_W), values_B[self.wrong_W])

    def negative_logsumexp(self, values_B: Tensor) -> Tensor:
        """log sum over the wrong rollouts j of e^{values_j}, for each group: [B] -> [Q]."""
        return torch.logsumexp(self.negatives_table(values_B), dim=1)
