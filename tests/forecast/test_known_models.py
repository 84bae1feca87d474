"""Sizes of known models are those that their published config.json makes of them."""

import pytest
import torch

from conspo_study.forecast.known_models import KNOWN_MODELS, known_model

# From the models' config.json on the hub: family, hidden, layers, heads, key-value heads, head
# size, intermediate, vocabulary, tied; and the number of parameters that the hub shows.
FACTS = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": (
        *("Qwen2", 1536, 28, 12, 2, 128, 8960, 151936, False),
        1_777_088_000,
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": (
        *("Qwen2", 3584, 28, 28, 4, 128, 18944, 152064, False),
        7_615_616_512,
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": (
        *("Llama", 4096, 32, 32, 8, 128, 14336, 128256, False),
        8_030_261_248,
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": (
        *("Qwen2", 5120, 64, 40, 8, 128, 27648, 152064, False),
        32_763_876_352,
    ),
    "Qwen/Qwen3-4B-Base": ("Qwen3", 2560, 36, 32, 8, 128, 9728, 151936, True, 4_022_468_096),
    "meta-llama/Llama-3.2-3B-Instruct": (
        *("Llama", 3072, 28, 24, 8, 128, 8192, 128256, True),
        3_212_749_824,
    ),
    "HuggingFaceTB/SmolLM2-360M-Instruct": (
        *("Llama", 960, 32, 15, 5, 64, 2560, 49152, True),
        361_821_120,
    ),
    "Qwen/Qwen2.5-0.5B-Instruct": ("Qwen2", 896, 24, 14, 2, 64, 4864, 151936, True, 494_032_768),
    "Qwen/Qwen3-0.6B": ("Qwen3", 1024, 28, 16, 8, 128, 3072, 151936, True, 596_049_920),
    "meta-llama/Llama-3.2-1B-Instruct": (
        *("Llama", 2048, 16, 32, 8, 64, 8192, 128256, True),
        1_235_814_400,
    ),
    "Qwen/Qwen2.5-1.5B-Instruct": (
        *("Qwen2", 1536, 28, 12, 2, 128, 8960, 151936, True),
        1_543_714_304,
    ),
}


def test_every_known_model_has_its_facts_here():
    assert FACTS.keys() == KNOWN_MODELS.keys()


@pytest.mark.parametrize("name", FACTS)
def test_the_shape_is_that_of_the_model_that_transformers_builds(name):
    import transformers

    family, hidden, layers, heads, kv, size, inner, words, tied, parameters = FACTS[name]
    shape = KNOWN_MODELS[name]
    assert shape.parameters == parameters
    config = getattr(transformers, f"{family}Config")(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        head_dim=size,
        intermediate_size=inner,
        vocab_size=words,
        tie_word_embeddings=tied,
    )
    with torch.device("meta"):
        model = getattr(transformers, f"{family}ForCausalLM")(config)
    assert model.num_parameters() == parameters
    matrices = {
        name: list(weight.shape)
        for name, weight in model.named_parameters()
        if ".layers." in name and weight.dim() == 2
    }
    assert dict(shape.matrices()) == matrices
    assert shape.vocabulary == words


def test_a_revision_is_the_same_model():
    assert known_model("Qwen/Qwen3-0.6B@0123abcd") is KNOWN_MODELS["Qwen/Qwen3-0.6B"]
    assert known_model("someone/else") is None
