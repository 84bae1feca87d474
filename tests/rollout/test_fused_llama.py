import pytest
import torch
from tiny_models import random_model

from conspo_study.policy.embedded import untrained_model
from conspo_study.rollout.fused_llama import FusedLlama, can_fuse
from conspo_study.rollout.static_cache import static_cache

PLAIN = {"num_key_value_heads": 4}


def test_the_embedded_model_is_fused():
    assert can_fuse(untrained_model(0))


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("Qwen2", PLAIN),
        ("Qwen3", PLAIN),
        ("Llama", {"num_key_value_heads": 2}),
        ("Llama", PLAIN | {"attention_bias": True}),
        ("Llama", PLAIN | {"mlp_bias": True}),
        ("Llama", PLAIN | {"hidden_act": "gelu"}),
        ("Llama", PLAIN | {"rope_parameters": {"rope_type": "linear", "factor": 2.0}}),
        ("Llama", PLAIN | {"hidden_size": 1024, "intermediate_size": 1024}),
    ],
)
def test_whatever_differs_from_a_plain_small_llama_is_left_to_transformers(family, settings):
    assert not can_fuse(random_model(family, **settings))


@pytest.mark.parametrize("tied", [True, False])
def test_fused_steps_equal_the_models_own(tied):
    model = random_model("Llama", **PLAIN, tie_word_embeddings=tied, head_dim=8)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:  # gains of one would hide a mistake in folding them
                parameter.uniform_(0.5, 2.0)
        tokens = torch.randint(3, 60, (5, 9), generator=torch.Generator().manual_seed(0))
        expected = model(tokens).logits
        cache = static_cache(layers=2, capacity=9)
        model(tokens[:, :4], past_key_values=cache)
        fused = FusedLlama(model, positions=9)
        fused.take_over(cache)
        for t in range(4, 9):
            logits = fused(tokens[:, t], torch.full((5,), t), None, cache)
            torch.testing.assert_close(logits, expected[:, t], atol=5e-5, rtol=1e-4)
