"""Sizes of models that are known without their files: the embedded one, and the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder-only model."""

    parameters: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int

    @property
    def layer_parameters(self) -> int:
        """Parameters of a decoder layer, nearly all of them in its matrices."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return attention + 3 * self.hidden * self.intermediate

    def matrices(self) -> Iterator[tuple[str, list[int]]]:
        """Names and shapes of the matrices of the decoder layers, as in weight files."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        each = {
            "self_attn.q_proj": [queries, self.hidden],
            "self_attn.k_proj": [keys, self.hidden],
            "self_attn.v_proj": [keys, self.hidden],
            "self_attn.o_proj": [self.hidden, queries],
            "mlp.gate_proj": [self.intermediate, self.hidden],
            "mlp.up_proj": [self.intermediate, self.hidden],
            "mlp.down_proj": [self.hidden, self.intermediate],
        }
        for layer in range(self.layers):
            for name, shape in each.items():
                yield f"model.layers.{layer}.{name}.weight", shape

    @property
    def activations(self) -> tuple[int, int]:
        """Number of values that a token stores in each layer for the backward pass: of the residual
        stream and its norms, and of attention and the feed-forward part."""
        attention = self.head_dim * (3 * self.heads + 2 * self.kv_heads)
        return 6 * self.hidden, attention + 4 * self.intermediate


EMBEDDED_SHAPE = Shape(110_784, 64, 2, 2, 2, 32, 192, 62)

KNOWN_MODELS: Mapping[str, Shape] = MappingProxyType(
    {
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": Shape(
            1_780_000_000, 1536, 28, 12, 2, 128, 8960, 151_936
        ),
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": Shape(
            7_600_000_000, 3584, 28, 28, 4, 128, 18_944, 152_064
        ),
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": Shape(
            8_000_000_000, 4096, 32, 32, 8, 128, 14_336, 128_256
        ),
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": Shape(
            32_800_000_000, 5120, 64, 40, 8, 128, 27_648, 152_064
        ),
        "Qwen/Qwen3-4B-Base": Shape(4_000_000_000, 2560, 36, 32, 8, 128, 9728, 151_936),
        "meta-llama/Llama-3.2-3B-Instruct": Shape(
            3_200_000_000, 3072, 28, 24, 8, 128, 8192, 128_256
        ),
    }
)
"""Sizes by the name on the hub; numbers of parameters to two or three digits."""
