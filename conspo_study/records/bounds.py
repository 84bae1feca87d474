"""Names of evaluation metrics that tell how much responses without a verdict matter to another."""

from __future__ import annotations

_DECIDED = "/decided"


def decided_name(metric: str) -> str:
    """Of the metric over the responses with a verdict; measured only where some have none."""
    return metric + _DECIDED


def is_decided_name(metric: str) -> bool:
    """Whether it is the name of such a metric."""
    return metric.endswith(_DECIDED)


def undecided_name(metric: str) -> str:
    """Of the number of responses without a verdict on the problem set of a metric."""
    return f"{metric.rpartition('/')[0]}/undecided"
