from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from engine_contract import (
    EOS,
    KINDS,
    PROMPTS,
    SAMPLING,
    SEEDS,
    TOKENIZER,
    check_distribution,
    check_endings,
    check_greedy,
    check_independence_of_the_batch,
    check_seeds_decide,
    check_text,
    logprob_error,
    logprob_terms,
    tokens_of,
)
from exact_models import exact
from tiny_models import FAMILIES, random_model
from tolerances import rounding

from conspo_study.policy.embedded import VOCABULARY
from conspo_study.records import FinishStatus
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.sampling import next_tokens
from conspo_study.rollout.transformers_engine import TransformersEngine


@pytest.fixture
def engine(model):
    return TransformersEngine(model, TOKENIZER)


@pytest.mark.parametrize("sampling", KINDS.values(), ids=KINDS)
def test_logprobs_equal_a_plain_forward_pass(model, engine, sampling):
    assert logprob_error(model, engine, sampling) < rounding(*logprob_terms(model, sampling))


@pytest.mark.parametrize("sampling", KINDS.values(), ids=KINDS)
def test_logprobs_of_a_model_in_float64_differ_by_the_samplers_own_rounding(model, sampling):
    precise = exact(deepcopy(model))
    # Of logits to float32 and by the temperature, and of the sum of their exponentials.
    _, size = logprob_terms(model, sampling)
    allowed = rounding(2, size) + rounding(model.config.vocab_size, 1)
    engine = TransformersEngine(precise, TOKENIZER)
    assert logprob_error(precise, engine, sampling) < allowed


@pytest.mark.parametrize("batch_rows", [4, 6, 13, 512])
def test_a_response_does_not_depend_on_the_batch(model, engine, batch_rows):
    check_independence_of_the_batch(engine, TransformersEngine(model, TOKENIZER, batch_rows))


def test_no_batch_is_larger_than_batch_rows(model, monkeypatch):
    rows = []

    def spy(logits_RV, *arguments):
        rows.append(len(logits_RV))
        return next_tokens(logits_RV, *arguments)

    monkeypatch.setattr("conspo_study.rollout.transformers_engine.next_tokens", spy)
    TransformersEngine(model, TOKENIZER, 5).generate(PROMPTS, 7, SAMPLING, SEEDS)
    assert max(rows) == 5


def test_seeds_decide_the_responses(engine):
    check_seeds_decide(engine)


def test_responses_end_at_their_first_eos_or_at_the_limit(engine):
    check_endings(engine)


def test_an_eos_at_the_limit_counts_as_stopped():
    model = random_model("Llama")
    engine = TransformersEngine(model, TOKENIZER)
    long = engine.generate(PROMPTS, 24, Sampling(1.5, 12), SEEDS)
    length = min(len(r.tokens) for g in long for r in g if r.status is FinishStatus.STOPPED)
    # The uniform numbers of sample 0 do not depend on the limit, so its response is repeated.
    short = engine.generate(PROMPTS, 1, Sampling(1.5, length), SEEDS)
    for (rollout,), group in zip(short, long, strict=True):
        assert rollout.tokens == group[0].tokens[:length]
        ended = rollout.tokens[-1] == EOS
        assert rollout.status is (FinishStatus.STOPPED if ended else FinishStatus.TRUNCATED)


@pytest.mark.parametrize("stops", [(EOS, 11, 40), (30,)])
def test_any_stop_token_ends_a_response_and_no_other(model, stops):
    engine = TransformersEngine(model, TOKENIZER, stop_ids=stops)
    rollouts = [r for g in engine.generate(PROMPTS, 24, Sampling(1.5, 12), SEEDS) for r in g]
    ends = {r.tokens[-1] for r in rollouts if r.status is FinishStatus.STOPPED}
    assert ends == set(stops), "each of them has ended a response"
    for rollout in rollouts:
        assert not set(stops) & set(rollout.tokens[:-1])
        stopped = rollout.tokens[-1] in stops
        assert stopped or len(rollout.tokens) == 12
        assert rollout.status is (FinishStatus.STOPPED if stopped else FinishStatus.TRUNCATED)
        said = rollout.tokens[:-1] if stopped else rollout.tokens
        assert rollout.text == "".join(VOCABULARY[token] for token in said if token > 2)


def test_more_stop_tokens_leave_the_beginning_of_responses_as_it_was(model, engine):
    more = TransformersEngine(model, TOKENIZER, stop_ids=(EOS, 11, 40))
    for one, other in zip(
        engine.generate(PROMPTS, 8, SAMPLING, SEEDS),
        more.generate(PROMPTS, 8, SAMPLING, SEEDS),
        strict=True,
    ):
        for a, b in zip(one, other, strict=True):
            assert b.tokens == a.tokens[: len(b.tokens)]


@pytest.mark.parametrize("family", FAMILIES)
def test_implementations_of_attention_sample_the_same_responses(family):
    plain, eager = random_model(family), random_model(family)
    eager.set_attn_implementation("eager")
    expected = TransformersEngine(plain, TOKENIZER).generate(PROMPTS, 6, SAMPLING, SEEDS)
    assert tokens_of(
        TransformersEngine(eager, TOKENIZER).generate(PROMPTS, 6, SAMPLING, SEEDS)
    ) == tokens_of(expected)
    # Flash attention needs a GPU; what it would be given is given to another implementation.
    flags = TransformersEngine(plain, TOKENIZER)
    flags._flags = True
    assert tokens_of(flags.generate(PROMPTS, 6, SAMPLING, SEEDS)) == tokens_of(expected)


def test_text_is_the_response_without_special_tokens(engine):
    check_text(engine)


def test_greedy_equals_generate(model, engine):
    check_greedy(model, engine)


def test_responses_carry_the_version_of_their_weights(model):
    engine = TransformersEngine(model, TOKENIZER, updates=lambda: 7)
    assert {r.weights_version for g in engine.generate(PROMPTS, 2, SAMPLING, SEEDS) for r in g} == {
        7
    }


def test_the_model_can_be_trained_afterwards(model, engine):
    model.train()
    engine.generate(PROMPTS, 2, SAMPLING, SEEDS)
    assert model.training
    model.eval()
    model(torch.tensor(PROMPTS[:1])).logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    before = tokens_of(engine.generate(PROMPTS, 2, SAMPLING, SEEDS))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert tokens_of(engine.generate(PROMPTS, 2, SAMPLING, SEEDS)) != before
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.div_(1.5)


def test_single_tokens_follow_the_models_distribution():
    model = random_model("Llama", vocab_size=8)
    chi_square = check_distribution(model, TransformersEngine(model, TOKENIZER), 512, 8)
    assert chi_square < 24.3  # 99.9 % quantile at 7 degrees of freedom


def test_logits_of_a_diverged_policy_are_refused(model, engine):
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
    with pytest.raises(FloatingPointError, match="not finite"):
        engine.generate(PROMPTS, 3, SAMPLING, SEEDS)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_new_tokens": 0}],
)
def test_impossible_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match="sampling needs"):
        Sampling(**({"temperature": 1.0, "max_new_tokens": 4} | wrong))


def test_lengths_of_the_prompts_differ_so_that_padding_is_tested():
    assert all(len(a) != len(b) for a, b in pairwise(PROMPTS))
