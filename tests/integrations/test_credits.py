"""Credits: the gradient of an objective on scores, in the words of a policy-gradient trainer."""

import math

import numpy as np
import pytest
import torch
from objective_batches import random_batch

from conspo_study.config import ConfigError, ConSPOOptions, ObjectiveOptions
from conspo_study.integrations import (
    credits,
    is_score_based,
    objective_options,
    progress_of,
    rollout_mean_advantages,
    signal_groups,
    token_mean_advantages,
)
from conspo_study.objective import GroupBatch, ObjectiveOutput, Progress, objective_of
from conspo_study.objective.conspo import score_credits

CASES = [
    ("conspo", {"tau": 0.5, "margin": 0.2}),
    ("conspo", {}),
    ("conspo_linear", {}),
    ("disco", {"kl_penalty": 0.0, "tau": 1.0}),
    ("disco", {"kl_penalty": 0.0, "aggregate": "mean"}),
]
LENGTHS = [3, 7, 1, 5, 9, 2, 4, 4, 6, 2, 3]
GROUPS = ["b", "a", "b", "a", "c", "a", "b", "c", "a", "d", "d"]
CORRECT = [1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]
"""Groups of four, three and two rollouts, interleaved; c is all right, d all wrong."""


class RewardPull(ObjectiveOptions):
    """Reads graded rewards and scores: REINFORCE with the group's mean as its baseline."""

    contrast = "rewards"

    def loss(self, batch: GroupBatch, _: Progress) -> ObjectiveOutput:
        mean_Q = batch.group_sum(batch.rewards_B) / batch.sizes_Q
        pull_B = batch.rewards_B - mean_Q[batch.group_B]
        return ObjectiveOutput(-(pull_B * batch.rollout_mean(batch.logprobs_T)).mean(), {})


class Policy:
    """Token log-probabilities that depend on parameters, so that gradients can be compared."""

    def __init__(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        tokens = sum(LENGTHS)
        self.features = torch.randn(tokens, 6, generator=generator, dtype=torch.float64)
        theta = torch.randn(6, generator=generator, dtype=torch.float64)
        self.theta = theta.requires_grad_()

    def logprobs(self):
        return list(torch.split(-torch.nn.functional.softplus(self.features @ self.theta), LENGTHS))

    def gradient(self, loss):
        return torch.autograd.grad(loss, self.theta)[0]


def house_gradient(policy, name, settings, progress):
    """The gradient of the objective's loss over the groups with contrast."""
    rows = [[i for i, g in enumerate(GROUPS) if g == wanted] for wanted in ("b", "a")]
    order = [i for group in rows for i in group]
    logprobs_T = torch.cat([policy.logprobs()[i] for i in order])
    batch = GroupBatch.of(
        logprobs_T,
        logprobs_T.detach(),
        [LENGTHS[i] for i in order],
        [len(group) for group in rows],
        [bool(CORRECT[i]) for i in order],
    )
    options = objective_options(name, **settings)
    return policy.gradient(objective_of(type(options))(batch, options, progress_of(progress)).loss)


def scores_of(policy):
    return torch.stack([row.mean() for row in policy.logprobs()])


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
def test_credits_give_the_gradient_of_the_objective(name, settings, progress):
    policy = Policy()
    scores_B = scores_of(policy)
    credits_B = credits(scores_B, CORRECT, GROUPS, {"name": name, **settings}, progress)
    loss = -(credits_B * scores_B).sum() / signal_groups(CORRECT, GROUPS)
    expected = house_gradient(policy, name, settings, progress)
    torch.testing.assert_close(policy.gradient(loss), expected, rtol=1e-12, atol=1e-15)
    assert credits_B[[4, 7, 9, 10]].tolist() == [0, 0, 0, 0]


def test_advantages_give_it_under_a_mean_over_rollouts_and_under_one_over_tokens():
    policy = Policy()
    scores_B = scores_of(policy).detach()
    credits_B = credits(scores_B, CORRECT, GROUPS, ConSPOOptions(tau=0.5))
    expected = house_gradient(policy, "conspo", {"tau": 0.5}, 1.0)
    of_rollouts = rollout_mean_advantages(credits_B, 2)
    rows = policy.logprobs()
    by_rollouts = -torch.stack(
        [a * r.mean() for a, r in zip(of_rollouts, rows, strict=True)]
    ).mean()
    torch.testing.assert_close(policy.gradient(by_rollouts), expected, rtol=1e-12, atol=1e-15)
    of_tokens = token_mean_advantages(credits_B, LENGTHS, 2)
    rows = policy.logprobs()
    by_tokens = -torch.cat([a * r for a, r in zip(of_tokens, rows, strict=True)]).mean()
    torch.testing.assert_close(policy.gradient(by_tokens), expected, rtol=1e-12, atol=1e-15)


def test_credits_of_conspo_are_those_of_lemma_2():
    batch = random_batch()
    scores_B = batch.rollout_mean(batch.logprobs_T).detach()
    options = ConSPOOptions(tau=0.3, margin=0.2, schedule="constant")
    found = credits(scores_B, batch.correct_B, batch.group_B, options)
    torch.testing.assert_close(found, score_credits(batch, scores_B, 0.3, 0.2), rtol=1e-11, atol=0)


def test_the_order_of_rows_and_the_kind_of_ids_change_nothing():
    scores = np.linspace(-2, -1, len(GROUPS)) ** 3
    whole = credits(scores, CORRECT, GROUPS)
    order = np.random.default_rng(0).permutation(len(GROUPS))
    for ids in (np.array(GROUPS), np.array([ord(g) for g in GROUPS]), [(g, 1) for g in GROUPS]):
        shuffled = credits(
            scores[order], np.array(CORRECT)[order], [ids[i] for i in order], "conspo"
        )
        np.testing.assert_allclose(shuffled, whole[order], rtol=1e-12)
    pairs = torch.tensor([[ord(g), 1] for g in GROUPS])
    np.testing.assert_allclose(credits(scores, CORRECT, pairs), whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "kind", "dtype"),
    [
        (torch.tensor([-1.0, -2.0]), torch.Tensor, torch.float32),
        (torch.tensor([-1.0, -2.0], dtype=torch.bfloat16), torch.Tensor, torch.float32),
        (np.array([-1.0, -2.0], np.float32), np.ndarray, np.float32),
        (np.array([-1.0, -2.0], np.float16), np.ndarray, np.float32),
        ([-1.0, -2.0], np.ndarray, np.float64),
    ],
)
def test_credits_are_of_the_kind_that_was_given(given, kind, dtype):
    found = credits(given, [True, False], [7, 7])
    assert isinstance(found, kind)
    assert found.dtype == dtype


def test_a_batch_without_contrast_has_no_credits_and_no_advantages():
    found = credits([-1.0, -2.0], [1, 1], [0, 0])
    assert found.tolist() == [0, 0]
    assert signal_groups([1, 1], [0, 0]) == 0
    assert rollout_mean_advantages(found, 0).tolist() == [0, 0]
    assert token_mean_advantages(found, [3, 0], 0).tolist() == [0, 0]
    assert credits([], [], []).tolist() == []


def test_a_response_that_does_not_count_leaves_its_group_as_if_it_were_not_there():
    scores, correct, group = [-1.0, math.nan, -2.0, -3.0], [1, 0, 0, 1], [0, 0, 0, 0]
    found = credits(scores, correct, group, counted=[True, False, True, True])
    assert found[1] == 0
    rest = credits([-1.0, -2.0, -3.0], [1, 0, 1], [0, 0, 0])
    np.testing.assert_array_equal(found[[0, 2, 3]], rest)
    # Without its only wrong response a group has no contrast.
    assert credits([-1.0, -2.0], [1, 0], [0, 0], counted=[1, 0]).tolist() == [0, 0]
    assert token_mean_advantages([0.5, 0.5], [2, 0], 1).tolist() == [0.5, 0]


def test_a_rising_margin_reads_progress():
    options = ConSPOOptions(tau=0.5, margin=1.0, alpha=1.0)
    at = [credits([-1.0, -2.0], [1, 0], [0, 0], options, p)[0] for p in (0.0, 0.5, 1.0)]
    assert at[0] < at[1] < at[2]
    expected = 1 / (1 + math.exp(2 - 0.5 / 0.5))  # M/2 at half of a cosine warm-up
    assert at[1] == pytest.approx(expected, rel=1e-12)
    assert progress_of(0.3).fraction == 0.3
    assert progress_of(Progress(3, 10)) == Progress(3, 10)


def test_an_objective_of_ones_own_that_reads_rewards_has_credits():
    options = RewardPull(name="pull")
    assert is_score_based(options)
    scores, rewards, group = [-1.0, -2.0, -3.0, -4.0], [0.5, 0.1, 0.2, 0.2], [0, 0, 1, 1]
    found = credits(scores, [1, 1, 0, 0], group, options, rewards=rewards)
    # -Q dL/ds = Q (r - mean r) / B with B = 2: the second group's rewards are alike.
    np.testing.assert_allclose(found, [0.1, -0.1, 0, 0], rtol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        *("grpo", "dapo", "dr_grpo", "gspo", "conspo_clipped_ratio"),
        *("dppo", "rloo", "maxrl", "vespo", "luspo"),
        {"name": "dro", "beta": 0.05},
    ],
)
def test_an_objective_on_ratios_is_refused(name):
    shown = name["name"] if isinstance(name, dict) else name
    with pytest.raises(ValueError, match=f"{shown} has no credits with these settings"):
        credits([-1.0, -2.0], [1, 0], [0, 0], name)


def test_reinforce_has_credits_which_are_its_advantages():
    scores, rewards, group = [-1.0, -2.0, -3.0, -4.0], [0.5, 0.1, 0.2, 0.2], [0, 0, 1, 1]
    options = {"name": "reinforce", "scale": "none"}
    found = credits(scores, [1, 1, 0, 0], group, options, rewards=rewards)
    # -Q dL/ds = Q (r - mean r) / B with B = 2: the second group's rewards are alike.
    np.testing.assert_allclose(found, [0.1, -0.1, 0, 0], rtol=1e-12)


def test_importance_weights_of_tokens_make_reinforce_no_objective_on_scores():
    reinforce, conspo = objective_options("reinforce"), objective_options("conspo")
    assert is_score_based(reinforce) and not is_score_based(reinforce, corrected=True)
    assert is_score_based(conspo, corrected=True)


@pytest.mark.parametrize("name", ["conspo", "conspo_linear"])
@pytest.mark.parametrize("limit", [{"clip_score": 0.01}, {"clip_score": 5.0}, {"kl_limit": 0.9}])
def test_a_trust_region_is_refused_however_wide_it_is(name, limit):
    with pytest.raises(ValueError, match="conspo_linear without clip_score and kl_limit, or disco"):
        credits([-1.0, -2.0], [1, 0], [0, 0], {"name": name, **limit})
    assert is_score_based(objective_options(name))


def test_disco_has_credits_without_its_penalty_only():
    assert not is_score_based(objective_options("disco"))
    assert is_score_based(objective_options("disco", kl_penalty=0))
    assert not is_score_based(objective_options("disco", kl_penalty=0, score="ratio"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [-1.0, math.nan]}, "row 1 has the score nan: a response without tokens"),
        ({"scores": [-1.0, -math.inf]}, "row 1 has the score -inf"),
        ({"scores": [-1.0, -2.0, -3.0]}, "3 scores for 2 verdicts"),
        ({"scores": [[-1.0], [-2.0]]}, r"not a shape of \(2, 1\)"),
        ({"correct": [0.3, 0]}, "row 0 has the verdict 0.3, but a verdict is 0 or 1: conspo"),
        ({"correct": [1, -1]}, "row 1 has the verdict -1"),
        ({"correct": [1, math.nan]}, "row 1 has the verdict nan"),
        ({"rewards": [1.0, math.inf]}, "row 1 has the reward inf"),
        ({"group": [0]}, "2 verdicts, 1 group ids"),
        ({"counted": [True]}, "1 rows that may count"),
        ({"progress": 1.5}, "progress is 1.5: give the fraction of training done"),
        ({"progress": math.nan}, "progress is nan"),
        ({"objective": "consp"}, "did you mean conspo"),
    ],
)
def test_what_cannot_be_right_is_refused(changes, message):
    given = {"scores": [-1.0, -2.0], "correct": [1, 0], "group": [0, 0], **changes}
    with pytest.raises(ValueError, match=message):
        credits(**given)


def test_settings_are_checked_as_those_of_a_study():
    with pytest.raises(ConfigError, match=r"objective\.tua: unknown setting \(did you mean"):
        objective_options("conspo", tua=1)
    with pytest.raises(ConfigError, match=r"tua: unknown setting \(did you mean"):
        objective_options(ConSPOOptions(tau=0.5), tua=1)
    with pytest.raises(ConfigError, match="tau = -1: should be greater than 0"):
        objective_options(ConSPOOptions(), tau=-1)
    changed = objective_options(ConSPOOptions(tau=0.5), margin=0.3)
    assert changed == ConSPOOptions(tau=0.5, margin=0.3)
    assert objective_options(ConSPOOptions, tau=2.0) == ConSPOOptions(tau=2.0)
