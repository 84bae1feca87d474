"""Losses of trainers that cannot be installed here, from their sources, and a small policy."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import torch

from conspo_study.integrations import objective_options
from conspo_study.objective import GroupBatch, Progress, objective_of

SIZE = 5


@dataclass
class Policy:
    """Token log-probabilities that depend on a vector, for ragged responses in shuffled groups, the
    last of which is all correct."""

    groups: int = 4
    seed: int = 0
    lengths: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng, generator = random.Random(self.seed), torch.Generator().manual_seed(self.seed)
        order = [g for g in range(self.groups) for _ in range(SIZE)]
        rng.shuffle(order)
        seen: dict[int, int] = {}
        for g in order:
            slot = seen[g] = seen.get(g, -1) + 1
            self.group.append(g)
            self.lengths.append(rng.randint(1, 9))
            alike = g == self.groups - 1
            self.correct.append(alike or slot == 0 or (slot > 1 and rng.random() < 0.5))
        shape = (sum(self.lengths), 7)
        self.features = torch.randn(shape, generator=generator, dtype=torch.float64)
        theta = torch.randn(7, generator=generator, dtype=torch.float64)
        self.theta = theta.requires_grad_()

    def logprobs(self) -> list[torch.Tensor]:
        """Of each response's tokens."""
        flat_T = -torch.nn.functional.softplus(self.features @ self.theta)
        return list(torch.split(flat_T, self.lengths))

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(loss, self.theta)[0]

    def exact(self, settings: dict, progress: Progress) -> torch.Tensor:
        """The objective's own gradient, of whole groups with contrast."""
        given = dict(settings)
        options = objective_options({"name": given.pop("objective"), **given})
        rows = sorted(range(len(self.group)), key=lambda row: (self.group[row], row))
        verdicts: dict[int, set[bool]] = {}
        for row in rows:
            verdicts.setdefault(self.group[row], set()).add(self.correct[row])
        rows = [row for row in rows if len(verdicts[self.group[row]]) == 2]
        live = self.logprobs()
        logprobs_T = torch.cat([live[row] for row in rows])
        batch = GroupBatch.of(
            logprobs_T,
            logprobs_T.detach(),
            [self.lengths[row] for row in rows],
            [SIZE] * (len(rows) // SIZE),
            [self.correct[row] for row in rows],
        )
        return self.gradient(objective_of(type(options))(batch, options, progress).loss)

    def padded(self, values: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(values, batch_first=True)


def clipped(logprobs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """PPO's loss of each token, with clips of 0.2."""
    ratio = (logprobs - old).exp()
    return -torch.min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)


def slime_loss(
    policy: Policy, advantages: list[float], *, per_token: bool, global_batch_size: int
) -> torch.Tensor:
    """slime's policy loss of one optimiser step: the sum over samples of their token means over the
    global batch size, or the sum over tokens over their number."""
    sums, tokens = [], 0
    for logprobs, advantage in zip(policy.logprobs(), advantages, strict=True):
        losses = clipped(logprobs, logprobs.detach(), torch.full_like(logprobs, advantage))
        sums.append(losses.sum() if per_token else losses.sum() / max(len(losses), 1))
        tokens += max(len(losses), 1)
    return torch.stack(sums).sum() / (tokens if per_token else global_batch_size)


def skyrl_loss(
    policy: Policy, advantages_BL: torch.Tensor, mask_BL: torch.Tensor, reduction: str, longest: int
) -> torch.Tensor:
    """SkyRL's: advantages are divided first, the losses of tokens summed."""
    rows = len(mask_BL)
    if reduction == "token_mean":
        scaled_BL = advantages_BL / mask_BL.sum()
    elif reduction == "sequence_mean":
        scaled_BL = advantages_BL / (rows * mask_BL.sum(1, keepdim=True))
    elif reduction == "seq_mean_token_sum_norm":
        scaled_BL = advantages_BL / (rows * longest)
    else:
        scaled_BL = advantages_BL.clone()
        group_B = torch.tensor(policy.group)
        for group in range(policy.groups):
            members_B = group_B == group
            scaled_BL[members_B] /= policy.groups * mask_BL[members_B].sum()
    logprobs_BL = policy.padded(policy.logprobs())
    return (clipped(logprobs_BL, logprobs_BL.detach(), scaled_BL) * mask_BL).sum()
