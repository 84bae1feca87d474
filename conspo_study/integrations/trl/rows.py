"""The rows of TRL's batches: what counts of them, and the same of all processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from conspo_study.integrations.trl.weighing import Rows


def loss_mask(inputs: dict[str, Any]) -> Tensor:
    """True for the tokens that TRL's loss counts: (rows, T)."""
    mask: Tensor = inputs["completion_mask"]
    return (mask * inputs["tool_mask"] if "tool_mask" in inputs else mask).bool()


def neutral_correction(inputs: dict[str, Any]) -> Tensor | None:
    """TRL's importance weights against vLLM, of which it finds only ones afterwards."""
    ratio: Tensor | None = inputs.get("importance_sampling_ratio")
    if ratio is not None:
        inputs["importance_sampling_ratio"] = torch.ones_like(ratio)
    return ratio


def cut(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """Equal parts of consecutive rows; what has no rows goes into each."""
    size = len(batch["completion_ids"]) // parts

    def part_of(value: Any, part: int) -> Any:
        whole = isinstance(value, Tensor) and value.ndim == 0
        return value if whole else value[part * size : (part + 1) * size]

    return [{name: part_of(v, part) for name, v in batch.items()} for part in range(parts)]


def rows_of_all(
    accelerator: Any,
    logprobs: Tensor,
    mask: Tensor,
    old: Tensor | None,
    correction: Tensor | None,
    *,
    on_scores: bool,
) -> Rows:
    """The rows of all processes, on every process, in the order of the processes.

    logprobs, mask, old, correction: of this process: (rows, T). on_scores: one score a row is all
    that is sent. Padding of every kind, and where the mask is False, is ignored.
    """
    if on_scores:
        tokens = torch.where(mask, _precise(logprobs), 0.0)
        scores = tokens.sum(1) / mask.sum(1).clamp(min=1)
        return Rows(accelerator.gather(scores)[:, None], accelerator.gather(mask.any(1))[:, None])

    def whole(values: Tensor) -> Tensor:
        widened = accelerator.pad_across_processes(values.expand(mask.shape), dim=1)
        gathered: Tensor = accelerator.gather(widened)
        return gathered

    return Rows(
        whole(_precise(logprobs)),
        whole(mask),
        None if old is None else whole(_precise(old)),
        None if correction is None else whole(_precise(correction)),
    )


def row_means(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens of each row: (rows, T) -> (rows,)."""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


def _precise(values: Tensor) -> Tensor:
    """In float64, on the CPU where the device has none."""
    values = values.detach()
    return (values.cpu() if values.device.type == "mps" else values).double()
