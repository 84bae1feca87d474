"""The result of an objective: its loss, and metrics in parts that add up over workers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from conspo_study.objective.batch import GroupBatch
from conspo_study.records import Angle, Least, Mean, Part, Peak


@dataclass(frozen=True)
class ObjectiveOutput:
    """The result of an objective."""

    loss: Tensor
    """Scalar to minimise; this worker's share of it when groups are spread over workers."""
    metrics: dict[str, Part]
    """Metrics of this objective alone, for example its margin or its clip fraction, in parts that
    add up over workers to the value of one worker with all groups."""
    advantages_B: Tensor | None = None
    """Factor of the ratios, or log-likelihoods, of each rollout: [B]; None for an objective without
    advantages."""


def mean_of(values: Tensor) -> Mean:
    """The mean of all entries, in parts."""
    return Mean(float(values.double().sum()), values.numel())


def peak_of(values: Tensor) -> Peak:
    """The largest entry, in parts."""
    return Peak(float(values.max()))


def least_of(values: Tensor) -> Least:
    """The smallest entry, in parts."""
    return Least(float(values.min()))


def angle_of(x: Tensor, y: Tensor) -> Angle:
    """The angle between two vectors, in parts."""
    x, y = x.double(), y.double()
    d = y - x
    return Angle(*(float((a * b).sum()) for a, b in ((x, x), (y, y), (x, y), (d, d), (x, d))))


def of_the_step(batch: GroupBatch, value: float) -> Mean:
    """A number of the whole optimiser step, known to every worker, in parts.

    Each worker adds its share of the groups, so that a step counts once in the mean over steps,
    however many workers hold groups of it.
    """
    share = batch.groups / batch.totals.groups
    return Mean(value * share, share)
