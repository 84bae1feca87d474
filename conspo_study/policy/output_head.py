"""The output head of a model: what enters it, and what the model makes of its products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from conspo_study.policy.errors import PolicyError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAMES = ("logit", "lm_head_mult", "output_multiplier")
"""Parts of the names of settings by which models scale or cap their logits."""
_OTHERS = ("attn", "attention", "router")
"""Parts of the names of similar settings of something else."""
_FOUND, _PRECISE = "conspo_logit_transform", "conspo_float32"
_WIDEST = 60.0
"""Largest product with the head that the transform is tried on; caps are around 30."""
_CLOSE = 1e-5


class LogitTransform(NamedTuple):
    """What a model makes of the products z with its output head: cap * tanh(scale * z / cap), or
    without a cap scale * z."""

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, products: Tensor) -> Tensor:
        """Logits from products of any shape."""
        scaled = products if self.scale == 1 else products * self.scale
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)


def decoder_of(model: PreTrainedModel) -> nn.Module:
    """The part of a model that computes hidden states; the model itself if there is none."""
    base: nn.Module = model.base_model
    # Llama 4 declares another name than it uses.
    return base if base is not model else getattr(model, "model", model)


def compute_head_in_float32(model: PreTrainedModel) -> None:
    """Compute the products with the output head in float32 even under autocast, here and in
    `token_logprobs`."""
    head: Any = model.get_output_embeddings()

    def forward(hidden: Tensor) -> Tensor:
        bias = None if head.bias is None else head.bias.float()
        with torch.autocast(hidden.device.type, enabled=False):
            return functional.linear(hidden.float(), head.weight.float(), bias)

    head.forward = forward
    setattr(head, _PRECISE, True)


def head_is_float32(head: nn.Module) -> bool:
    """True for a head that `compute_head_in_float32` was called for."""
    return bool(getattr(head, _PRECISE, False))


def logit_transform(model: PreTrainedModel) -> LogitTransform:
    """The transform of a model, found at the first call by trying the model.

    Raises PolicyError for a model whose settings name one that is not of this form: its
    log-probabilities would be wrong.
    """
    found = getattr(model, _FOUND, None)
    if found is None:
        named = dict(_named(model))
        found = _tried(model, named) if named else LogitTransform()
        setattr(model, _FOUND, found)
    return found


def _named(model: PreTrainedModel) -> Iterator[tuple[str, float]]:
    """The settings of a model that may scale or cap its logits; some are computed from others."""
    for config in (model.config, model.config.get_text_config()):
        for name in dir(config):
            if any(part in name for part in _NAMES) and not any(part in name for part in _OTHERS):
                value: Any = getattr(config, name, None)
                if type(value) in (int, float) and value not in (0, 1):
                    yield name, float(value)


def _tried(model: PreTrainedModel, named: Mapping[str, float]) -> LogitTransform:
    """The transform by `named` settings that this model applies. Some multiply where others divide,
    before the head or after it, and some ignore what their configuration says."""
    before, after, products = _observed(model)
    numbers = (1.0, *named.values(), *(1 / value for value in named.values()))
    entering = next((s for s in numbers if _agree(before[0] * s, before[1])), None)
    leaving = (LogitTransform(*pair) for pair in product(numbers, (None, *named.values())))
    found = next((one for one in leaving if _agree(one(products), after)), None)
    if entering is None or found is None:
        settings = ", ".join(f"{name}={value:g}" for name, value in named.items())
        raise PolicyError(
            f"policy.model: {type(model).__name__} changes its logits around the output head "
            f"({settings}) in a way that this project does not reproduce: use another model"
        )
    return LogitTransform(entering * found.scale, found.cap)


def _observed(model: PreTrainedModel) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Hidden states as they leave the decoder and enter the head, and the logits that the model
    makes of given products with the head."""
    head, entered = model.get_output_embeddings(), []
    size = model.get_input_embeddings().weight.shape[0]
    device = model.get_input_embeddings().weight.device
    tokens = torch.tensor([[token % size for token in (3, 4, 5)]], device=device)

    def replaced(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        entered.append(inputs[0])
        points = torch.linspace(-_WIDEST, _WIDEST, output.numel(), device=device)
        return points.view_as(output).to(output.dtype)

    with torch.no_grad():
        hidden = decoder_of(model)(input_ids=tokens, use_cache=False).last_hidden_state
        handle = head.register_forward_hook(replaced)
        try:
            logits = model(input_ids=tokens, use_cache=False).logits
        finally:
            handle.remove()
    points = torch.linspace(-_WIDEST, _WIDEST, logits.numel(), device=device).view_as(logits)
    return (hidden, entered[0]), logits, points.to(logits.dtype)


def _agree(expected: Tensor, got: Tensor) -> bool:
    if expected.shape != got.shape:
        return False
    return bool((expected - got).abs().max() <= _CLOSE * max(1.0, float(got.abs().max())))
