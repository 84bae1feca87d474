"""Objectives on scores in SkyRL 0.4: the advantages that make its GRPO loss follow them.

SkyRL's hook is a subclass of its trainer, three lines of your own (docs/integrations/skyrl.md):

    class Trainer(RayPPOTrainer):
        def compute_advantages_and_returns(self, data):
            data = super().compute_advantages_and_returns(data)
            steps = self.global_step, self.total_training_steps
            data["advantages"] = skyrl_advantages(data, self.cfg, *steps, objective={"tau": 10})
            return data

Nothing of SkyRL is imported here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from conspo_study.integrations.credits import rollout_mean_advantages, token_mean_advantages
from conspo_study.integrations.foreign_batch import (
    VARIABLE,
    DropIn,
    Refusal,
    Responses,
    credit,
    refuse,
)
from conspo_study.objective import Progress

WHERE = "objective"
ALGORITHM = "trainer.algorithm"
_LOSSES = ("regular", "dual_clip")
_REDUCTIONS = ("token_mean", "sequence_mean", "prompt_mean", "seq_mean_token_sum_norm")
_CORRECTIONS = (
    *("tis_ratio_type", "sequence_mask_metric"),
    *("outlier_token_is_threshold_low", "outlier_token_is_threshold_high"),
    *("token_mask_is_threshold_low", "token_mask_is_threshold_high"),
)


def skyrl_advantages(
    data: Any,
    cfg: Any,
    global_step: int,
    total_training_steps: int | None,
    objective: Mapping[str, Any] | None = None,
) -> Tensor:
    """Credits as advantages under `trainer.algorithm.loss_reduction`: (B, L), 0 beyond the mask.

    data: SkyRL's training batch with `action_log_probs`, `loss_mask` and `rewards` (B, L), and
    `metadata` with `uids` and `policy_mini_batch_boundaries`. cfg: the trainer's configuration.
    global_step: counted from 1. objective: settings, as `{"objective": "conspo", "tau": 10}`; None
    reads CONSPO_OBJECTIVE.

    Raises ValueError for a run or a batch whose gradient would be another one.
    """
    where = WHERE if objective is not None else VARIABLE
    drop_in = DropIn.of(objective, where)
    logprobs_BL, boundaries = (
        data["action_log_probs"],
        data.metadata["policy_mini_batch_boundaries"],
    )
    refuse(_refusals(cfg, logprobs_BL, len(boundaries)), drop_in, where)
    uids = list(data.metadata["uids"])
    mask_BL = data["loss_mask"].bool()
    responses = Responses.of(logprobs_BL, mask_BL, data["rewards"].sum(-1), uids)
    progress = _progress(global_step, total_training_steps, drop_in, where)
    size = int(cfg.generator.n_samples_per_prompt)
    credits_B, groups = credit(responses, size, drop_in, progress, where)
    algorithm = cfg.trainer.algorithm
    advantages_B: Tensor
    if algorithm.loss_reduction == "sequence_mean":
        advantages_B = rollout_mean_advantages(credits_B, groups)
    else:
        tokens_B = _tokens(algorithm, responses)
        per_token_B = token_mean_advantages(credits_B, responses.lengths_B, groups, 1.0)
        advantages_B = per_token_B * tokens_B
    advantages_BL: Tensor = advantages_B[:, None] * mask_BL
    return advantages_BL.to(logprobs_BL.dtype)


def _tokens(algorithm: Any, responses: Responses) -> Tensor:
    """What SkyRL divides the sum over tokens by, for each response: (B,)."""
    lengths_B, rows = responses.lengths_B.double(), len(responses.lengths_B)
    match algorithm.loss_reduction:
        case "token_mean":
            return lengths_B.sum().expand(rows)
        case "seq_mean_token_sum_norm":
            return torch.full((rows,), float(rows * algorithm.max_seq_len), dtype=torch.float64)
        case _:  # prompt_mean
            tokens: Counter[Any] = Counter()
            for group, length in zip(responses.groups_B, lengths_B.tolist(), strict=True):
                tokens[group] += length
            shares = [len(tokens) * max(tokens[group], 1) for group in responses.groups_B]
            return torch.tensor(shares, dtype=torch.float64)


def _refusals(cfg: Any, logprobs_BL: Tensor | None, mini_batches: int) -> Iterable[Refusal]:
    algorithm = cfg.trainer.algorithm
    if logprobs_BL is None:
        yield Refusal(
            f"{ALGORITHM}.policy_loss_type={algorithm.policy_loss_type} lets SkyRL skip the "
            "trainer's log-probabilities: set it to regular"
        )
    elif algorithm.policy_loss_type not in _LOSSES:
        yield Refusal(
            f"{ALGORITHM}.policy_loss_type={algorithm.policy_loss_type} is not the loss that these "
            "advantages are made for: set it to regular"
        )
    if algorithm.loss_reduction not in _REDUCTIONS:
        yield Refusal(
            f"{ALGORITHM}.loss_reduction={algorithm.loss_reduction} divides each micro-batch by "
            "its own tokens: set it to sequence_mean"
        )
    if algorithm.advantage_batch_normalize:
        yield Refusal(f"{ALGORITHM}.advantage_batch_normalize whitens the credits away: set false")
    for name in _CORRECTIONS:
        value = getattr(algorithm.off_policy_correction, name, None)
        if value is not None:
            yield Refusal(
                f"{ALGORITHM}.off_policy_correction.{name}={value} weights or masks tokens: set "
                "null"
            )
    for name, what in (
        ("use_kl_loss", "adds a KL term to the loss, and does so by default"),
        ("use_kl_in_reward", "subtracts a KL term from the rewards"),
        ("use_entropy_loss", "adds an entropy bonus to the loss"),
    ):
        if getattr(algorithm, name):
            yield Refusal(f"{ALGORITHM}.{name} {what}: set false", "other_terms")
    if cfg.generator.step_wise_trajectories:
        yield Refusal("generator.step_wise_trajectories spreads a response over rows: set false")
    if (updates := mini_batches * cfg.trainer.update_epochs_per_batch) > 1:
        yield Refusal(
            f"each batch is used for {updates} optimiser steps, and credits are those before the "
            "first: set trainer.policy_mini_batch_size to trainer.train_batch_size and "
            "trainer.update_epochs_per_batch to 1",
            "several_updates",
        )


def _progress(step: int, steps: int | None, drop_in: DropIn, where: str) -> Progress:
    if steps and step >= 1:
        return Progress(min(step, steps) - 1, steps)
    if drop_in.follows_progress:
        raise ValueError(
            f"{drop_in.objective.name} raises its margin over training, but step {step} of {steps} "
            f"is no place in it: pass the trainer's global_step and total_training_steps, or set "
            f"{where}.schedule=constant"
        )
    return Progress(0, 1)
