"""Prompts and responses packed into one row, which a model reads without padding or repetition.

A group's rollouts share their prompt, and rollouts differ in length. Padded into one row each, most
of what a model would compute is prompts again and padding. In a packed row every prompt stands
once, before all responses; each token keeps the position that it has in its own rollout. Attention
alone needs rollouts one by one: it gathers them from the packed row and scatters the result back,
so embeddings, projections, norms and feed-forward layers see every token exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

CUT_COST_TOKENS = 256
"""Padded tokens that a further attention call must save: about what it costs to launch."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Packing:
    """Rollouts in one row of T tokens; N of them are to be scored."""

    tokens_T: Tensor
    positions_T: Tensor
    """Of each token in its rollout."""
    predicting_N: Tensor
    """Where in the row each response token is predicted, in the order of the responses."""
    rollouts: tuple[Tensor, ...]
    """Where in the row the tokens of each rollout stand [rows, width], of similar lengths together;
    shorter ones are padded on the right, where a causal model cannot see, with any index."""
    own_T: Tensor
    """Where among the tokens of all `rollouts` each token of the row is found."""

    @classmethod
    def of(
        cls, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device: object
    ) -> Packing:
        """Pack `responses[i]`, at least one token each, behind `prompts[i]`.

        Equal prompts stand once. The last token of a response is only predicted, never read.
        """
        places: dict[tuple[int, ...], Indices] = {}
        tokens: list[int] = []
        positions: list[Indices] = []
        for prompt in map(tuple, prompts):
            if prompt not in places:
                places[prompt] = np.arange(len(tokens), len(tokens) + len(prompt))
                tokens += prompt
                positions.append(np.arange(len(prompt)))
        rows: list[Indices] = []
        predicting: list[Indices] = []
        for prompt, response in zip(map(tuple, prompts), responses, strict=True):
            own = np.arange(len(tokens), len(tokens) + len(response) - 1)
            tokens += response[:-1]
            positions.append(np.arange(len(prompt), len(prompt) + len(own)))
            row = np.concatenate([places[prompt], own])
            rows.append(row)
            predicting.append(row[len(prompt) - 1 :])
        rollouts, found = _rectangles(rows, len(tokens))

        def tensor(array: Indices) -> Tensor:
            return torch.from_numpy(array).to(device)  # type: ignore[call-overload,no-any-return]

        return cls(
            tokens_T=torch.tensor(tokens, device=device),  # type: ignore[arg-type]
            positions_T=tensor(np.concatenate(positions)),
            predicting_N=tensor(np.concatenate(predicting)),
            rollouts=tuple(map(tensor, rollouts)),
            own_T=tensor(found),
        )


def gathered(values_TD: Tensor, index: Tensor) -> Tensor:
    """Rows `index` of `values_TD`, in the shape of `index`.

    As an embedding: its gradient adds up repeated rows quickly and always in the same order, which
    that of an index does on no device.
    """
    return functional.embedding(index, values_TD)


def similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of `lengths`, shortest first, cut where that saves more padding than it costs."""
    return _cut(sorted(range(len(lengths)), key=lambda index: lengths[index]), lengths)


def _rectangles(rows: Sequence[Indices], total: int) -> tuple[list[Indices], Indices]:
    """Rows in rectangles, and where in them each of `total` tokens is first found."""
    found = np.empty(total, np.int64)
    rectangles = []
    start = 0
    for chosen in similar_lengths([len(row) for row in rows]):
        width = len(rows[chosen[-1]])
        rectangle = np.zeros((len(chosen), width), np.int64)
        for line, index in enumerate(chosen):
            row = rows[index]
            rectangle[line, : len(row)] = row
            first = start + line * width
            found[row] = np.arange(first, first + len(row))
        rectangles.append(rectangle)
        start += rectangle.size
    return rectangles, found


def _cut(batch: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut a length-sorted batch in two, again and again, where padding saved exceeds the cost."""
    longest = lengths[batch[-1]]
    saving, cut = max(
        ((size * (longest - lengths[batch[size - 1]]), size) for size in range(1, len(batch))),
        default=(0, 0),
    )
    if saving <= CUT_COST_TOKENS:
        return [batch]
    return _cut(batch[:cut], lengths) + _cut(batch[cut:], lengths)
