"""A small step of an objective from a plugin, computed before anything is trained with it."""

from __future__ import annotations

from typing import Any, cast

import torch

from conspo_study.config import ObjectiveOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import objective_of
from conspo_study.plugins import PluginError

_LENGTHS, _GROUPS = [1, 3, 2, 1, 2], [2, 3]
_CORRECT = [True, False, False, True, True]


def try_objective(options: ObjectiveOptions) -> None:
    """Compute a step of two groups at the beginning and at the end of training.

    Raises PluginError naming the unusable result, or the line that failed.
    """
    objective = objective_of(type(options))
    generator = torch.Generator().manual_seed(0)
    logprobs_T = -torch.rand(sum(_LENGTHS), generator=generator) - 0.1
    for progress in (Progress(0, 10), Progress(9, 10)):
        leaf_T = logprobs_T.clone().requires_grad_()
        batch = GroupBatch.of(leaf_T, logprobs_T - 0.01, _LENGTHS, _GROUPS, _CORRECT)
        try:
            output = objective(batch, options, progress)
        except Exception as error:  # whatever the objective's own code does
            raise PluginError(
                f"objective.name: {options.name} fails on a batch of two groups: "
                f"{type(error).__name__}: {error}{_line_of(error)}"
            ) from error
        if problem := _problem(output, leaf_T):
            raise PluginError(f"objective.name: {options.name} {problem}")


def _problem(output: Any, leaf_T: torch.Tensor) -> str | None:
    if not isinstance(output, ObjectiveOutput):
        return f"returns a {type(output).__name__}, where an ObjectiveOutput is needed"
    if getattr(output.loss, "ndim", None) != 0:
        return "returns a loss that is no scalar tensor"
    if not output.loss.requires_grad:
        return "returns a loss that does not depend on batch.logprobs_T"
    gradients = torch.autograd.grad(output.loss, leaf_T, allow_unused=True)
    weights_T = cast("torch.Tensor | None", gradients[0])
    if weights_T is None:
        return "returns a loss that does not depend on batch.logprobs_T"
    if not (output.loss.isfinite() and weights_T.isfinite().all()):
        return "has a loss or a gradient that is not finite on a batch of two groups"
    for name, part in output.metrics.items():
        if not hasattr(part, "value") or not hasattr(part, "__add__"):
            return (
                f"returns the metric {name} as a {type(part).__name__}, where parts are needed "
                "that add up over workers, such as mean_of(tensor) or records.Mean(sum, count)"
            )
    return None


def _line_of(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return ""
    return f" ({frame.tb_frame.f_code.co_filename}, line {frame.tb_lineno})"
