"""The transformers engine decodes a model as the trainer scores it, or refuses it."""

import pytest
import torch
import transformers
from model_folders import STRANGERS, stranger
from tiny_models import random_model

from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.rollout.decodable import attention_window, decoding_problem
from conspo_study.rollout.engine import PromptRefused, Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine

TOKENIZER = embedded_tokenizer()
PROMPTS = [(3, 4, 5), (3, 4, 5, 6, 7, 8, 9), (10, 11)]
SAMPLING = Sampling(1.0, 12)


def mismatch(model):
    """The largest difference between what the engine reports and the trainer's score."""
    groups = TransformersEngine(model, TOKENIZER).generate(PROMPTS, 3, SAMPLING, [1, 2, 3])
    rollouts = [(p, r) for p, group in zip(PROMPTS, groups, strict=True) for r in group]
    with torch.no_grad():
        scored = response_logprobs(model, [p for p, _ in rollouts], [r.tokens for _, r in rollouts])
    reported = torch.tensor([logp for _, r in rollouts for logp in r.logprobs])
    return float((scored - reported).abs().max())


@pytest.mark.parametrize("family", STRANGERS)
def test_families_are_decoded_as_they_are_scored(family):
    assert mismatch(stranger(family)) < 1e-3


def test_linear_biases_are_counted_from_the_first_token_of_a_padded_prompt():
    model = transformers.FalconForCausalLM(
        transformers.FalconConfig(
            vocab_size=62,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            initializer_range=0.3,
            alibi=True,
        )
    ).eval()
    assert mismatch(model) < 1e-3


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("Mistral", {}),
        ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("Starcoder2", {}),
        ("Phi3", {"head_dim": 8}),
    ],
)
def test_beyond_an_attention_window_nothing_is_decoded(family, settings):
    model = random_model(family, sliding_window=19, **settings)
    assert attention_window(model.config) == 19
    assert mismatch(model) < 1e-3, "seven tokens and twelve fit"
    engine = TransformersEngine(model, TOKENIZER)
    with pytest.raises(PromptRefused, match=r"may have 20 tokens, .* most 19 .*max_new_tokens"):
        engine.generate(PROMPTS, 2, Sampling(1.0, 13), [1, 2, 3])


def test_a_window_that_is_not_used_is_none():
    assert attention_window(random_model("Mistral", sliding_window=None).config) is None
    unused = {"sliding_window": 4, "use_sliding_window": False}
    assert attention_window(random_model("Qwen2", **unused).config) is None
    # An architecture without windows may still carry the setting of another one's file.
    assert attention_window(random_model("Llama", sliding_window=4).config) is None


def test_models_that_keep_something_else_than_keys_and_values_are_refused():
    for name in ("Mamba", "OpenAIGPT"):
        config = getattr(transformers, f"{name}Config")()
        kind = transformers.AutoModelForCausalLM._model_mapping[type(config)]
        assert "transformers engine cannot decode" in decoding_problem(kind, config)


def test_a_limit_that_the_engine_is_given_holds():
    engine = TransformersEngine(random_model("Llama"), TOKENIZER, longest=19)
    engine.generate(PROMPTS, 1, SAMPLING, [1, 2, 3])
    with pytest.raises(PromptRefused, match="may have 20 tokens"):
        engine.generate([(*PROMPTS[1], 3)], 1, SAMPLING, [1])


def test_a_token_without_an_embedding_is_refused_by_its_number():
    engine = TransformersEngine(random_model("Llama"), TOKENIZER)
    with pytest.raises(PromptRefused, match="the token 62, but the model has embeddings of 62"):
        engine.generate([(3, 62)], 1, SAMPLING, [1])
