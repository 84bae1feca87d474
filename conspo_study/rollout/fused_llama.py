"""One decoding step of a small Llama in a third of the operations of the transformers module.

For a model of 100,000 parameters the time of a step is the number of operations, not their size.
Merging projections that read the same input and folding the norms' gains into them leaves the
result the same to rounding. Large models gain nothing and would hold their weights twice, so they
and all other architectures are decoded by calling the model.
"""

from __future__ import annotations

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
        self._layers = [_fuse(layer) for layer in base.layers]
        self._head = model.lm_head.weight * base.norm.weight
        self._heads = config.num_attention_heads
        self._head_dim = base.layers[0].self_attn.head_dim
        self._hidden, self._epsilon = config.hidden_size, config.rms_norm_eps
        cos_1LD, sin_1LD = base.rotary_emb(self._embedding, torch.arange(positions)[None])
        self._cos_L1D = cos_1LD[0, :, None]
        # Rotating swaps the halves of a head and negates the first: the sign is kept here.
        half = self._head_dim // 2
        self._sin_L1D = torch.cat((-sin_1LD[0, :, :half], sin_1LD[0, :, half:]), dim=-1)[:, None]

    def __call__(
        self,
        tokens_R: torch.Tensor,
        positions_R: torch.Tensor,
        mask_R11L: torch.Tensor | None,
        cache: Any,
    ) -> torch.Tensor:
        """Append one token per row to the cache; logits [R, V] of the next one."""
        cos_R1D, sin_R1D = self._cos_L1D[positions_R], self._sin_L1D[positions_R]
        heads, size = self._heads, self._head_dim
        x_RD = self._embedding[tokens_R]
        for index, layer in enumerate(self._layers):
            qkv = functional.linear(self._normalised(x_RD), layer.qkv).view(-1, 3 * heads, size)
            qk = qkv[:, : 2 * heads]
            qk = torch.addcmul(qk * cos_R1D, qk.roll(size // 2, dims=-1), sin_R1D)
            keys, values = cache.update(qk[:, heads:, None], qkv[:, 2 * heads :, None], index)
            attended = functional.scaled_dot_product_attention(
                qk[:, :heads, None], keys, values, attn_mask=mask_R11L
            )
            x_RD = torch.addmm(x_RD, attended.flatten(1), layer.out)
            gate, up = functional.linear(self._normalised(x_RD), layer.gate_up).chunk(2, dim=-1)
            x_RD = torch.addmm(x_RD, functional.silu(gate) * up, layer.down)
        return functional.linear(self._normalised(x_RD), self._head)

    def _normalised(self, x_RD: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x_RD, (self._hidden,), None, self._epsilon)


def _fuse(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    qkv = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    return _Layer(
        qkv=torch.cat(qkv) * layer.input_layernorm.weight,
        out=attention.o_proj.weight.T,
        gate_up=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        * layer.post_attention_layernorm.weight,
        down=mlp.down_proj.weight.T,
    )
