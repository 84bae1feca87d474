"""A key-value cache with memory allocated once, for responses of limited length.

transformers' dynamic cache copies all its content for each new token; this one writes the new token
in place and gives attention a view. Rows can be repeated and dropped while decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class StaticRowsLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer [rows, heads, capacity, head size]; `length` positions are
    used."""

    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        # Under autocast, rotary embeddings make keys of float32, which attention rounds again.
        self.keys = self._allocate(key_states.to(value_states.dtype), key_states.shape[0])
        self.values = self._allocate(value_states, value_states.shape[0])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new positions; returns views of all used positions."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Replace the rows by those at the indices `beam_idx`. Fewer rows stay in the same
        memory."""
        for name in ("keys", "values"):
            buffer = getattr(self, name)
            used = buffer[:, :, : self.length].index_select(0, beam_idx)
            kept = buffer if len(used) <= len(buffer) else self._allocate(used, len(used))
            kept = kept[: len(used)]
            kept[:, :, : self.length] = used
            setattr(self, name, kept)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return self.capacity

    def _allocate(self, like: torch.Tensor, rows: int) -> torch.Tensor:
        _, heads, _, size = like.shape
        return like.new_empty(rows, heads, self.capacity, size)


def static_cache(layers: int, capacity: int) -> Cache:
    """A cache of `layers` layers with `capacity` positions."""
    return Cache(layers=[StaticRowsLayer(capacity) for _ in range(layers)])
