"""The contract of rollout engines, as checks of one engine on the weights of one model."""

import torch
from tolerances import terms_of

from conspo_study.policy.embedded import VOCABULARY, embedded_tokenizer
from conspo_study.records import FinishStatus
from conspo_study.rollout.engine import Sampling

PROMPTS = [[1, 5, 9], [1, 7], [1, 11, 12, 13, 14, 20, 21], [1, 30, 31, 32]]
SEEDS = [2**62 + 11, 12, 13, 14]
SAMPLING = Sampling(temperature=1.0, max_new_tokens=12)
KINDS = {"plain": SAMPLING, "cold": Sampling(0.6, 12), "nucleus": Sampling(1.3, 12, top_p=0.7)}
"""Sampling distributions whose log-probabilities are checked."""
TOKENIZER = embedded_tokenizer()
EOS = TOKENIZER.eos_token_id


def plain_logits(model, prompt, tokens):
    """Logits (R, V) of the response positions, from one row without padding."""
    with torch.no_grad():
        return model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1].float()


def tokens_of(groups):
    return [[rollout.tokens for rollout in group] for group in groups]


def logprob_error(model, engine, sampling, prompts=PROMPTS, seeds=SEEDS, n=6):
    """Largest difference of reported log-probabilities from those of a plain forward pass."""
    errors = []
    temperature = sampling.temperature or 1.0  # greedy ones are those at temperature 1
    for prompt, group in zip(prompts, engine.generate(prompts, n, sampling, seeds), strict=True):
        for rollout in group:
            logp = (plain_logits(model, prompt, rollout.tokens) / temperature).log_softmax(-1)
            if sampling.top_p < 1:
                logp = reference_nucleus(logp.exp(), sampling.top_p).log()
            expected = logp[range(len(rollout.tokens)), rollout.tokens]
            errors.append(float((torch.tensor(rollout.logprobs) - expected).abs().max()))
    return max(errors)


def logprob_terms(model, sampling, prompts=PROMPTS):
    """The arguments of `rounding` for these log-probabilities: the terms of a pass over a response,
    and the size of the softmax's input."""
    longest = max(map(len, prompts)) + sampling.max_new_tokens
    logits = max(float(plain_logits(model, prompt, [EOS]).abs().max()) for prompt in prompts)
    return terms_of(model, longest), 2 * logits / (sampling.temperature or 1.0)


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


def check_independence_of_the_batch(engine, other):
    """`other` has the same weights, and may form other batches."""
    expected = tokens_of(engine.generate(PROMPTS, 6, SAMPLING, SEEDS))
    assert tokens_of(other.generate(PROMPTS, 6, SAMPLING, SEEDS)) == expected
    order = [2, 0, 3, 1]
    permuted = other.generate([PROMPTS[i] for i in order], 6, SAMPLING, [SEEDS[i] for i in order])
    assert tokens_of(permuted) == [expected[i] for i in order]
    alone = [other.generate([p], 6, SAMPLING, [s])[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert tokens_of(alone) == expected
    fewer = other.generate(PROMPTS, 3, SAMPLING, SEEDS)
    assert tokens_of(fewer) == [group[:3] for group in expected]


def check_seeds_decide(engine):
    first = tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [1]))
    assert first == tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [1]))
    assert first != tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [2]))
    assert len(set(first[0])) > 1
    # Seeds that agree in their low 32 bits are different seeds.
    assert first != tokens_of(engine.generate(PROMPTS[:1], 6, SAMPLING, [1 + 2**32]))


def check_endings(engine):
    rollouts = [r for g in engine.generate(PROMPTS, 24, Sampling(1.5, 12), SEEDS) for r in g]
    stopped = [r for r in rollouts if r.status is FinishStatus.STOPPED]
    truncated = [r for r in rollouts if r.status is FinishStatus.TRUNCATED]
    assert stopped and truncated and len(stopped) + len(truncated) == len(rollouts)
    assert all(r.tokens[-1] == EOS and EOS not in r.tokens[:-1] for r in stopped)
    assert all(len(r.tokens) == 12 and EOS not in r.tokens for r in truncated)
    assert all(len(r.logprobs) == len(r.tokens) for r in rollouts)


def check_text(engine):
    for group in engine.generate(PROMPTS, 6, SAMPLING, SEEDS):
        for rollout in group:
            visible = [token for token in rollout.tokens if token > 2]
            assert rollout.text == "".join(VOCABULARY[token] for token in visible)


def check_greedy(model, engine):
    sampling = Sampling(temperature=0.0, max_new_tokens=12)
    for prompt, group in zip(PROMPTS, engine.generate(PROMPTS, 2, sampling, SEEDS), strict=True):
        output = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=12,
        )
        assert list(group[0].tokens) == output[0, len(prompt) :].tolist()
        assert group[0].tokens == group[1].tokens


def check_distribution(model, engine, draws, repeats):
    """Single tokens are drawn with the model's probabilities: chi-square over V outcomes."""
    size = model.config.vocab_size
    groups = engine.generate([[1, 5]] * repeats, draws, Sampling(1.0, 1), list(range(repeats)))
    counts = torch.zeros(size)
    for group in groups:
        for rollout in group:
            counts[rollout.tokens[0]] += 1
    expected = plain_logits(model, [1, 5], [0]).softmax(-1)[0] * draws * repeats
    assert expected.min() > 5
    return float(((counts - expected) ** 2 / expected).sum())
