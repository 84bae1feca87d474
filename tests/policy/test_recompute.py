"""Gradient checkpointing changes the memory of a step and nothing else."""

import pytest
import torch
from tiny_models import FAMILIES, random_model

from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.recompute import enable_recomputing

PROMPTS, RESPONSES = [[1, 5, 9], [1, 7]], [[20, 21, 2], [30, 31]]


def passes(model):
    """Calls of the first layer's attention, from now on."""
    calls = []
    model.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    return calls


def gradients(model):
    scores = response_logprobs(model, PROMPTS, RESPONSES)
    return scores.detach(), torch.autograd.grad(scores.sum(), list(model.parameters()))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_run_twice_and_the_gradient_is_the_same_bit_for_bit(family):
    # Dropout would act in training mode, and would show.
    plain, enabled = (random_model(family, attention_dropout=0.5) for _ in range(2))
    enable_recomputing(enabled)
    calls = passes(enabled)
    expected, found = gradients(plain), gradients(enabled)
    assert len(calls) == 2, "once forward, once again backward"
    assert torch.equal(expected[0], found[0])
    for a, b in zip(expected[1], found[1], strict=True):
        assert torch.equal(a, b)
    assert not any(module.training for module in enabled.modules())


def test_nothing_is_computed_twice_where_no_gradient_is_wanted():
    model = random_model("Llama")
    enable_recomputing(model)
    calls = passes(model)
    with torch.no_grad():
        response_logprobs(model, PROMPTS, RESPONSES)
    assert len(calls) == 1


def test_the_switch_is_reset_when_the_forward_pass_fails(monkeypatch):
    model = random_model("Llama")
    enable_recomputing(model)
    with pytest.raises(RuntimeError, match="out of bounds"):
        response_logprobs(model, PROMPTS, [[20, 999], [30, 999]])
    assert not any(module.training for module in model.modules())


def test_a_model_that_cannot_do_it_is_refused():
    model = random_model("Llama")
    type(model).supports_gradient_checkpointing, before = False, True
    try:
        with pytest.raises(ValueError, match=r"set policy\.gradient_checkpointing=false"):
            enable_recomputing(model)
    finally:
        type(model).supports_gradient_checkpointing = before
