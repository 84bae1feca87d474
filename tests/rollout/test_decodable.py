"""The transformers engine decodes every model as the trainer scores it, as fast as it can."""

from itertools import chain

import pytest
import torch
import transformers
from decoder_families import tiny
from model_folders import STRANGERS, stranger
from tiny_models import random_model

from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.rollout import decodable
from conspo_study.rollout.decodable import Way, way_to_decode
from conspo_study.rollout.engine import PromptRefused, Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine

TOKENIZER = embedded_tokenizer()
PROMPTS = [(3, 4, 5), (3, 4, 5, 6, 7, 8, 9), (10, 11)]
SAMPLING = Sampling(1.0, 12)


def mismatch(model, prompts=PROMPTS):
    """The largest difference between what the engine reports and the trainer's score."""
    seeds = range(len(prompts))
    groups = TransformersEngine(model, TOKENIZER).generate(prompts, 3, SAMPLING, seeds)
    rollouts = [(p, r) for p, group in zip(prompts, groups, strict=True) for r in group]
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
def test_attention_windows_are_decoded_within_them_and_beyond(family, settings):
    """In batches of prompts of one length and of several, in which masks differ."""
    model = random_model(family, sliding_window=6, **settings)
    assert way_to_decode(model) is Way.OWN_MASKS
    for prompts in (PROMPTS, [(3, 4, 5), (6, 7, 8)], [(3,)]):
        assert mismatch(model, prompts) < 1e-3


def test_windows_that_are_not_used_cost_nothing():
    assert way_to_decode(random_model("Mistral", sliding_window=None)) is Way.ONE_MASK
    unused = {"sliding_window": 4, "use_sliding_window": False}
    assert way_to_decode(random_model("Qwen2", **unused)) is Way.ONE_MASK


def test_a_model_that_ignores_the_positions_of_its_tokens_is_decoded_in_prompts_of_one_length():
    model = tiny("bart")
    assert way_to_decode(model) is Way.EQUAL_LENGTHS
    assert mismatch(model) < 1e-3


def test_a_model_that_keeps_nothing_is_read_anew_for_every_token():
    model = tiny("openai-gpt")
    assert way_to_decode(model) is Way.REREAD
    assert mismatch(model) < 1e-3


def test_a_way_that_is_wrong_in_a_layer_alone_is_not_taken(monkeypatch):
    """The fast way gives a hidden window full attention: wrong, but only beyond the window."""
    model = random_model("Mistral", sliding_window=6)
    monkeypatch.setattr(decodable, "ways_of", lambda *model: list(Way))
    assert way_to_decode(model) is Way.OWN_MASKS


def test_a_smaller_batch_is_decoded_when_memory_runs_out(monkeypatch):
    """The responses are those of whole batches."""
    model = random_model("Llama", num_key_value_heads=2)
    expected = TransformersEngine(model, TOKENIZER).generate(PROMPTS, 5, SAMPLING, [1, 2, 3])
    engine, rows = TransformersEngine(model, TOKENIZER), []
    real = decodable.ModelDecoder.repeat

    def repeat(decoder, times):
        rows.append(len(decoder._pads_R) * times)
        if rows[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(decoder, times)

    engine.generate(PROMPTS[:1], 1, SAMPLING, [1])  # decides how to decode
    monkeypatch.setattr(decodable.ModelDecoder, "repeat", repeat)
    found = engine.generate(PROMPTS, 5, SAMPLING, [1, 2, 3])
    for a, b in zip(chain(*found), chain(*expected), strict=True):
        assert a.tokens == b.tokens
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
    assert max(rows) == 15
    rows.clear()
    assert engine.generate(PROMPTS, 3, SAMPLING, [1, 2, 3])
    assert max(rows) <= 3, "it has learnt how many fit"


def test_a_single_response_without_room_is_an_error_with_advice(monkeypatch):
    engine = TransformersEngine(random_model("Llama"), TOKENIZER)

    def full(*ignored):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine, "_decode", full)
    with pytest.raises(torch.OutOfMemoryError, match=r"single response: lower rollout\.max_new"):
        engine.generate(PROMPTS, 2, SAMPLING, [1, 2, 3])


def test_a_limit_that_the_engine_is_given_holds():
    engine = TransformersEngine(random_model("Llama"), TOKENIZER, longest=19)
    engine.generate(PROMPTS, 1, SAMPLING, [1, 2, 3])
    with pytest.raises(PromptRefused, match="may have 20 tokens"):
        engine.generate([(*PROMPTS[1], 3)], 1, SAMPLING, [1])


def test_a_token_without_an_embedding_is_refused_by_its_number():
    engine = TransformersEngine(random_model("Llama"), TOKENIZER)
    with pytest.raises(PromptRefused, match="the token 62, but the model has embeddings of 62"):
        engine.generate([(3, 62)], 1, SAMPLING, [1])
