"""Packs prompts and responses into one row, which a model reads without padding or repetition.

The rollouts of a group share their prompt, and rollouts differ in length: with a padded row for
each, most computation would be spent on repeated prompts and padding. In a packed row every prompt
occurs once, before all responses, and each token keeps its position in its rollout. Only attention
needs separate rollouts: it gathers them from the packed row and scatters the result back, so
embeddings, projections, norms and feed-forward layers process every token exactly once.
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
"""Padding, in tokens, that an extra attention call must save: about the cost of launching it."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Packing:
    """Rollouts in one row of T tokens, N of which are response tokens to score."""

    tokens_T: Tensor
    positions_T: Tensor
    """Position of each token in its rollout."""
    predicting_N: Tensor
    """Index in the row at which each response token is predicted, in the order of the responses."""
    rollouts: tuple[Tensor, ...]
    """Indices in the row of each rollout's tokens [rows, width], grouped by similar length. Shorter
    rollouts are padded on the right with any index, where a causal model does not look."""
    unpacked_T: Tensor
    """Index of each token of the row among the tokens of all `rollouts`."""

    @classmethod
    def of(
        cls, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device: object
    ) -> Packing:
        """Pack `responses[i]`, each of at least one token, after `prompts[i]`.

        Equal prompts occur once. The last token of a response is only predicted, never read.
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
            read = np.arange(len(tokens), len(tokens) + len(response) - 1)
            tokens += response[:-1]
            positions.append(np.arange(len(prompt), len(prompt) + len(read)))
            row = np.concatenate([places[prompt], read])
            rows.append(row)
            predicting.append(row[len(prompt) - 1 :])
        rollouts, unpacked = _rectangles(rows, len(tokens))

        def tensor(array: Indices) -> Tensor:
            return torch.from_numpy(array).to(device)  # type: ignore[call-overload,no-any-return]

        return cls(
            tokens_T=torch.tensor(tokens, device=device),  # type: ignore[arg-type]
            positions_T=tensor(np.concatenate(positions)),
            predicting_N=tensor(np.concatenate(predicting)),
            rollouts=tuple(map(tensor, rollouts)),
            unpacked_T=tensor(unpacked),
        )


def gathered(values_TD: Tensor, index: Tensor) -> Tensor:
    """Rows `index` of `values_TD`, in the shape of `index`.

    Implemented as an embedding lookup, whose gradient sums repeated rows fast and in a fixed order;
    that of indexing does neither.
    """
    return functional.embedding(index, values_TD)


def similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of `lengths`, shortest first, in batches cut where that saves more padding than it
    costs."""
    return _cut(sorted(range(len(lengths)), key=lambda index: lengths[index]), lengths)


def _rectangles(rows: Sequence[Indices], total: int) -> tuple[list[Indices], Indices]:
    """Rows in padded rectangles, and an index of each of `total` tokens among theirs."""
    unpacked = np.empty(total, np.int64)
    rectangles = []
    start = 0
    for chosen in similar_lengths([len(row) for row in rows]):
        width = len(rows[chosen[-1]])
        rectangle = np.zeros((len(chosen), width), np.int64)
        for line, index in enumerate(chosen):
            row = rows[index]
            rectangle[line, : len(row)] = row
            first = start + line * width
            unpacked[row] = np.arange(first, first + len(row))
        rectangles.append(rectangle)
        start += rectangle.size
    return rectangles, unpacked


def _cut(batch: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Split a length-sorted batch recursively while the padding saved exceeds the cost."""
    longest = lengths[batch[-1]]
    saving, cut = max(
        ((size * (longest - lengths[batch[size - 1]]), size) for size in range(1, len(batch))),
        default=(0, 0),
    )
    if saving <= CUT_COST_TOKENS:
        return [batch]
    return _cut(batch[:cut], lengths) + _cut(batch[cut:], lengths)
