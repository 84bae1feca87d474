"""Attention over packed rollouts, for transformers models.

It uses transformers' public interface: a named attention function, which equals `sdpa` except for
calls with a packing.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from conspo_study.policy.output_head import decoder_of
from conspo_study.policy.packing import Packing, gathered
from conspo_study.policy.windows import FULL, SLIDING, layer_kinds

PACKED = "conspo_packed"
"""Name under which the attention function is registered with transformers."""
UNPACKED = "sdpa"
"""Name of the attention function of transformers that it is based on."""


def enable_packing(model: PreTrainedModel) -> None:
    """Enable `packed_hidden` for a model that may support it: a decoder with only causal attention,
    full or within sliding windows, computed by PyTorch's kernel through transformers' attention
    interface."""
    if (
        model.config.get_text_config()._attn_implementation == UNPACKED
        and model._supports_attention_backend
        and layer_kinds(model.config) <= {FULL, SLIDING}
    ):
        model.set_attn_implementation(PACKED)


def can_pack(model: PreTrainedModel) -> bool:
    """True if `packed_hidden` is enabled for this model."""
    return bool(model.config.get_text_config()._attn_implementation == PACKED)


def packed_hidden(model: PreTrainedModel, packing: Packing) -> Tensor:
    """Hidden states [T, D] of the tokens of a packed row, equal to those in separate rollouts."""
    # transformers takes a mask of four dimensions as complete and builds none. This one says
    # nothing: attention that used it would give NaN.
    mask = torch.full((1, 1, 1, 1), math.nan, device=packing.tokens_T.device)
    hidden_1TD: Tensor = decoder_of(model)(
        input_ids=packing.tokens_T[None],
        position_ids=packing.positions_T[None],
        attention_mask=mask,
        use_cache=False,
        packing=packing,
    ).last_hidden_state
    return hidden_1TD[0]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing | None = None,
    sliding_window: int | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """The attention function. Queries, keys and values are [B, heads, L, head size], the result is
    [B, L, heads, head size]. sliding_window: tokens that a token attends to, itself included; the
    mask has it already, except of a packed row."""
    if packing is None:
        whole, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return whole, None
    parts = []
    for index_BL in packing.rollouts:
        rows = [_rows(x, index_BL) for x in (query, key, value)]
        mask = _within(sliding_window, index_BL)
        out_BLHD, _ = sdpa_attention_forward(module, *rows, mask, **settings)
        parts.append(out_BLHD.flatten(2).flatten(0, 1))
    out_TD = gathered(torch.cat(parts), packing.unpacked_T)
    return out_TD.view(1, len(out_TD), -1, value.shape[-1]), None


def _within(window: int | None, index_BL: Tensor) -> Tensor | None:
    """The causal mask [1, 1, L, L] of a sliding window; None, for the kernel's own causal
    attention, if no rollout exceeds it."""
    length = index_BL.shape[1]
    if window is None or length <= window:
        return None
    seen_LL = torch.ones(length, length, dtype=torch.bool, device=index_BL.device).tril_()
    return seen_LL.triu_(1 - window)[None, None]


def _rows(x_1HTD: Tensor, index_BL: Tensor) -> Tensor:
    """The rollouts `index_BL` gathered from a packed row: [B, H, L, D]."""
    _, heads, _, size = x_1HTD.shape
    flat_TD = x_1HTD[0].transpose(0, 1).flatten(1)
    return gathered(flat_TD, index_BL).view(*index_BL.shape, heads, size).transpose(1, 2)


AttentionInterface.register(PACKED, attend)
AttentionMaskInterface.register(PACKED, sdpa_mask)
