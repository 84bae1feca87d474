"""Log-probabilities of models that scale or cap their logits, and a head in float32."""

import pytest
import torch
import transformers
from decoder_families import PROMPTS, RESPONSES, plain_logprobs, tiny
from model_folders import edit_config, save_model
from tiny_models import random_model

from conspo_study.config import PolicyConfig
from conspo_study.policy import logprobs
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.output_head import (
    LogitTransform,
    compute_head_in_float32,
    logit_transform,
)

ROLLOUTS = list(zip(PROMPTS, RESPONSES, strict=True))


@pytest.mark.parametrize(
    ("family", "settings", "expected"),
    [
        ("cohere", {"logit_scale": 0.25}, LogitTransform(0.25)),  # multiplies
        ("granite", {"logits_scaling": 8.0}, LogitTransform(1 / 8)),  # divides
        (
            "hyperclovax",
            {"logits_scaling": 0.5},
            LogitTransform(0.5),
        ),  # multiplies by the same name
        ("minicpm3", {"dim_model_base": 8}, LogitTransform(0.25)),  # divides before the head
        ("gemma2", {"final_logit_softcapping": 5.0}, LogitTransform(1.0, 5.0)),
        ("gemma3_text", {}, LogitTransform()),
        ("granite", {"logits_scaling": 1.0}, LogitTransform()),
    ],
)
def test_what_a_model_makes_of_its_logits_is_found_and_reproduced(family, settings, expected):
    model = tiny(family, **settings)
    assert logit_transform(model) == pytest.approx(expected)
    with torch.no_grad():
        ours = response_logprobs(model, PROMPTS, RESPONSES)
        torch.testing.assert_close(ours, plain_logprobs(model, ROLLOUTS), atol=1e-4, rtol=0)


def test_a_setting_that_the_architecture_ignores_changes_nothing():
    model = random_model("Llama")
    model.config.final_logit_softcapping = 30.0
    assert logit_transform(model) == LogitTransform()


@pytest.mark.parametrize("chunk", [logprobs.CHUNK_ELEMENTS, 62 * 3])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradients_through_a_cap_are_those_of_the_model_s_own_logits(
    chunk, temperature, monkeypatch
):
    """A cap of 2 bends most logits; in float64, in one chunk and in many."""
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", chunk)
    model = tiny("gemma2", final_logit_softcapping=2.0).double()
    found = []
    for logits_of in (own_logprobs, response_logprobs):
        model.zero_grad()
        logits_of(model, PROMPTS, RESPONSES, temperature).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    # The model's norms compute in float32.
    torch.testing.assert_close(*found, atol=1e-4 * float(found[0].norm()), rtol=0)


def own_logprobs(model, prompts, responses, temperature):
    logprobs = []
    for prompt, response in zip(prompts, responses, strict=True):
        logits = model(input_ids=torch.tensor([[*prompt, *response]]), use_cache=False).logits[0]
        at = torch.arange(len(response)) + len(prompt) - 1
        logprobs.append((logits[at] / temperature).log_softmax(-1).gather(1, tensor(response)))
    return torch.cat(logprobs)


def tensor(response):
    return torch.tensor(response)[:, None]


class Squared(transformers.CohereForCausalLM):
    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits.square()
        return output


def test_what_no_scale_or_cap_explains_is_refused():
    model = tiny("cohere")
    model.__class__ = Squared
    with pytest.raises(PolicyError, match=r"around the output head \(logit_scale=0.0625\)"):
        response_logprobs(model, PROMPTS, RESPONSES)


def test_a_cap_on_attention_scores_needs_the_attention_that_applies_it(tmp_path):
    """PyTorch's kernel ignores it: with a cap of 2 by more than a nat."""
    folder = save_model(tmp_path, tiny("gemma2", attn_logit_softcapping=2.0))
    with pytest.raises(PolicyError, match=r"\(attn_logit_softcapping\).*policy\.attention=eager"):
        load_policy(PolicyConfig(), folder)
    load_policy(PolicyConfig(attention="eager"), folder)
    edit_config(folder, attn_logit_softcapping=None)


def test_the_padding_token_keeps_the_embedding_of_the_file(tmp_path):
    """This architecture sets it to zero when it is loaded."""
    model = tiny("youtu")
    row = model.config.pad_token_id
    assert model.get_input_embeddings().weight[row].abs().min() > 0
    loaded, _ = load_policy(PolicyConfig(), save_model(tmp_path, model))
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_a_head_in_float32_takes_away_the_rounding_of_logits(tmp_path):
    """Of a model in bfloat16: what is left is the rounding of its hidden states."""
    model, precise = random_model("Llama"), random_model("Llama")
    compute_head_in_float32(precise)
    products = []
    for one in (model, precise):
        scores = response_logprobs(one, PROMPTS, RESPONSES, precision="bfloat16")
        scores.sum().backward()
        assert one.lm_head.weight.grad is not None
        products.append(scores.detach())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        # The sampler's logits are the trainer's.
        own = plain_logprobs(precise, ROLLOUTS)
        rounded = plain_logprobs(model, ROLLOUTS)
    torch.testing.assert_close(products[1], own, atol=0.05, rtol=0)
    logits = precise.lm_head(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)))
    assert logits.dtype == torch.float32
    assert not torch.equal(rounded, own) and not torch.equal(*products)


def test_a_head_in_float32_is_a_setting_that_older_studies_do_not_have(tmp_path):
    assert "head_precision" not in PolicyConfig().model_dump()
    folder = save_model(tmp_path, random_model("Llama"))
    loaded, _ = load_policy(PolicyConfig(head_precision="float32"), folder)
    with torch.autocast("cpu", torch.bfloat16):
        assert loaded(torch.tensor([[3, 4]])).logits.dtype == torch.float32
