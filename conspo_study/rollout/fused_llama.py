"""Decodes a small Llama with a third of the operations of the transformers module.

For a model of 100,000 parameters the time of a step depends on the number of operations, not on
their size. Merging projections of the same input, folding the norms' gains and the attention scale
into them, rotating queries and keys as complex numbers, and keeping all keys and values in one
tensor give the same result up to rounding. Large models would gain nothing and hold their weights
twice, so they, and all other architectures, are decoded by calling the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from conspo_study.rollout.decoder import hiding, hiding_future, left_padded

MAX_PARAMETERS = 5_000_000
"""Largest model that is decoded in this way."""


class _Layer(NamedTuple):
    qkv: torch.Tensor
    out: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


def can_fuse(model: PreTrainedModel) -> bool:
    """True for a plain, small Llama on a CPU."""
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


def _is_plain(layer: LlamaDecoderLayer) -> bool:
    """True if all projections of a layer are plain linear layers, without adapters."""
    parts = layer.self_attn, layer.mlp
    names = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
    return all(
        type(getattr(part, name)) is nn.Linear
        for part, projections in zip(parts, names, strict=True)
        for name in projections
    )


class FusedLlama:
    """A `Decoder` with a copy of the model's current weights; to be rebuilt after each update."""

    def __init__(self, model: LlamaForCausalLM, capacity: int) -> None:
        """capacity: maximum tokens of a row, padding included."""
        base, config = model.model, model.config
        self._capacity = capacity
        self._embedding = base.embed_tokens.weight
        self._heads = config.num_attention_heads
        self._size = base.layers[0].self_attn.head_dim
        # x / rms(x) = x sqrt(D) / |x|: sqrt(D) is folded into the gains.
        gain = config.hidden_size**0.5
        self._least = torch.tensor((config.hidden_size * config.rms_norm_eps) ** 0.5)
        self._layers = [self._fused(layer, gain) for layer in base.layers]
        self._head = model.lm_head.weight * base.norm.weight * gain
        cos_1LD, sin_1LD = base.rotary_emb(self._embedding, torch.arange(capacity)[None])
        half = self._size // 2
        turn_LC = torch.complex(cos_1LD[0, :, :half], sin_1LD[0, :, :half])
        # Queries and keys are rotated, values are not.
        self._turn_L31C = torch.stack([turn_LC, turn_LC, torch.ones_like(turn_LC)], 1)[:, :, None]
        self._length = 0
        self._mask_RHL: torch.Tensor | None = None

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """See `Decoder`."""
        tokens_PL, pads_P = left_padded(prompts, self._embedding.device)
        rows, width = tokens_PL.shape
        shape = (len(self._layers), 2, rows, self._heads, self._capacity, self._size)
        # Keys and values of all layers: [layers, 2, rows, heads, capacity, head size].
        self._kv = self._embedding.new_empty(shape)
        self._pads_R = pads_P
        mask = None
        if pads_P.any():
            hidden_P11L = hiding(pads_P, self._capacity, self._embedding.dtype)
            self._mask_RHL = hidden_P11L[:, 0].expand(-1, self._heads, -1).contiguous()
            mask = hiding_future(hidden_P11L[..., :width])
        positions_PL = (torch.arange(width) - pads_P[:, None]).clamp(min=0)
        hidden_TD = self._hidden(tokens_PL, self._turn_L31C[positions_PL.flatten()], mask)
        return self._logits(hidden_TD.view(rows, width, -1)[:, -1])

    def repeat(self, times: int) -> None:
        """See `Decoder`."""
        used = self._kv[..., : self._length, :]
        rows = self._kv.shape[2] * times
        self._kv = self._kv.new_empty(*used.shape[:2], rows, *self._kv.shape[3:])
        self._kv[..., : self._length, :] = used.repeat_interleave(times, dim=2)
        self._pads_R = self._pads_R.repeat_interleave(times)
        if self._mask_RHL is not None:
            self._mask_RHL = self._mask_RHL.repeat_interleave(times, dim=0)

    def keep(self, rows_K: torch.Tensor) -> None:
        """See `Decoder`. The rows are moved to the front of the same memory."""
        used = self._kv[..., : self._length, :].index_select(2, rows_K)
        self._kv = self._kv[:, :, : len(rows_K)]
        self._kv[..., : self._length, :] = used
        self._pads_R = self._pads_R[rows_K]
        if self._mask_RHL is not None:
            self._mask_RHL = self._mask_RHL[rows_K]

    def step(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        if self._mask_RHL is None:
            turn, mask_B1L = self._turn_L31C[self._length], None
        else:
            turn = self._turn_L31C[self._length - self._pads_R]
            mask_B1L = self._mask_RHL.view(-1, 1, self._capacity)[..., : self._length + 1]
        return self._logits(self._hidden(tokens_R[:, None], turn, mask_B1L))

    def _hidden(
        self, tokens_RL: torch.Tensor, turn: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Append L tokens to each row; returns hidden states [R * L, D] before the last norm."""
        rows, added = tokens_RL.shape
        start, self._length = self._length, self._length + added
        x_TD: torch.Tensor = self._embedding[tokens_RL.flatten()]
        for kv, layer in zip(self._kv, self._layers, strict=True):
            qkv = functional.linear(self._normalised(x_TD), layer.qkv)
            pairs = torch.view_as_complex(qkv.view(-1, 3, self._heads, self._size // 2, 2))
            qkv = torch.view_as_real(pairs * turn).view(rows, added, 3, self._heads, self._size)
            kv[:, :, :, start : self._length] = qkv[:, :, 1:].permute(2, 0, 3, 1, 4)
            attended_TD = self._attended(qkv[:, :, 0], kv[:, :, :, : self._length], mask)
            x_TD = torch.addmm(x_TD, attended_TD, layer.out)
            gate, up = functional.linear(self._normalised(x_TD), layer.gate_up).chunk(2, dim=-1)
            x_TD = torch.addmm(x_TD, functional.silu(gate) * up, layer.down)
        return x_TD

    def _attended(
        self, query_RLHD: torch.Tensor, kv: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Attention output [R * L, H * D]; kv: keys and values [2, R, H, length, D]."""
        keys, values = kv
        if query_RLHD.shape[1] > 1:
            query = query_RLHD.transpose(1, 2)
            attended_RHLD = functional.scaled_dot_product_attention(
                query, keys, values, mask, is_causal=mask is None, scale=1.0
            )
            return attended_RHLD.transpose(1, 2).flatten(0, 1).flatten(1)
        # For single queries, two batched products (B = R * H) take little more than half the time
        # of the attention kernel, which is made for longer queries.
        query_B1D = query_RLHD.reshape(-1, 1, self._size)
        keys_BDL = keys.flatten(0, 1).transpose(1, 2)
        if mask is None:
            scores_B1L = torch.bmm(query_B1D, keys_BDL)
        else:
            scores_B1L = torch.baddbmm(mask, query_B1D, keys_BDL)
        attended_B1D = torch.bmm(scores_B1L.softmax(dim=-1), values.flatten(0, 1))
        return attended_B1D.view(len(query_RLHD), -1)

    def _logits(self, x_RD: torch.Tensor) -> torch.Tensor:
        return functional.linear(self._normalised(x_RD), self._head)

    def _normalised(self, x_TD: torch.Tensor) -> torch.Tensor:
        length_T1 = torch.linalg.vector_norm(x_TD, dim=-1, keepdim=True)
        return x_TD / torch.hypot(length_T1, self._least)

    def _fused(self, layer: LlamaDecoderLayer, gain: float) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        query = self._paired(attention.q_proj.weight) * self._size**-0.5
        qkv = torch.cat([query, self._paired(attention.k_proj.weight), attention.v_proj.weight])
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        return _Layer(
            qkv=qkv * layer.input_layernorm.weight * gain,
            out=attention.o_proj.weight.T,
            gate_up=gate_up * layer.post_attention_layernorm.weight * gain,
            down=mlp.down_proj.weight.T,
        )

    def _paired(self, weight_ED: torch.Tensor) -> torch.Tensor:
        """A projection to queries or keys with the elements of each head in pairs.

        transformers rotates element i of a head's first half with element i of its second half;
        here the two are adjacent, as the parts of a complex number.
        """
        heads = weight_ED.view(self._heads, 2, self._size // 2, -1)
        return heads.transpose(1, 2).flatten(0, 2)
