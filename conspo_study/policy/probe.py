"""Tries a loaded model: the trainer's log-probabilities against those of the model's own logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import PreTrainedModel

from conspo_study.policy.errors import PolicyError
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import UNPACKED, can_pack
from conspo_study.policy.windows import narrowed, window_settings

TOLERANCE = 1e-3
"""Largest accepted difference between our log-probabilities and those of the model's own logits,
relative to the largest logit."""
NARROW = 2
"""Width, in tokens, to which attention windows are narrowed, so that short rollouts exceed them."""
_PROBE = ((3, 4), (5,)), ((3, 4), (6, 7)), ((8, 9, 10), (11, 12))
"""Prompts and responses, two with the same prompt, of different lengths."""

Rollouts = list[tuple[list[int], list[int]]]


def check_scores(model: PreTrainedModel) -> None:
    """Disable packing for a model whose log-probabilities differ with it from those of its own
    logits, within its attention windows or beyond them.

    Raises PolicyError if they differ without packing, too.
    """
    expected, largest = _logprobs_of_logits(model)
    if not math.isfinite(largest):
        raise PolicyError(
            f"policy.model: the weights of this {type(model).__name__} are finite, but its logits "
            "are not: use another model"
        )
    tolerance = TOLERANCE * max(1.0, largest)
    packed = can_pack(model)
    if packed and not (
        _agree(model, expected, tolerance) and _agree_beyond_windows(model, expected, tolerance)
    ):
        model.set_attn_implementation(UNPACKED)
        packed = False
    if not packed and not _agree(model, expected, tolerance):
        raise PolicyError(
            f"policy.model: {type(model).__name__} changes its logits after the output head, or "
            "attends to later tokens, which this project does not reproduce: use another model"
        )


def _agree(model: PreTrainedModel, expected: Tensor, tolerance: float) -> bool:
    prompts, responses = zip(*_probe(model), strict=True)
    with torch.no_grad():
        scores = response_logprobs(model, prompts, responses)
    return bool((scores - expected).abs().max() <= tolerance)


def _agree_beyond_windows(model: PreTrainedModel, within: Tensor, tolerance: float) -> bool:
    """True without windows, or if packing reproduces narrow ones. False where narrowing them has
    no effect: then nothing is known of longer rollouts."""
    if not window_settings(model.config):
        return True
    with narrowed(model, NARROW):
        beyond, _ = _logprobs_of_logits(model)
        has_effect = bool((beyond - within).abs().max() > 0)
        return has_effect and _agree(model, beyond, tolerance)


def _logprobs_of_logits(model: PreTrainedModel) -> tuple[Tensor, float]:
    """Log-probabilities of the probe from the model's own logits, and the largest |logit|."""
    logits_after: dict[tuple[int, ...], Tensor] = {}
    logprobs = []
    with torch.no_grad():
        for prompt, response in _probe(model):
            for end, token in enumerate(response):
                before = (*prompt, *response[:end])
                if before not in logits_after:
                    output = model(input_ids=torch.tensor([before]), use_cache=False)
                    logits_after[before] = output.logits[0, -1].float()
                logprobs.append(logits_after[before].log_softmax(-1)[token])
    # Unlike Python's max, torch's keeps a NaN.
    return torch.stack(logprobs), float(torch.stack(list(logits_after.values())).abs().max())


def _probe(model: PreTrainedModel) -> Rollouts:
    size = model.get_input_embeddings().weight.shape[0]
    return [([t % size for t in prompt], [t % size for t in answer]) for prompt, answer in _PROBE]
