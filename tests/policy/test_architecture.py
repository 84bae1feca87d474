"""Folders that hold something else than a causal language model are refused in one line."""

import pytest
import torch
import transformers
from model_folders import edit_config, save_model, stranger
from tiny_models import random_model

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.architecture import empty_model, read_model_config
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import can_pack

POLICY = PolicyConfig()
SMALL = {
    "vocab_size": 62,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


def refused(folder, pattern, policy=POLICY):
    """By its configuration alone, and when it is loaded."""
    with pytest.raises(PolicyError, match=pattern) as error:
        empty_model(policy, read_model_config(policy, folder), folder)
    assert "\n" not in str(error.value)
    with pytest.raises(PolicyError, match=pattern):
        load_policy(policy, folder)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("BertForMaskedLM", SMALL),
        ("RobertaForMaskedLM", SMALL),
        ("T5ForConditionalGeneration", {"vocab_size": 62, "d_model": 32, "num_layers": 1}),
        (
            "BartForConditionalGeneration",
            {"vocab_size": 62, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
        ),
        ("ViTForImageClassification", {k: v for k, v in SMALL.items() if k != "vocab_size"}),
    ],
)
def test_encoders_translators_and_image_models_are_refused(kind, settings, tmp_path):
    name = kind.partition("For")[0]
    model = getattr(transformers, kind)(getattr(transformers, f"{name}Config")(**settings))
    refused(save_model(tmp_path, model), f"{kind} is not a causal language model")


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"model_type": "unheard_of"}, r"does not know the architecture 'unheard_of'"),
        ({"model_type": None, "architectures": None}, "names no model_type"),
        ({"model_type": 3}, "names no model_type"),
        ({"hidden_size": "large"}, "config.json cannot be used"),
        ({"num_attention_heads": 3}, "config.json cannot be used|cannot be loaded"),
        ({"num_hidden_layers": 10_000_000}, "names 10,000,000 layers"),
        ({"n_layer": 10**12}, "names 1,000,000,000,000 layers"),
        ({"text_config": {"num_hidden_layers": 10**9}}, "names 1,000,000,000 layers"),
        ({"_attn_implementation": "someone/kernel"}, "asks for the kernel 'someone/kernel'"),
        ({"attn_implementation": {"": "eager", "text_config": "a/b@main"}}, "kernel 'a/b@main'"),
        ({"text_config": {"_experts_implementation": "a/b"}}, "asks for the kernel 'a/b'"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
        ({"hidden_act": "unheard_of"}, "cannot be loaded"),
    ],
)
def test_configurations_of_no_model_are_refused(changes, pattern, tmp_path):
    folder = save_model(tmp_path)
    edit_config(folder, **changes)
    refused(folder, pattern)


def test_an_attention_that_the_architecture_lacks_is_told_with_the_one_it_has(tmp_path):
    folder = save_model(tmp_path, stranger("gptj"))
    refused(folder, r"no attention 'sdpa': set policy\.attention=eager")
    load_policy(PolicyConfig(attention="eager"), folder)


def test_a_model_that_sees_later_tokens_is_refused(tmp_path):
    model = random_model("Llama")
    folder = save_model(tmp_path, model)
    edit_config(folder, is_causal=False)
    with pytest.raises(PolicyError, match="attends to later tokens"):
        load_policy(POLICY, folder)


def test_a_model_that_is_wrong_when_packed_is_scored_row_by_row(tmp_path):
    model = stranger("nemotron")
    loaded, _ = load_policy(POLICY, save_model(tmp_path, model))
    assert not can_pack(loaded)
    prompts, responses = [[3, 4, 5], [6, 7]], [[8, 9], [10, 11, 12, 13]]
    with torch.no_grad():
        together = response_logprobs(loaded, prompts, responses)
        for prompt, response in zip(prompts, responses, strict=True):
            logits_TV = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
            alone = logits_TV.log_softmax(-1)[range(len(response)), response]
            there = together[: len(response)]
            together = together[len(response) :]
            torch.testing.assert_close(there, alone, atol=1e-3, rtol=0)
