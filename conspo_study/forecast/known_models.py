"""Sizes of models that are known without their files: the embedded one, the paper's, and those of
the presets for a single GPU."""

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
        """Parameters of a decoder layer's matrices, which are nearly all that it has."""
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


def _decoder(
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    intermediate: int,
    vocabulary: int,
    *,
    tied: bool = False,
    biased: bool = False,
    normed: bool = False,
) -> Shape:
    """The sizes of a Llama, Qwen2 or Qwen3, with the number of parameters that follows from them.

    tied: the output head is the embedding. biased: queries, keys and values have a bias, as in
    Qwen2. normed: queries and keys have a norm each, as in Qwen3.
    """
    shape = Shape(0, hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary)
    vectors = 2 * hidden + biased * head_dim * (heads + 2 * kv_heads) + normed * 2 * head_dim
    tables = (1 if tied else 2) * vocabulary * hidden
    parameters = layers * (shape.layer_parameters + vectors) + tables + hidden
    return Shape(parameters, hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary)


EMBEDDED_SHAPE = Shape(110_784, 64, 2, 2, 2, 32, 192, 62)

KNOWN_MODELS: Mapping[str, Shape] = MappingProxyType(
    {
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _decoder(
            1536, 28, 12, 2, 128, 8960, 151_936, biased=True
        ),
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": _decoder(
            3584, 28, 28, 4, 128, 18_944, 152_064, biased=True
        ),
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": _decoder(4096, 32, 32, 8, 128, 14_336, 128_256),
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": _decoder(
            5120, 64, 40, 8, 128, 27_648, 152_064, biased=True
        ),
        "Qwen/Qwen3-4B-Base": _decoder(2560, 36, 32, 8, 128, 9728, 151_936, tied=True, normed=True),
        "meta-llama/Llama-3.2-3B-Instruct": _decoder(
            3072, 28, 24, 8, 128, 8192, 128_256, tied=True
        ),
        "HuggingFaceTB/SmolLM2-360M-Instruct": _decoder(
            960, 32, 15, 5, 64, 2560, 49_152, tied=True
        ),
        "Qwen/Qwen2.5-0.5B-Instruct": _decoder(
            896, 24, 14, 2, 64, 4864, 151_936, tied=True, biased=True
        ),
        "Qwen/Qwen3-0.6B": _decoder(1024, 28, 16, 8, 128, 3072, 151_936, tied=True, normed=True),
        "meta-llama/Llama-3.2-1B-Instruct": _decoder(2048, 16, 32, 8, 64, 8192, 128_256, tied=True),
        "Qwen/Qwen2.5-1.5B-Instruct": _decoder(
            1536, 28, 12, 2, 128, 8960, 151_936, tied=True, biased=True
        ),
    }
)
"""Sizes by the name on the hub, from the models' config.json."""


def known_model(model: str) -> Shape | None:
    """The sizes of the model that `policy.model` names, of any revision; None if unknown."""
    return KNOWN_MODELS.get(model.partition("@")[0])
