"""The head's own backward pass against PyTorch's."""

from functools import partial

import pytest
import torch
from exact_models import exact_model
from tolerances import assert_same, terms_of
from torch import nn
from torch.nn import functional

from conspo_study.policy.head_logprobs import head_logprobs, is_plain
from conspo_study.policy.logprobs import response_logprobs

N, D, V = 7, 5, 11
CHUNKS = (1, 3, 7, 100)
TERMS = D + V + D + V + N
"""Of the sums of a pass over the head and back."""


def inputs(dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, D, generator=draw, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, generator=draw, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.randint(V, (N,), generator=draw)


def plain(hidden, weight, target, temperature):
    logits = functional.linear(hidden, weight)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return -functional.cross_entropy(logits, target, reduction="none")


@pytest.mark.parametrize("per_chunk", CHUNKS)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_gradient_is_that_of_finite_differences(per_chunk, temperature):
    hidden, weight, target = inputs()
    torch.autograd.gradcheck(
        lambda h, w: head_logprobs(h, w, target, temperature, per_chunk), (hidden, weight)
    )


@pytest.mark.parametrize("per_chunk", CHUNKS)
@pytest.mark.parametrize("autocast", [False, True])
def test_scores_and_gradients_are_those_of_cross_entropy(per_chunk, autocast):
    hidden, weight, target = inputs(torch.float32)
    upstream = torch.linspace(-1, 1, N)
    found = []
    for score in (plain, lambda *arguments: head_logprobs(*arguments, per_chunk)):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logprobs = score(hidden, weight, target, 0.7)
        assert logprobs.dtype == torch.float32
        found.append((logprobs, *torch.autograd.grad(logprobs @ upstream, (hidden, weight))))
    for expected, value in zip(*found, strict=True):
        assert value.dtype == expected.dtype
        if autocast:  # the logits, their gradient and its two products
            assert_same(value, expected, 4, torch.bfloat16)
        else:
            assert_same(value, expected, TERMS)


@pytest.mark.parametrize("frozen", [0, 1])
def test_what_is_frozen_gets_no_gradient(frozen):
    *parts, target = inputs()
    expected = torch.autograd.grad(plain(*parts, target, 1.0).sum(), parts[1 - frozen])
    parts[frozen].requires_grad_(False)
    head_logprobs(*parts, target, 1.0, 3).sum().backward()
    assert parts[frozen].grad is None
    assert_same(parts[1 - frozen].grad, expected[0], TERMS)


def test_a_second_backward_pass_gives_the_same():
    hidden, weight, target = inputs()
    logprobs = head_logprobs(hidden, weight, target, 1.0, 100)
    (first,) = torch.autograd.grad(logprobs.sum(), weight, retain_graph=True)
    assert_same(torch.autograd.grad(logprobs.sum(), weight)[0], first, TERMS)


@pytest.mark.parametrize("chunk", [1 << 20, 3 * 62])
def test_a_head_with_a_bias_is_scored_with_it(chunk, monkeypatch):
    monkeypatch.setattr("conspo_study.policy.logprobs.CHUNK_ELEMENTS", chunk)
    model = exact_model("Llama")
    head = nn.Linear(*reversed(model.lm_head.weight.shape), dtype=torch.float64)
    head.weight, model.lm_head = model.lm_head.weight, head
    assert not is_plain(head)
    prompts, responses = [[5, 7, 9], [4, 8]], [[3, 6, 2], [9, 9, 1, 4]]
    scores = response_logprobs(model, prompts, responses)
    start = 0
    for prompt, response in zip(prompts, responses, strict=True):
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1)[torch.arange(len(response)), response]
        found = scores[start : start + len(response)]
        assert_same(found, expected, terms_of(model, 7))
        start += len(response)
    (gradient,) = torch.autograd.grad(scores.sum(), head.bias)
    assert gradient.abs().sum() > 0


def with_entropies(hidden, weight, target, temperature):
    logits = functional.linear(hidden, weight).float() / temperature
    spread = torch.distributions.Categorical(logits=logits)
    return torch.stack((spread.log_prob(target), spread.entropy()), dim=1)


@pytest.mark.parametrize("per_chunk", CHUNKS)
def test_entropies_and_their_gradient_are_those_of_finite_differences(per_chunk):
    hidden, weight, target = inputs()
    torch.autograd.gradcheck(
        lambda h, w: head_logprobs(h, w, target, 0.6, per_chunk, entropy=True), (hidden, weight)
    )


@pytest.mark.parametrize("per_chunk", CHUNKS)
@pytest.mark.parametrize("autocast", [False, True])
def test_entropies_are_those_of_torch_distributions(per_chunk, autocast):
    hidden, weight, target = inputs(torch.float32)
    upstream = torch.linspace(-1, 1, 2 * N).reshape(N, 2)
    found = []
    own = partial(head_logprobs, per_chunk=per_chunk, entropy=True)
    for score in (with_entropies, own):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            values = score(hidden, weight, target, temperature=0.7)
        loss = (values * upstream).sum()
        found.append((values, *torch.autograd.grad(loss, (hidden, weight))))
    for expected, value in zip(*found, strict=True):
        assert value.dtype == expected.dtype and value.shape == expected.shape
        if autocast:
            assert_same(value, expected, 6, torch.bfloat16)
        else:
            assert_same(value, expected, 2 * TERMS)


@pytest.mark.parametrize("biased", [False, True])
def test_every_kind_of_head_gives_the_entropies_of_the_sampling_temperature(biased):
    model = exact_model("Llama")
    if biased:
        bias = nn.Parameter(torch.linspace(-2, 2, 62, dtype=torch.float64))
        model.lm_head.bias = bias
    prompts, responses = [(3, 4, 5), (6, 7)], [(1, 2), (3, 5, 8)]
    values = response_logprobs(model, prompts, responses, 0.7, entropy=True)
    rows = []
    for prompt, response in zip(prompts, responses, strict=True):
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        spread = torch.distributions.Categorical(logits=logits / 0.7)
        rows.append(torch.stack((spread.log_prob(torch.tensor(response)), spread.entropy()), 1))
    assert_same(values, torch.cat(rows), terms_of(model, 5))
    plain = response_logprobs(model, prompts, responses, 0.7)
    assert_same(values[:, 0], plain, terms_of(model, 5))
