"""Rollouts in the order of a foreign batch, arranged into the whole groups that objectives read.

A library hands over rows: a verdict, a reward and a group id for each, in any order. An objective
reads whole groups with contrast, their rollouts adjacent. `arrange` finds those rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions

Rows = Any
"""One value for each of B rows: a tensor, an array of numpy, or a sequence."""


class Arrangement(NamedTuple):
    """The rows that take part in a loss, in the order of an objective's batch."""

    rows: list[int]
    """Their places in the foreign batch; the rows of a group are adjacent."""
    sizes: list[int]
    """Rows of each group with contrast."""
    correct: list[bool]
    """Verdicts of `rows`."""
    rewards: list[float]
    """Rewards of `rows`."""

    @property
    def groups(self) -> int:
        """Q, the number of groups that the objective learns from."""
        return len(self.sizes)


def arrange(
    correct: Rows,
    group: Rows,
    options: ObjectiveOptions,
    *,
    rewards: Rows | None = None,
    counted: Rows | None = None,
) -> Arrangement:
    """Collect the rows of each group that has contrast, as the objective understands it.

    correct: verdicts, 0 and 1 or booleans: (B,). group: an id for each row, any hashable: (B,).
    rewards: rewards, for objectives that read them; left out, the verdicts. counted: the rows that
    take part, all by default; a group is judged by those alone.

    Raises ValueError for verdicts that are not 0 or 1, rewards that are not finite, or unequal
    lengths.
    """
    ids = _ids(group)
    verdicts = _verdicts(correct, options)
    values = [float(v) for v in verdicts] if rewards is None else numbers(rewards).tolist()
    takes_part = [True] * len(ids) if counted is None else [bool(c) for c in _plain(counted)]
    if not len(ids) == len(verdicts) == len(values) == len(takes_part):
        raise ValueError(
            f"{len(verdicts)} verdicts, {len(ids)} group ids, {len(values)} rewards and "
            f"{len(takes_part)} rows that may count: each row needs one of each"
        )
    members: dict[Hashable, list[int]] = {}
    for row, name in enumerate(ids):
        if takes_part[row]:
            members.setdefault(name, []).append(row)
    read = verdicts if options.contrast == "verdicts" else values
    for row in (row for rows in members.values() for row in rows):
        if values[row] - values[row] != 0:
            raise ValueError(f"row {row} has the reward {values[row]}: leave it out, or judge it")
    live = [rows for rows in members.values() if len({read[row] for row in rows}) > 1]
    order = [row for rows in live for row in rows]
    return Arrangement(
        order,
        [len(rows) for rows in live],
        [verdicts[row] for row in order],
        [values[row] for row in order],
    )


def numbers(values: Rows) -> Tensor:
    """The values as a constant float64 tensor of the CPU: (B,)."""
    if isinstance(values, Tensor):
        given = values.detach()
    else:
        given = torch.tensor(_plain(values), dtype=torch.float64)
    if given.ndim != 1:
        raise ValueError(f"one value for each row is needed, not a shape of {tuple(given.shape)}")
    return given.to("cpu", torch.float64)


def _verdicts(correct: Rows, options: ObjectiveOptions) -> list[bool]:
    values = numbers(correct)
    strange = ((values != 0) & (values != 1)).nonzero().flatten()
    if len(strange):
        row = int(strange[0])
        raise ValueError(
            f"row {row} has the verdict {values[row]:g}, but a verdict is 0 or 1: {options.name} "
            "needs to know which responses are right, so pass `rewards > threshold`, and graded "
            "rewards as `rewards` to an objective that reads them"
        )
    return [bool(value) for value in values.tolist()]


def _ids(group: Rows) -> list[Hashable]:
    ids = _plain(group)
    # The rows of an id that has several numbers, such as (prompt, epoch), are lists in an array.
    return [tuple(name) if isinstance(name, list) else name for name in ids]


def _plain(values: Rows) -> Sequence[Any]:
    """The values as Python's own."""
    listed: Sequence[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    return listed
