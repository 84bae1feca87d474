"""Both samplers do the work from which their rates are computed."""

import pytest
import sampler
import torch

from conspo_study.config import PolicyConfig
from conspo_study.data.arithmetic import CHAIN
from conspo_study.policy.load import load_policy
from conspo_study.rollout.transformers_engine import TransformersEngine

PROMPTS = 8


@pytest.fixture(scope="module")
def policy(tiny_policy):
    return load_policy(PolicyConfig(), tiny_policy)


def counts(policy, full, samples):
    model, tokenizer = policy
    prompts = [tokenizer(CHAIN.training_problem(0, i).text).input_ids for i in range(PROMPTS)]
    engine = TransformersEngine(model, tokenizer, stop_ids=sampler.NEVER if full else None)
    return (
        sampler.sampled_by_engine(engine, prompts, samples, seed=1),
        sampler.sampled_by_generate(model, tokenizer, full, prompts, samples, seed=1),
    )


def test_with_full_every_response_is_as_long_as_it_may_be(policy):
    assert counts(policy, full=True, samples=16) == (PROMPTS * 16 * sampler.LIMIT,) * 2


def test_with_early_both_draw_responses_of_the_same_lengths(policy):
    engine, generate = counts(policy, full=False, samples=64)
    assert engine < PROMPTS * 64 * sampler.LIMIT
    # Other random numbers, and of generate's other ones on other machines, but the same
    # distribution: the means of 512 lengths differ by 5 %, as standard deviation.
    assert engine == pytest.approx(generate, rel=0.25)


def test_generate_counts_a_response_up_to_its_stop_token(policy, monkeypatch):
    model, tokenizer = policy
    end, five = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("5")
    prompt = tokenizer("5+5=?\n").input_ids
    rows = [[five, end, end, end], [five, five, five, five], [end, end, end, end]]
    output = torch.tensor([prompt + row for row in rows])
    monkeypatch.setattr(model, "generate", lambda **_: output)
    assert sampler.sampled_by_generate(model, tokenizer, False, [prompt], 3, 0) == 2 + 4 + 1
