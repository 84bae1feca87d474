"""The configuration of the optimiser, its steps, and the regularisers of every objective."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from conspo_study.config.stage import Stage


class UpdateConfig(Stage):
    """The optimiser (AdamW), and the steps that it takes on a rollout batch."""

    LATER: ClassVar[tuple[str, ...]] = (
        "importance_level",
        "entropy_bonus",
        "reference_kl",
        "mismatch_limit",
    )

    learning_rate: float = Field(3e-4, gt=0)
    """Learning rate of AdamW after the warm-up; constant from then on."""
    warmup_steps: int = Field(5, ge=0)
    """Linear warm-up of the learning rate, in optimiser steps."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW beta1: decay rate of the mean of gradients."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """AdamW beta2: decay rate of the mean of squared gradients."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay of AdamW."""
    grad_clip: float = Field(1.0, gt=0)
    """Gradient clipping: largest global L2 norm of the gradient; larger ones are scaled down."""
    micro_batch_tokens: int = Field(8192, ge=1)
    """Micro-batch size: maximum number of tokens, padding included, whose activations are held at
    once. It affects memory and speed, never the gradient."""
    mini_batches: int = Field(1, ge=1)
    """Mini-batches per pass over a rollout batch, each an optimiser step. With a single step per
    batch all ratios are 1 and the ratio-based objectives reduce to two."""
    epochs_per_batch: int = Field(1, ge=1)
    """Passes (epochs) over each rollout batch."""
    old_logprobs: Literal["trainer", "sampler", "auto"] = "trainer"
    """Source of the old log-probabilities in importance ratios: `trainer` computes them before the
    first step on a batch, `sampler` uses those reported with the responses, `auto` uses the
    sampler's if they agree with the trainer's on the first mini-batch."""
    store_credits_every: int = Field(0, ge=0)
    """Training steps between records of each rollout's credit, from the first step on; 0: never."""
    importance_cap: float | None = Field(None, gt=0)
    """Cap C of truncated importance sampling of the trainer against the sampler. None: no
    correction."""
    importance_level: Literal["token", "sequence"] = "token"
    """Ratio that `importance_cap` truncates. `token`: objectives whose loss is a sum over tokens
    multiply each token's by min(C, pi_trainer / pi_sampler); the others ignore it. `sequence`: the
    gradient of every objective, as it comes from each response, is multiplied by min(C, the
    response's product of those ratios)."""
    entropy_bonus: float = Field(0.0, ge=0)
    """Coefficient of an entropy bonus: every objective's loss minus this times the mean entropy of
    the next token, in nats, over the response tokens of an optimiser step."""
    reference_kl: float = Field(0.0, ge=0)
    """Coefficient of a penalty on the KL divergence from the frozen initial policy: every
    objective's loss plus this times the mean of the k3 estimate, q - 1 - log q with q =
    pi_initial / pi, over the response tokens of an optimiser step."""
    mismatch_limit: float | None = Field(None, gt=0)
    """Largest difference of a token's log-probabilities between sampler and trainer, in nats, at
    the first update, when both have the same weights; a larger one ends the trial. None: 0.1 where
    both compute in float32, 20 where one computes in half precision."""
    max_skipped_steps: int = Field(3, ge=1)
    """Consecutive steps with a non-finite gradient after which a seed has collapsed; before the
    first optimiser step the trial fails."""
