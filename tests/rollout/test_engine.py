from itertools import pairwise

import pytest
import torch
from tiny_models import FAMILIES, random_model

from conspo_study.policy.embedded import VOCABULARY, embedded_tokenizer
from conspo_study.records import FinishStatus
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.static_cache import StaticRowsLayer
from conspo_study.rollout.transformers_engine import TransformersEngine

PROMPTS = [[1, 5, 9], [1, 7], [1, 11, 12, 13, 14, 20, 21], [1, 30, 31, 32]]
SEEDS = [2**62 + 11, 12, 13, 14]
SAMPLING = Sampling(temperature=1.0, max_new_tokens=12)
TOKENIZER = embedded_tokenizer()
EOS = TOKENIZER.eos_token_id


def plain_logits(model, prompt, tokens):
    """Logits of each response position, from one row without padding."""
    with torch.no_grad():
        return model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1].float()


def tokens_of(groups):
    return [[rollout.tokens for rollout in group] for group in groups]


@pytest.fixture
def engine(model):
    return TransformersEngine(model, TOKENIZER)


@pytest.mark.parametrize(
    "sampling",
    [SAMPLING, Sampling(0.6, 12), Sampling(1.3, 12, top_p=0.7)],
    ids=["plain", "cold", "nucleus"],
)
def test_logprobs_equal_a_plain_forward_pass(model, engine, sampling):
    for prompt, group in zip(PROMPTS, engine.generate(PROMPTS, 6, sampling, SEEDS), strict=True):
        for rollout in group:
            logits = plain_logits(model, prompt, rollout.tokens) / sampling.temperature
            logp = logits.log_softmax(-1)
            if sampling.top_p < 1:
                logp = reference_nucleus(logits.softmax(-1), sampling.top_p).log()
            expected = logp[range(len(rollout.tokens)), rollout.tokens]
            torch.testing.assert_close(
                torch.tensor(rollout.logprobs), expected, atol=1e-5, rtol=1e-5
            )


def reference_nucleus(probs, top_p):
    """The nucleus by its definition, one row at a time."""
    kept = torch.zeros_like(probs)
    for row, values in enumerate(probs):
        total = 0.0
        for token in values.argsort(descending=True).tolist():
            if total >= top_p:
                break
            kept[row, token] = values[token]
            total += values[token].item()
    return kept / kept.sum(-1, keepdim=True)


@pytest.mark.parametrize("batch_rows", [4, 6, 13, 512])
def test_a_response_does_not_depend_on_the_batch(model, engine, batch_rows):
    expected = tokens_of(engine.generate(PROMPTS, 6, SAMPLING, SEEDS))
    other = TransformersEngine(model, TOKENIZER, batch_rows)
    assert tokens_of(other.generate(PROMPTS, 6, SAMPLING, SEEDS)) == expected
    order = [2, 0, 3, 1]
    permuted = other.generate([PROMPTS[i] for i in order], 6, SAMPLING, [SEEDS[i] for i in order])
    assert tokens_of(permuted) == [expected[i] for i in order]
    alone = [other.generate([p], 6, SAMPLING, [s])[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert tokens_of(alone) == expected
    fewer = other.generate(PROMPTS, 3, SAMPLING, SEEDS)
    assert tokens_of(fewer) == [group[:3] for group in expected]


def test_no_batch_is_larger_than_batch_rows(model, monkeypatch):
    rows = []
    update = StaticRowsLayer.update

    def spy(self, keys, *args, **kwargs):
        rows.append(len(keys))
        return update(self, keys, *args, **kwargs)

    monkeypatch.setattr(StaticRowsLayer, "update", spy)
    TransformersEngine(model, TOKENIZER, 5).generate(PROMPTS, 7, SAMPLING, SEEDS)
    assert max(rows) == 5


def test_seeds_decide_the_responses(engine):
    first = tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [1]))
    assert first == tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [1]))
    assert first != tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [2]))
    assert len(set(first[0])) > 1
    # Seeds that agree in their low 32 bits are different seeds.
    assert first != tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [1 + 2**32]))


def test_responses_end_at_their_first_eos_or_at_the_limit(engine):
    rollouts = [r for g in engine.generate(PROMPTS, 24, Sampling(1.5, 12), SEEDS) for r in g]
    stopped = [r for r in rollouts if r.status is FinishStatus.STOPPED]
    truncated = [r for r in rollouts if r.status is FinishStatus.TRUNCATED]
    assert stopped and truncated and len(stopped) + len(truncated) == len(rollouts)
    assert all(r.tokens[-1] == EOS and EOS not in r.tokens[:-1] for r in stopped)
    assert all(len(r.tokens) == 12 and EOS not in r.tokens for r in truncated)
    assert all(len(r.logprobs) == len(r.tokens) for r in rollouts)


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
    for group in engine.generate(PROMPTS, 6, SAMPLING, SEEDS):
        for rollout in group:
            visible = [token for token in rollout.tokens if token > 2]
            assert rollout.text == "".join(VOCABULARY[token] for token in visible)


def test_greedy_equals_generate(model, engine):
    sampling = Sampling(temperature=0.0, max_new_tokens=12)
    for prompt, group in zip(PROMPTS, engine.generate(PROMPTS, 2, sampling, SEEDS), strict=True):
        output = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=12,
        )
        assert list(group[0].tokens) == output[0, len(prompt) :].tolist()
        assert group[0] == group[1]


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
    draws, repeats = 512, 8
    engine = TransformersEngine(model, TOKENIZER)
    groups = engine.generate([[1, 5]] * repeats, draws, Sampling(1.0, 1), list(range(repeats)))
    counts = torch.zeros(8)
    for group in groups:
        for rollout in group:
            counts[rollout.tokens[0]] += 1
    expected = plain_logits(model, [1, 5], [0]).softmax(-1)[0] * draws * repeats
    assert expected.min() > 5
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 24.3  # 99.9 % quantile at 7 degrees of freedom


def test_models_with_other_than_full_attention_are_refused():
    model = random_model("Qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1)
    with pytest.raises(ValueError, match="sliding_attention"):
        TransformersEngine(model, TOKENIZER)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_new_tokens": 0}],
)
def test_impossible_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match="sampling needs"):
        Sampling(**({"temperature": 1.0, "max_new_tokens": 4} | wrong))


def test_lengths_of_the_prompts_differ_so_that_padding_is_tested():
    assert all(len(a) != len(b) for a, b in pairwise(PROMPTS))
