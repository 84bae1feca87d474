"""All ways of scoring in the comparison compute the same."""

import pytest
import scoring
import torch
from exact_models import exact
from tolerances import assert_same, terms_of

VOCABULARY = 300
WAYS = ("naive", "at once", "3000")  # ten tokens a chunk


@pytest.mark.parametrize("shared", [True, False])
def test_all_ways_give_the_same_log_probabilities_and_gradients(shared):
    model = exact(scoring.random_llama(scoring.Shape(VOCABULARY)))
    rollouts = scoring.random_rollouts(VOCABULARY, shared, count=4)
    weights = torch.randn(sum(map(len, rollouts.responses)), dtype=torch.float64)
    results = []
    for way in WAYS:
        model.zero_grad()
        scores = scoring.score_named(way)(model, *rollouts)
        (scores * weights).sum().backward()
        results.append([scores.detach(), *(p.grad.clone() for p in model.parameters())])
    for other in results[1:]:
        for expected, value in zip(results[0], other, strict=True):
            assert_same(value, expected, terms_of(model, len(weights)))


def test_prompts_are_shared_only_where_they_should_be():
    for shared, distinct in ((True, scoring.GROUPS), (False, scoring.GROUPS * scoring.SAMPLES)):
        rollouts = scoring.random_rollouts(VOCABULARY, shared)
        assert len(set(map(tuple, rollouts.prompts))) == distinct


@pytest.mark.slow
def test_a_peak_is_that_of_the_logits_that_are_alive():
    vocabulary = 50_000
    case = {"shape": scoring.Shape(vocabulary), "shared": True}
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    chunked, whole = (
        scoring.in_a_process({"way": way, **case}, environment) for way in ("3000000", "at once")
    )
    tokens = sum(map(len, scoring.random_rollouts(vocabulary, shared=True).responses))
    logits = 4 * tokens * vocabulary / scoring.MIB
    assert 2 * logits < whole < 6 * logits
    assert chunked < whole / 2


def test_the_share_of_the_head_is_that_of_its_weights():
    hidden, layers, vocabulary = 64, 3, 1000
    model = scoring.random_llama(scoring.Shape(vocabulary, hidden, layers))
    # Four square projections of attention, and three of the feed-forward part, three times as wide.
    rest = layers * hidden**2 * (4 + 3 * 3)
    expected = vocabulary * hidden / (vocabulary * hidden + rest)
    assert scoring.head_share(model) == pytest.approx(expected)
