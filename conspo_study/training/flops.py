"""The floating-point operations of a policy, and the rate of its device.

Utilisation is relative to the measured rate of this device's matrix multiplication, once per
process: nominal peaks are unknown for most devices and not reached on any.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from transformers import PreTrainedModel

from conspo_study.update.device import wait_for

_RUNS = 3


@dataclass(frozen=True, slots=True)
class ModelFlops:
    """Multiplications and additions of a decoder's matrix products, two per weight and token."""

    layers: int
    """Weights of all products but the output head's: matrices and stacks of them, as experts are
    held, without embeddings, which are looked up."""
    head: int
    """Weights of the output head."""
    attention: int
    """Heads times head size, over all layers: products of a token with each token it attends to."""
    passes: float
    """Training's products over those of a forward pass: 3, or 2 where weights stay as they are."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> ModelFlops:
        """Count the weights of a decoder, including experts that a token skips."""
        config = model.config.get_text_config()
        head = model.get_output_embeddings()
        others = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding) or m is head}
        weights = [p for p in model.parameters() if p.ndim > 1 and id(p) not in others]
        size = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        return cls(
            layers=sum(p.numel() for p in weights),
            head=head.weight.numel(),
            attention=config.num_hidden_layers * config.num_attention_heads * size,
            passes=3.0 if all(p.requires_grad for p in model.parameters()) else 2.0,
        )

    def training(
        self, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]
    ) -> float:
        """FLOP of one forward and backward pass over `responses[i]` behind `prompts[i]`; see
        `forward`."""
        return self.passes * self.forward(prompts, responses)

    def forward(
        self, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]
    ) -> float:
        """FLOP of one forward pass over `responses[i]` behind `prompts[i]`.

        Each prompt counts once, and neither recomputation nor padding counts: only what must be
        computed.
        """
        unique = set(map(tuple, prompts))
        read = sum(map(len, unique)) + sum(len(response) - 1 for response in responses)
        scored = sum(map(len, responses))
        seen = sum(_triangle(len(prompt)) for prompt in unique)
        for prompt, response in zip(prompts, responses, strict=True):
            seen += _triangle(len(prompt) + len(response) - 1) - _triangle(len(prompt))
        return 2.0 * (self.layers * read + self.head * scored) + 4 * self.attention * seen


@lru_cache
def matmul_rate(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """FLOP per second of a large matrix product on the device, the best of a few runs.

    threads: the current number of threads of a CPU, on which the rate depends.
    """
    size = 8192 if device.type == "cuda" else 768
    a = torch.ones(size, size, device=device, dtype=dtype)
    best = 0.0
    for _ in range(_RUNS + 1):  # the first run loads kernels
        wait_for(device)
        start = time.perf_counter()
        a @ a
        wait_for(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def _triangle(length: int) -> int:
    """Pairs of tokens of which one attends to the other, itself included."""
    return length * (length + 1) // 2
