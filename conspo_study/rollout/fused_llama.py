"""One decoding step of a small Llama in a third of the operations of the transformers module.

For a model of 100,000 parameters the time of a step is the number of operations, not their size.
Merging projections that read the same input, folding the norms' gains into them and rotating
queries and keys as complex numbers leaves the result the same to rounding. Large models gain
nothing and would hold their weights twice, so they and all other architectures are decoded by
calling the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaForCausalLM

MAX_PARAMETERS = 5_000_000


class _Layer(NamedTuple):
    qkv: torch.Tensor
    out: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


def can_fuse(model: Any) -> bool:
    """Whether the model is a plain and small enough Llama on a CPU."""
    if type(model) is not LlamaForCausalLM or model.device.type != "cpu":
        return False
    config = model.config
    return (
        config.rope_parameters["rope_type"] == "default"
        and config.hidden_act == "silu"
        and config.num_key_value_heads == config.num_attention_heads
        and not (config.attention_bias or config.mlp_bias)
        and model.num_parameters() <= MAX_PARAMETERS
        and all(map(_is_plain, model.model.layers))
    )


def _is_plain(layer: Any) -> bool:
    """Whether the projections are their weights and nothing more, such as adapters."""
    parts = layer.self_attn, layer.mlp
    names = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
    return all(
        type(getattr(part, name)) is nn.Linear
        for part, own in zip(parts, names, strict=True)
        for name in own
    )


class FusedLlama:
    """The weights of a model as they are now; build it anew after each update."""

    def __init__(self, model: LlamaForCausalLM, positions: int) -> None:
        base, config = model.model, model.config
        self._embedding = base.embed_tokens.weight
        self._heads = config.num_attention_heads
        self._head_dim = base.layers[0].self_attn.head_dim
        half = self._head_dim // 2
        # transformers rotates an element of a head's first half with that of the second half at the
        # same place; here the two lie next to each other, as the parts of a complex number.
        self._pairs_D = torch.arange(self._head_dim).view(2, half).T.flatten()
        # x / rms(x) = x sqrt(D) / |x|: sqrt(D) goes into the gains.
        gain = config.hidden_size**0.5
        self._least = torch.tensor((config.hidden_size * config.rms_norm_eps) ** 0.5)
        self._layers = [_fuse(layer, gain, self._paired) for layer in base.layers]
        self._head = model.lm_head.weight * base.norm.weight * gain
        cos_1LD, sin_1LD = base.rotary_emb(self._embedding, torch.arange(positions)[None])
        self._turn_L1C = torch.complex(cos_1LD[0, :, None, :half], sin_1LD[0, :, None, :half])

    def take_over(self, cache: Any) -> None:
        """Read keys that the model has written into the cache, from now on."""
        for layer in cache.layers:
            used = layer.keys[:, :, : layer.get_seq_length()]
            used.copy_(used[..., self._pairs_D])

    def __call__(
        self,
        tokens_R: torch.Tensor,
        positions_R: torch.Tensor,
        mask_R11L: torch.Tensor | None,
        cache: Any,
    ) -> torch.Tensor:
        """Append one token per row to the cache; logits [R, V] of the next one."""
        turn_R1C = self._turn_L1C[positions_R]
        heads, size = self._heads, self._head_dim
        x_RD = self._embedding[tokens_R]
        for index, layer in enumerate(self._layers):
            qkv = functional.linear(self._normalised(x_RD), layer.qkv).view(-1, 3 * heads, size)
            pairs = torch.view_as_complex(qkv[:, : 2 * heads].view(-1, 2 * heads, size // 2, 2))
            qk = torch.view_as_real(pairs * turn_R1C).flatten(-2)
            keys, values = cache.update(qk[:, heads:, None], qkv[:, 2 * heads :, None], index)
            attended = functional.scaled_dot_product_attention(
                qk[:, :heads, None], keys, values, attn_mask=mask_R11L
            )
            x_RD = torch.addmm(x_RD, attended.flatten(1), layer.out)
            gate, up = functional.linear(self._normalised(x_RD), layer.gate_up).chunk(2, dim=-1)
            x_RD = torch.addmm(x_RD, functional.silu(gate) * up, layer.down)
        return functional.linear(self._normalised(x_RD), self._head)

    def _normalised(self, x_RD: torch.Tensor) -> torch.Tensor:
        length_R1 = torch.linalg.vector_norm(x_RD, dim=-1, keepdim=True)
        return x_RD / torch.hypot(length_R1, self._least)

    def _paired(self, weight_ED: torch.Tensor) -> torch.Tensor:
        """A projection to queries or keys whose heads have their elements in pairs."""
        heads = weight_ED.view(self._heads, self._head_dim, -1)
        return heads[:, self._pairs_D].flatten(0, 1)


def _fuse(layer: Any, gain: float, paired: Callable[[torch.Tensor], torch.Tensor]) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    turned = [paired(attention.q_proj.weight), paired(attention.k_proj.weight)]
    return _Layer(
        qkv=torch.cat([*turned, attention.v_proj.weight]) * layer.input_layernorm.weight * gain,
        out=attention.o_proj.weight.T,
        gate_up=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        * layer.post_attention_layernorm.weight
        * gain,
        down=mlp.down_proj.weight.T,
    )
