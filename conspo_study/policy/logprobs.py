"""Log-probabilities of responses under the policy, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from conspo_study.policy.head_logprobs import head_logprobs, is_plain, picked
from conspo_study.policy.logits import CHUNK_ELEMENTS
from conspo_study.policy.output_head import (
    LogitTransform,
    decoder_of,
    head_is_float32,
    logit_transform,
)
from conspo_study.policy.packed_attention import can_pack, packed_hidden
from conspo_study.policy.packing import Packing, gathered
from conspo_study.policy.recompute import recomputing_layers

SHARDED_METHOD = "sharded_token_logprobs"
"""Attribute of a sharded model with its own version of `token_logprobs`."""


def response_logprobs(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    temperature: float = 1.0,
    precision: str = "float32",
    entropy: bool = False,
) -> torch.Tensor:
    """Log-probabilities (nats) of `responses[i]` as continuations of `prompts[i]`: [N].

    N is the sum of the response lengths, each at least 1; tokens are in the order of the responses.
    With `entropy` [N, 2]: beside each, the entropy (nats) of the distribution that it was drawn
    from, at `temperature`. Differentiable. float32, or float64 for a model in float64, even if
    `precision` makes the model compute in bfloat16. A model that supports it reads one packed row,
    in which equal prompts occur once; others read a row per response, padded on the right, where a
    causal model does not look. The head is applied to response positions only. Collective for a
    sharded model: all workers must call it together. Raises PolicyError for a model that changes
    its logits in an unknown way.
    """
    device = model.get_input_embeddings().weight.device
    target_N = torch.tensor(list(chain.from_iterable(responses)), device=device)
    inputs: Packing | _Rows
    if can_pack(model):
        inputs = Packing.of(prompts, responses, device)
    else:
        inputs = _Rows.of(prompts, responses, device)
    # A sharded model gathers its weights only around its forward and this registered method.
    score = getattr(model, SHARDED_METHOD, partial(token_logprobs, model))
    # Autocast casts weights for each product but keeps them, and the residual stream, in float32:
    # stored in bfloat16, an update below 1/256 of a weight would be lost, and most are smaller.
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        scores: torch.Tensor = score(inputs, target_N, temperature, entropy)
    return scores


class _Rows(NamedTuple):
    """Prompts with their responses in rows of equal length."""

    tokens_BL: torch.Tensor
    predicting_N: torch.Tensor
    """Index in the flattened rows at which each response token is predicted."""

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        responses: Sequence[Sequence[int]],
        device: torch.device,
    ) -> _Rows:
        lengths = [len(p) + len(r) - 1 for p, r in zip(prompts, responses, strict=True)]
        width = max(lengths)
        # The last response token is only predicted, never an input.
        rows = [
            [*p, *r[:-1], *([0] * (width - length))]
            for p, r, length in zip(prompts, responses, lengths, strict=True)
        ]
        # Token t of a response is predicted at position len(prompt) - 1 + t.
        at_N = [
            row * width + position
            for row, (p, length) in enumerate(zip(prompts, lengths, strict=True))
            for position in range(len(p) - 1, length)
        ]
        return cls(torch.tensor(rows, device=device), torch.tensor(at_N, device=device))


def token_logprobs(
    model: PreTrainedModel,
    inputs: Packing | _Rows,
    target_N: torch.Tensor,
    temperature: float,
    entropy: bool,
) -> torch.Tensor:
    """Log-probabilities [N] of the tokens `target_N` at the predicting positions of `inputs`; with
    `entropy` [N, 2], beside the entropies there."""
    with recomputing_layers(model):
        if isinstance(inputs, Packing):
            hidden_TD = packed_hidden(model, inputs)
        else:
            output = decoder_of(model)(input_ids=inputs.tokens_BL, use_cache=False)
            hidden_TD = output.last_hidden_state.flatten(0, 1)
    hidden_ND = gathered(hidden_TD, inputs.predicting_N)
    head, transform = model.get_output_embeddings(), logit_transform(model)
    per_chunk = max(1, CHUNK_ELEMENTS // head.weight.shape[0])
    if is_plain(head) and transform.cap is None:
        temperature /= transform.scale
        how = target_N, temperature, per_chunk, entropy
        if head_is_float32(head):
            with torch.autocast(hidden_ND.device.type, enabled=False):
                return head_logprobs(hidden_ND.float(), head.weight.float(), *how)
        return head_logprobs(hidden_ND, head.weight, *how)
    # A head with a bias, or logits that are capped.
    score = partial(
        _score_span, head, transform=transform, temperature=temperature, entropy=entropy
    )
    if len(hidden_ND) <= per_chunk:
        return score(hidden_ND, target_N)
    # Recomputing a span's logits in the backward pass keeps only one span's in memory.
    spans = zip(torch.split(hidden_ND, per_chunk), torch.split(target_N, per_chunk), strict=True)
    return torch.cat([checkpoint(score, *span, use_reentrant=False) for span in spans])


def _score_span(
    head: nn.Module,
    hidden_ND: torch.Tensor,
    target_N: torch.Tensor,
    transform: LogitTransform,
    temperature: float,
    entropy: bool,
) -> torch.Tensor:
    logits_NV = head(hidden_ND)
    logits_NV = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
    logits_NV = transform(logits_NV) / temperature
    return picked(logits_NV.log_softmax(dim=-1), target_N, entropy)
