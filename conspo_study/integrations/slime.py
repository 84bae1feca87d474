"""Objectives on scores in slime, by two flags and no fork:

    --advantage-estimator grpo
    --custom-reward-post-process-path conspo_study.integrations.slime.post_process_rewards

slime calls the function with all samples of a rollout and trains with the numbers it returns as
advantages. Its settings are the mapping `conspo` in the file of `--custom-config-path`, or the
environment variable CONSPO_OBJECTIVE. The scores are the sampling engine's log-probabilities; the
trainer's do not exist yet at that point.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
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

WHERE = "conspo"
"""Of the settings, in the file of `--custom-config-path`."""
_EXACT = {
    "advantage_estimator": ("grpo", "makes advantages of rewards by a rule of its own"),
    "loss_type": ("policy_loss", "is not the loss that these advantages are made for"),
    "normalize_advantages": (False, "whitens the credits away"),
    "use_tis": (False, "multiplies them by importance weights"),
    "use_rollout_logprobs": (False, "multiplies them by ratios to the sampler, and clips those"),
    "use_opsm": (False, "masks responses"),
    "custom_pg_loss_reducer_function_path": (None, "takes another mean"),
    "custom_advantage_function_path": (None, "replaces them"),
}
"""Argument: the value that keeps the gradient, and what another one does."""
_OTHER_TERMS = {
    "use_kl_loss": "adds a KL term to the loss",
    "kl_coef": "adds a KL term to the rewards",
    "entropy_coef": "adds an entropy bonus to the loss",
    "use_opd": "adds the distance to a teacher",
}


def post_process_rewards(args: Any, samples: Sequence[Any]) -> tuple[list[float], list[float]]:
    """Rewards as they are, and the advantages that make GRPO follow the objective.

    args: slime's arguments. samples: all of a rollout, `Sample`s of slime with `rollout_log_probs`.

    Raises ValueError for arguments or a batch with which the gradient would be another one.
    """
    given = getattr(args, "conspo", None)
    where = WHERE if given is not None else VARIABLE
    drop_in = DropIn.of(given, where)
    refuse(_refusals(args, len(samples)), drop_in, where)
    raw = [float(sample.get_reward_value(args)) for sample in samples]
    size = int(args.n_samples_per_prompt)
    responses = _responses(samples, raw, size)
    progress = _progress(args, samples, drop_in, where)
    credits_B, groups = credit(responses, size, drop_in, progress, where)
    advantages_B: Tensor
    if getattr(args, "calculate_per_token_loss", False):
        tokens = float(responses.lengths_B.clamp(min=1).sum())  # slime counts an empty one as 1
        advantages_B = token_mean_advantages(credits_B, responses.lengths_B, groups, tokens)
    else:
        rollouts = _updates(args, len(samples)) * _rollouts_per_update(args, len(samples))
        advantages_B = rollout_mean_advantages(credits_B, groups, rollouts)
    return raw, advantages_B.tolist()


def _responses(samples: Sequence[Any], rewards: list[float], size: int) -> Responses:
    width = max((sample.response_length for sample in samples), default=0)
    logprobs_BL = torch.zeros(len(samples), width, dtype=torch.float64)
    mask_BL = torch.zeros(len(samples), width, dtype=torch.bool)
    for row, sample in enumerate(samples):
        length = sample.response_length
        if sample.rollout_log_probs is None or len(sample.rollout_log_probs) != length:
            had = "no" if sample.rollout_log_probs is None else len(sample.rollout_log_probs)
            raise ValueError(
                f"sample {sample.index} has {had} rollout_log_probs for {length} response tokens: "
                "the score of a response is their mean, so a custom generate function must return "
                "one for each token"
            )
        if getattr(sample, "remove_sample", False):
            continue  # slime masks all of it when it makes training data, later than this
        logprobs_BL[row, :length] = torch.tensor(sample.rollout_log_probs, dtype=torch.float64)
        counted = [1] * length if sample.loss_mask is None else sample.loss_mask
        mask_BL[row, :length] = torch.tensor(counted, dtype=torch.bool)
    groups_B: list[Hashable] = [
        row // size if sample.group_index is None else sample.group_index
        for row, sample in enumerate(samples)
    ]
    return Responses.of(logprobs_BL, mask_BL, torch.tensor(rewards), groups_B)


def _refusals(args: Any, rows: int) -> Iterable[Refusal]:
    for name, (exact, what) in _EXACT.items():
        value = getattr(args, name, exact)
        if value != exact:
            flag = "--" + name.replace("_", "-")
            way = f"set {flag} {exact}" if isinstance(exact, str) else f"leave {flag} out"
            yield Refusal(f"{flag} {value} {what}: {way}", None)
    for name, what in _OTHER_TERMS.items():
        if value := getattr(args, name, 0):
            flag = "--" + name.replace("_", "-")
            yield Refusal(f"{flag} {value} {what}: leave it out or set it to 0", "other_terms")
    if (updates := _updates(args, rows)) > 1:
        yield Refusal(
            f"each batch of {rows} samples is used for {updates} optimiser steps, and credits are "
            f"those before the first: set --global-batch-size {rows}",
            "several_updates",
        )


def _rollouts_per_update(args: Any, rows: int) -> int:
    """Samples of an optimiser step, by which slime divides."""
    return rows if getattr(args, "use_dynamic_global_batch_size", False) else args.global_batch_size


def _updates(args: Any, rows: int) -> int:
    return max(1, rows // _rollouts_per_update(args, rows))


def _progress(args: Any, samples: Sequence[Any], drop_in: DropIn, where: str) -> Progress:
    """The step, by the running number of the newest group.

    slime tells this function no step, but numbers the groups that it samples, over restarts, too.
    Where it throws some of them away, their number runs ahead of the step.
    """
    per_step, steps = args.rollout_batch_size, getattr(args, "num_rollout", None)
    drawn = getattr(args, "over_sampling_batch_size", None) or per_step
    all_kept = getattr(args, "dynamic_sampling_filter_path", None) is None and drawn == per_step
    numbers = [s.group_index for s in samples if s.group_index is not None]
    if steps and all_kept and numbers:
        return Progress(min(max(numbers) // per_step, steps - 1), steps)
    if drop_in.follows_progress:
        raise ValueError(
            f"{drop_in.objective.name} raises its margin over training, but the step is unknown "
            "here: it needs --num-rollout, numbered groups, and no sampled group thrown away "
            "(--dynamic-sampling-filter-path, --over-sampling-batch-size). Set "
            f"{where}.schedule=constant"
        )
    return Progress(0, 1)
