"""A packed row gives the scores and gradients of rollouts one by one, from fewer tokens."""

import pytest
import torch
from exact_models import exact, exact_model
from tiny_models import FAMILIES, random_model
from tolerances import assert_same, terms_of

from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import can_pack, enable_packing
from conspo_study.policy.packing import CUT_COST_TOKENS, Packing, similar_lengths
from conspo_study.policy.recompute import enable_recomputing

PROMPTS = [[1, 5, 9], [1, 5, 9], [1, 7], [1, 5, 9], [1, 11, 12, 13, 14], [1, 7]]
RESPONSES = [[20, 21, 2], [30], [22, 23], [40, 41, 42, 43, 2], [2], [24, 25, 26, 27, 28, 29, 2]]


def one_by_one(model, prompts, responses):
    """The definition: a forward pass of its own for each rollout, and the model's own logits."""
    scores = []
    for prompt, response in zip(prompts, responses, strict=True):
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        scores.append(logits.log_softmax(-1).gather(-1, torch.tensor(response)[:, None])[:, 0])
    return torch.cat(scores)


def gradients(model, scores):
    weights = torch.linspace(-1, 1, len(scores), dtype=scores.dtype)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.autograd.grad(scores @ weights, parameters)


def check(model, prompts, responses):
    # Eager attention rounds to float32 in any case.
    eager = model.config._attn_implementation == "eager"
    dtype = torch.float32 if eager else torch.float64
    terms = terms_of(model, max(map(len, prompts)) + max(map(len, responses)))
    packed = response_logprobs(model, prompts, responses)
    plain = one_by_one(model, prompts, responses)
    assert_same(packed, plain, terms, dtype)
    for a, b in zip(gradients(model, packed), gradients(model, plain), strict=True):
        assert_same(a, b, terms, dtype)


def packed_model(family="Llama", **settings):
    model = exact_model(family, **settings)
    enable_packing(model)
    return model


@pytest.mark.parametrize("family", [*FAMILIES, "Mistral", "Olmo2"])
def test_scores_and_gradients_equal_those_of_rollouts_one_by_one(family):
    settings = {"sliding_window": None} if family == "Mistral" else {}
    model = packed_model(family, **settings)
    assert can_pack(model)
    check(model, PROMPTS, RESPONSES)


def test_rollouts_of_very_different_lengths_are_attended_in_several_rectangles():
    prompts = [[1, 5, 9]] * 40 + [[1, 7]] * 3
    responses = [[3 + i % 50, 2] for i in range(40)] + [[3 + i % 50 for i in range(60)]] * 3
    assert len(Packing.of(prompts, responses, "cpu").rollouts) == 2
    check(packed_model(), prompts, responses)


def test_each_token_has_the_position_of_its_own_rollout(monkeypatch):
    assert Packing.of(PROMPTS, RESPONSES, "cpu").positions_T.tolist() == [
        *(*(0, 1, 2), *(0, 1), *(0, 1, 2, 3, 4)),  # the three prompts
        *(*(3, 4), *(2,), *(3, 4, 5, 6), *(2, 3, 4, 5, 6, 7)),  # responses but for their last
    ]


@pytest.mark.parametrize("repeats", [1, 16])
def test_every_prompt_is_read_once_and_nothing_is_padded(repeats):
    model, seen = packed_model(), []
    hook = model.model.embed_tokens.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].numel())
    )
    response_logprobs(model, PROMPTS * repeats, RESPONSES * repeats)
    hook.remove()
    read = sum(len(response) - 1 for response in RESPONSES)
    assert seen == [10 + repeats * read]


def test_recomputed_activations_and_adapters_change_nothing():
    model = packed_model()
    plain = response_logprobs(model, PROMPTS, RESPONSES)
    enable_recomputing(model)
    again = response_logprobs(model, PROMPTS, RESPONSES)
    terms = terms_of(model, 12)
    assert_same(again, plain, terms)
    for a, b in zip(gradients(model, again), gradients(model, plain), strict=True):
        assert_same(a, b, terms)


MIXED = {"use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]}


@pytest.mark.parametrize("window", [2, 4, 9])
@pytest.mark.parametrize(("family", "settings"), [("Mistral", {}), ("Qwen2", MIXED)])
def test_attention_windows_are_packed_within_them_and_beyond(family, settings, window):
    model = exact_model(family, sliding_window=window, **settings)
    enable_packing(model)
    assert can_pack(model)
    check(model, PROMPTS, RESPONSES)


def test_a_mask_that_nothing_reads_cannot_go_unnoticed(monkeypatch):
    """As in an architecture whose layers do not hand on what they are given."""
    model = packed_model()
    layer = type(model.model.layers[0])
    forward = layer.forward
    monkeypatch.setattr(
        layer, "forward", lambda self, *args, packing, **given: forward(self, *args, **given)
    )
    with torch.no_grad():
        assert response_logprobs(model, PROMPTS, RESPONSES).isnan().all()


def test_models_that_attend_otherwise_are_read_row_by_row():
    model = exact(random_model("Llama", attn_implementation="eager"))
    enable_packing(model)
    assert not can_pack(model)
    check(model, PROMPTS, RESPONSES)


def test_without_a_packing_the_model_computes_as_before():
    tokens, mask = torch.tensor([[0, 0, 5, 6, 7], [1, 4, 5, 6, 7]]), torch.ones(2, 5)
    mask[0, :2] = 0
    before, after = exact_model("Qwen2"), packed_model("Qwen2")
    for arguments in ({}, {"attention_mask": mask}):
        expected = before(tokens, **arguments).logits
        assert torch.equal(after(tokens, **arguments).logits, expected)


def test_lengths_are_cut_where_padding_saved_exceeds_a_call():
    assert len(similar_lengths([20] * 64)) == 1
    mixed = [10] * 64 + [40] * 64
    short, long = similar_lengths(mixed)
    assert {mixed[i] for i in short} == {10}
    assert {mixed[i] for i in long} == {40}
    few = 1 + CUT_COST_TOKENS // 30 // 2
    assert len(similar_lengths([10] * few + [40])) == 1
