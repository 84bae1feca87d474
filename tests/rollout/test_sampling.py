import pytest
import torch

from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.sampling import BLOCK, next_tokens, nucleus

FULL = Sampling(temperature=1.0, max_new_tokens=1)
PROBS = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])


def draw(uniforms, sampling=FULL, probs=PROBS):
    """One token per uniform number from the same distribution."""
    logits = probs.log().expand(len(uniforms), -1)
    return next_tokens(logits, torch.tensor(uniforms), sampling)


def test_the_token_is_the_inverse_of_the_distribution_function():
    tokens, logp = draw([0.0, 0.49, 0.51, 0.79, 0.81, 0.999])
    assert tokens.tolist() == [1, 1, 3, 3, 4, 4]
    torch.testing.assert_close(logp.exp(), PROBS[tokens])


def test_impossible_tokens_are_never_drawn_at_the_ends_of_the_range():
    largest = 1 - 2**-24
    for uniform in (0.0, 2**-30, largest, 1.0):
        tokens, logp = draw([uniform])
        assert PROBS[tokens[0]] > 0 and torch.isfinite(logp[0])


def test_temperature_divides_the_logits():
    _, logp = draw([0.2], Sampling(temperature=0.5, max_new_tokens=1))
    torch.testing.assert_close(logp[0].exp(), torch.tensor(0.25 / 0.38))


def test_greedy_takes_the_mode_at_the_logprob_of_temperature_one():
    tokens, logp = draw([0.99], Sampling(temperature=0.0, max_new_tokens=1))
    assert tokens.tolist() == [1]
    torch.testing.assert_close(logp[0].exp(), torch.tensor(0.5))


def test_the_nucleus_is_the_fewest_tokens_that_reach_top_p():
    half, more, all_ = (nucleus(PROBS[None], p)[0] for p in (0.45, 0.6, 0.9))
    torch.testing.assert_close(half, torch.tensor([0.0, 1, 0, 0, 0, 0]))
    torch.testing.assert_close(more, torch.tensor([0, 0.5, 0, 0.3, 0, 0]) / 0.8)
    torch.testing.assert_close(all_, PROBS)


def test_nucleus_samples_follow_the_truncated_distribution():
    uniforms = ((torch.arange(4000) + 0.5) / 4000).tolist()
    tokens, logp = draw(uniforms, Sampling(1.0, 1, top_p=0.6))
    counts = torch.bincount(tokens, minlength=6) / 4000
    torch.testing.assert_close(counts, torch.tensor([0, 0.625, 0, 0.375, 0, 0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(logp.exp(), counts[tokens], atol=1e-3, rtol=0)


def test_a_row_does_not_depend_on_its_neighbours():
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    uniforms = torch.linspace(0.05, 0.95, 5)
    together = next_tokens(logits, uniforms, FULL)
    for row in range(5):
        alone = next_tokens(logits[row : row + 1], uniforms[row : row + 1], FULL)
        assert alone[0][0] == together[0][row] and alone[1][0] == together[1][row]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_of_a_diverged_policy_give_tokens_without_a_probability(bad, temperature):
    logits = torch.zeros(3, 5)
    logits[1, 2] = bad
    sampling = Sampling(temperature, max_new_tokens=4)
    tokens, logprobs = next_tokens(logits, torch.full((3,), 0.5), sampling)
    assert all(0 <= token < 5 for token in tokens.tolist())
    assert logprobs.isnan().tolist() == [False, True, False]


VOCABULARY = 151_936
"""Of Qwen 2 and 3."""


@pytest.mark.parametrize("size", [1024, 1025, 4096, VOCABULARY])
def test_a_number_gives_the_token_in_whose_interval_it_is(size):
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(1, size, generator=generator)
    uniforms = torch.rand(2000, generator=generator, dtype=torch.float64)
    drawn = torch.cat([next_tokens(logits, u[None], FULL)[0] for u in uniforms])
    probs = logits.double().softmax(-1)[0]
    ends = probs.cumsum(-1)
    # How far a number is from the interval of the token that it gave.
    apart = torch.maximum(ends[drawn] - probs[drawn] - uniforms, uniforms - ends[drawn])
    eps = torch.finfo(torch.float32).eps
    assert apart.max() <= (size * eps if size <= BLOCK else 4 * eps)


def test_unlikely_tokens_of_a_large_vocabulary_are_drawn_as_often_as_likely_ones():
    """Relative to their probability. Sums near 1 in float32 come in steps of 30 such tokens."""
    unlikely, size = 2e-9, 8192
    probs = torch.full((size,), unlikely, dtype=torch.float64)
    probs[: size // 2] = (1 - size // 2 * unlikely) / (size // 2)
    count = size // 8
    uniforms = 1 - unlikely * (4 * torch.arange(count, dtype=torch.float64) + 0.5)
    tokens, _ = next_tokens(probs.log().float().expand(count, -1), uniforms, FULL)
    assert len(tokens.unique()) > 0.95 * count
    assert tokens.min() >= size // 2


def test_every_token_of_a_large_vocabulary_can_be_drawn():
    size = 5000
    logits = torch.zeros(1, size).expand(size, -1)
    middles = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    assert torch.equal(next_tokens(logits, middles, FULL)[0], torch.arange(size))
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert next_tokens(logits[:2], ends, FULL)[0].tolist() == [0, size - 1]


def test_a_row_of_a_large_vocabulary_without_numbers_has_no_probability():
    logits = torch.zeros(2, 3000)
    logits[1, 7] = float("nan")
    tokens, logp = next_tokens(logits, torch.tensor([0.5, 0.5]), FULL)
    assert tokens.max() < 3000 and logp.isfinite().tolist() == [True, False]
