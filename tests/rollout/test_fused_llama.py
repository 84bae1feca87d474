import pytest
import torch
from exact_models import exact_model
from tiny_models import random_model
from tolerances import assert_same, terms_of

from conspo_study.policy.embedded import untrained_model
from conspo_study.rollout.decoder import ModelDecoder
from conspo_study.rollout.fused_llama import FusedLlama, can_fuse

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
    model = exact_model("Llama", **PLAIN, tie_word_embeddings=tied, head_dim=8)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:  # gains of one would hide a mistake in folding them
                parameter.uniform_(0.5, 2.0)
        tokens = torch.randint(3, 60, (5, 9), generator=torch.Generator().manual_seed(0))
        expected = model(tokens).logits
        fused = FusedLlama(model, capacity=9)
        logits = [fused.read(tokens[:, :4].tolist())]
        logits += [fused.step(tokens[:, t]) for t in range(4, 9)]
        assert_same(torch.stack(logits, dim=1), expected[:, 3:], terms_of(model, 9))


@pytest.mark.parametrize(
    "prompts", [[[5, 7, 9], [4], [3, 8, 2, 6, 11]], [[5, 7], [4, 1], [3, 8]], [[5], [4], [3]]]
)
def test_decoders_agree_on_rows_that_are_repeated_and_dropped(prompts):
    model = exact_model("Llama", **PLAIN, head_dim=8)
    draw = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        decoders = FusedLlama(model, 12), ModelDecoder(model, 12, bfloat16=False)
        first = [decoder.read(prompts) for decoder in decoders]
        assert_same(*first, terms_of(model, 12))
        for decoder in decoders:
            decoder.repeat(2)
        for rows in ([0, 1, 2, 3, 4, 5], [1, 2, 5], [2, 1]):
            tokens = torch.randint(3, 60, (len(rows),), generator=draw)
            for decoder in decoders:
                decoder.keep(torch.tensor(rows))
            steps = [decoder.step(tokens) for decoder in decoders]
            assert_same(*steps, terms_of(model, 12))
