"""Settings of TRL that an objective can meet, and those that would change it behind its back."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

from conspo_study.config import ObjectiveOptions
from conspo_study.integrations.trl.scaling import KNOWN, MICRO_BATCH_MEAN

OLDEST, NEWEST = (1, 12), (2, 0)
"""Versions of TRL: from the first, below the second."""
HOOKS = (
    "_generate_and_score_completions",
    "_calculate_rewards",
    "_get_per_token_logps_and_entropies",
    "_prepare_inputs",
    "_compute_loss",
)
"""Methods of `GRPOTrainer` whose arguments or results are read or replaced."""


def check_version() -> None:
    """Raise ImportError for a version of TRL that the hooks were not written for, or without it."""
    try:
        version = importlib.metadata.version("trl")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("TRL is not installed: pip install 'trl>=1.12,<2'") from None
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if not OLDEST <= numbers < NEWEST:
        raise ImportError(
            f"TRL {version} is installed; this integration needs trl>=1.12,<2: "
            "pip install 'trl>=1.12,<2'"
        )


def check_trainer(trainer: type) -> None:
    """Raise TypeError for a class that is not GRPO's trainer of TRL."""
    missing = [name for name in HOOKS if not hasattr(trainer, name)]
    if missing:
        raise TypeError(
            f"{getattr(trainer, '__name__', trainer)} has no {missing[0]}: give trl.GRPOTrainer or "
            "a subclass of it"
        )


def updates_are_aligned(args: Any) -> bool:
    """Whether all rollouts of a batch meet the weights that sampled them, in one update."""
    every = args.steps_per_generation * args.num_iterations
    return bool(args.gradient_accumulation_steps % every == 0)


def check_settings(
    args: Any, options: ObjectiveOptions, exact: bool, on_scores: bool, fused: bool
) -> None:
    """Raise ValueError, with all problems and what to set, for settings that would be ignored or
    would change the objective.

    fused: the loss is Liger's, as versions of TRL have it that read `use_liger_kernel` themselves.
    """
    problems = _of_the_loss(args, options, exact, on_scores)
    if fused:
        problems.append(
            "use_liger_kernel computes the loss elsewhere in this version of TRL: set it to False"
        )
    if exact:
        problems += _of_the_batches(args, options)
    if problems:
        raise ValueError(
            f"{options.name} cannot be trained exactly with these settings of TRL:\n  - "
            + "\n  - ".join(problems)
        )


def _of_the_loss(args: Any, options: ObjectiveOptions, exact: bool, on_scores: bool) -> list[str]:
    problems = []
    if args.loss_type not in KNOWN:
        problems.append(
            f"loss_type={args.loss_type!r} is not known here: set one of {', '.join(KNOWN)}"
        )
    if args.loss_type == MICRO_BATCH_MEAN and not exact:
        problems.append(
            "loss_type='bnpo' divides by the tokens of a micro-batch that is drawn later: set "
            "loss_type='dapo', or exact=True"
        )
    if args.top_entropy_quantile < 1:
        problems.append(
            "top_entropy_quantile drops tokens from every response's score: set it to 1.0"
        )
    mode = str(getattr(args, "vllm_importance_sampling_mode", ""))
    corrected = getattr(args, "use_vllm", False) and getattr(
        args, "vllm_importance_sampling_correction", False
    )
    if options.name == "vespo" and corrected and mode != "token_truncate":
        problems.append(
            f"vllm_importance_sampling_mode={mode!r} has one ratio for a whole sequence, or zeros, "
            "of which vespo takes a sum of logarithms over tokens: set it to 'token_truncate'"
        )
    if getattr(args, "off_policy_mask_threshold", None) is not None:
        problems.append(
            "off_policy_mask_threshold drops responses from their groups: set it to None"
        )
    if args.delta is not None:
        problems.append("delta clips ratios, which are 1 here: set it to None")
    if args.importance_sampling_level != "token" and not on_scores:
        problems.append(
            f"importance_sampling_level={args.importance_sampling_level!r} averages the weights of "
            f"tokens that {options.name} tells apart: set it to 'token'"
        )
    if getattr(args, "multi_objective_aggregation", "sum_then_normalize") != "sum_then_normalize":
        problems.append(
            "multi_objective_aggregation normalises rewards before they are added, which here "
            "verdicts and objectives do: set it to 'sum_then_normalize'"
        )
    return problems


def _of_the_batches(args: Any, options: ObjectiveOptions) -> list[str]:
    problems = []
    rows, group = args.per_device_train_batch_size, args.num_generations
    parts, steps = args.steps_per_generation, args.gradient_accumulation_steps
    if parts > 1 and rows % group:
        problems.append(
            "several updates on one batch need whole groups in every micro-batch, and "
            f"per_device_train_batch_size={rows} is not a multiple of num_generations={group}: "
            f"set per_device_train_batch_size={-(-rows // group) * group}"
        )
    if parts % steps:
        problems.append(
            f"an update takes {steps} micro-batches and a generation batch has {parts}: set "
            f"steps_per_generation={-(-parts // steps) * steps}, a multiple of "
            "gradient_accumulation_steps"
        )
    if args.beta and getattr(args, "use_bias_correction_kl", False):
        problems.append(
            "use_bias_correction_kl weighs the KL by ratios, which are 1 here: set it to False"
        )
    if options.limits_kl and steps > 1:
        problems.append(
            f"{options.name} limits the KL of a whole update, which a micro-batch cannot know: set "
            "gradient_accumulation_steps=1, or kl_penalty=0 (conspo: leave kl_limit out)"
        )
    return problems
