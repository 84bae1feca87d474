"""A generation batch as its loss sees it: which rows make up which groups, and of which update."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions
from conspo_study.integrations.groups import Arrangement, arrange
from conspo_study.integrations.trl.verdicts import Judged
from conspo_study.objective import Totals


class Part(NamedTuple):
    """The rows that one micro-batch, or a whole generation batch, has on all processes."""

    plan: Arrangement
    """Their groups; places count from 0 among these rows, process after process."""
    totals: Totals
    """Sizes of the update that they belong to."""


def parts_of(
    judged: Judged,
    lengths: Tensor,
    options: ObjectiveOptions,
    *,
    generations: int,
    processes: int,
    parts: int = 1,
    window: int = 1,
) -> list[Part]:
    """Arrange the rows of a generation batch for each of its `parts`.

    A group is `generations` neighbouring rows of all processes; a process holds neighbouring rows
    and cuts them into `parts` of one size, of which `window` make an update. lengths: tokens of
    each row that count: (R,). A row without tokens, or without a verdict, has no part in its group.
    """
    rows = len(lengths) // processes
    size = rows // parts
    group = torch.arange(len(lengths)) // generations
    counted = judged.counted & (lengths > 0)
    plans, sizes = [], []
    for part in range(parts):
        firsts = [process * rows + part * size for process in range(processes)]
        places = [first + row for first in firsts for row in range(size)]
        plan = arrange(
            judged.correct[places],
            group[places],
            options,
            rewards=judged.rewards[places],
            counted=counted[places],
        )
        plans.append(plan)
        tokens = int(lengths[places][plan.rows].sum())
        sizes.append((plan.groups, len(plan.rows), tokens))
    updates = [sizes[first : first + window] for first in range(0, parts, window)]
    totals = [Totals(*map(sum, zip(*update, strict=True))) for update in updates]
    return [Part(plan, totals[part // window]) for part, plan in enumerate(plans)]
