"""Log-probabilities of given tokens under the output head, with a custom backward pass.

Logits are the largest tensors of a training step, and PyTorch allocates and keeps several of their
size: logits, log-softmax, its gradient. Here only one chunk of tokens at a time has logits, and the
gradient is explicit: with z = W h / temperature and p = softmax(z),

    d log p[y] / dz = onehot(y) - p,

which needs no further tensor of that size. If all tokens fit into one chunk, the forward pass keeps
their log-softmax; otherwise the backward pass recomputes logits, a third more matrix products.

The entropy H of the same distribution comes from the same log-softmax, with

    dH / dz = -p (log p + H).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def is_plain(head: nn.Module) -> bool:
    """True if an output head consists of its weight alone, without bias or adapters."""
    return type(head) is nn.Linear and head.bias is None


def head_logprobs(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    target_N: Tensor,
    temperature: float,
    per_chunk: int,
    entropy: bool = False,
) -> Tensor:
    """Log-probabilities [N] (nats) of tokens `target_N` under logits `weight @ hidden`; with
    `entropy` [N, 2], the second column the entropies (nats) of the distributions.

    hidden_ND, weight_VD: hidden states and the head's weight. Differentiable in both; float32, or
    float64 if the logits are. Under autocast, products are computed in its dtype. At most
    `per_chunk` tokens have logits at a time.
    """
    scores: Tensor = _HeadLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden_ND, weight_VD, target_N, temperature, per_chunk, entropy
    )
    return scores


def picked(logp_CV: Tensor, target_C: Tensor, entropy: bool) -> Tensor:
    """Of log-softmaxed logits, the targets' [C]; with `entropy` [C, 2] those and the entropies."""
    logp_C = logp_CV.gather(-1, target_C[:, None])[:, 0]
    return torch.stack((logp_C, _entropy(logp_CV)), dim=1) if entropy else logp_C


def _entropy(logp_CV: Tensor) -> Tensor:
    """[C, V] -> [C]"""
    return -(logp_CV.exp() * logp_CV).sum(-1)


class _HeadLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        target_N: Tensor,
        temperature: float,
        per_chunk: int,
        entropy: bool,
    ) -> Tensor:
        device = hidden_ND.device.type
        lower = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        # `_Product` casts explicitly, here and in the backward pass.
        with torch.autocast(device, enabled=False):
            product = _Product(weight_VD, temperature, lower)
            parts = []
            for hidden_CD, target_C in zip(
                torch.split(hidden_ND, per_chunk), torch.split(target_N, per_chunk), strict=True
            ):
                logp_CV = product.logits(hidden_CD).log_softmax(dim=-1)
                parts.append(picked(logp_CV, target_C, entropy))
        whole = logp_CV if len(parts) == 1 and any(ctx.needs_input_grad[:2]) else None
        ctx.save_for_backward(hidden_ND, weight_VD, target_N, whole)
        ctx.settings = temperature, per_chunk, entropy, lower
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden_ND, weight_VD, target_N, whole = ctx.saved_tensors
        temperature, per_chunk, entropy, lower = ctx.settings
        product = _Product(weight_VD, temperature, lower)
        of_hidden = torch.empty_like(hidden_ND) if ctx.needs_input_grad[0] else None
        of_weight: Tensor | None = None
        for start in range(0, len(hidden_ND), per_chunk):
            span = slice(start, start + per_chunk)
            hidden_CD, target_C = hidden_ND[span], target_N[span]
            logits_CV = product.logits(hidden_CD) if whole is None else None
            if entropy:
                logp_CV = whole if logits_CV is None else logits_CV.log_softmax(dim=-1)
                down_CV, scale = _down_of_both(logp_CV, target_C, gradient[span]), -1 / temperature
            else:
                down_CV = whole.exp() if logits_CV is None else logits_CV.softmax(dim=-1)
                # p - onehot(y); what remains multiplies the smaller operand of each product.
                down_CV[torch.arange(len(target_C), device=target_C.device), target_C] -= 1.0
                scale = gradient[span, None] / -temperature
            if of_hidden is not None:
                of_hidden[span] = product.back_to_hidden(down_CV) * scale
            if ctx.needs_input_grad[1]:
                of_weight = product.back_to_weight(of_weight, down_CV, hidden_CD * scale)
        if of_weight is not None:
            of_weight = of_weight.to(weight_VD.dtype)
        return of_hidden, of_weight, None, None, None, None


def _down_of_both(logp_CV: Tensor, target_C: Tensor, gradient_C2: Tensor) -> Tensor:
    """Minus the gradient by logits at temperature 1 [C, V], of log-probabilities and entropies.

    gradient_C2: by what `picked` gives of the same arguments.
    """
    of_logp_C, of_entropy_C = gradient_C2.unbind(1)
    down_CV = (logp_CV + _entropy(logp_CV)[:, None]).mul_(of_entropy_C[:, None])
    down_CV.add_(of_logp_C[:, None]).mul_(logp_CV.exp())
    down_CV[torch.arange(len(target_C), device=target_C.device), target_C] -= of_logp_C
    return down_CV


class _Product:
    """Matrix products with the head's weight, in its dtype or in a lower one."""

    def __init__(self, weight_VD: Tensor, temperature: float, lower: torch.dtype | None):
        self._dtype = lower or weight_VD.dtype
        self._weight_VD = weight_VD.to(self._dtype)
        self._temperature = temperature
        self._sum_dtype = torch.promote_types(self._dtype, torch.float32)

    def logits(self, hidden_CD: Tensor) -> Tensor:
        """Logits [C, V], in float32 at least."""
        logits_CV = torch.mm(hidden_CD.to(self._dtype), self._weight_VD.T).to(self._sum_dtype)
        return logits_CV if self._temperature == 1 else logits_CV.div_(self._temperature)

    def back_to_hidden(self, gradient_CV: Tensor) -> Tensor:
        return torch.mm(gradient_CV.to(self._dtype), self._weight_VD).to(self._sum_dtype)

    def back_to_weight(
        self, sum_VD: Tensor | None, gradient_CV: Tensor, hidden_CD: Tensor
    ) -> Tensor:
        """`sum_VD` plus the gradient of this chunk; `sum_VD` is None before the first chunk."""
        gradient_VC, hidden_CD = gradient_CV.to(self._dtype).T, hidden_CD.to(self._dtype)
        if sum_VD is None:
            return torch.mm(gradient_VC, hidden_CD).to(self._sum_dtype)
        if self._dtype == self._sum_dtype:
            return torch.addmm(sum_VD, gradient_VC, hidden_CD, out=sum_VD)
        return sum_VD.add_(torch.mm(gradient_VC, hidden_CD))
