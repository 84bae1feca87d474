"""slime's two-flag function, against its loss written from its source."""

from argparse import Namespace
from dataclasses import dataclass
from importlib import import_module

import pytest
import torch
from foreign_losses import SIZE, Policy, slime_loss

from conspo_study.integrations.slime import post_process_rewards
from conspo_study.objective import Progress

CONSPO = {"objective": "conspo", "tau": 0.3, "margin": 0.3}
OBJECTIVES = (CONSPO, {"objective": "conspo"}, {"objective": "conspo_linear"})
GROUPS, STEPS = 4, 20


@dataclass
class Sample:
    """The fields of slime's that matter here."""

    group_index: int | None
    index: int
    response_length: int
    reward: object
    rollout_log_probs: list[float] | None
    loss_mask: list[int] | None = None
    remove_sample: bool = False

    def get_reward_value(self, args):
        return self.reward if not args.reward_key else self.reward[args.reward_key]


def arguments(**changed):
    given = {
        "advantage_estimator": "grpo",
        "loss_type": "policy_loss",
        "n_samples_per_prompt": SIZE,
        "rollout_batch_size": GROUPS,
        "global_batch_size": GROUPS * SIZE,
        "over_sampling_batch_size": GROUPS,
        "num_rollout": STEPS,
        "reward_key": None,
        "normalize_advantages": False,
        "use_tis": False,
        "use_kl_loss": False,
        "kl_coef": 0.0,
        "entropy_coef": 0.0,
        "eps_clip": 0.2,
        "calculate_per_token_loss": False,
        "dynamic_sampling_filter_path": None,
        "conspo": CONSPO,
    }
    return Namespace(**(given | changed))


def samples_of(policy, step=0):
    rows = zip(policy.group, policy.lengths, policy.correct, policy.logprobs(), strict=True)
    return [
        Sample(step * GROUPS + group, row, length, float(right), values.tolist())
        for row, (group, length, right, values) in enumerate(rows)
    ]


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("settings", OBJECTIVES, ids=lambda s: s["objective"])
def test_grpo_follows_the_objective(settings, per_token):
    policy = Policy(GROUPS)
    args = arguments(conspo=settings, calculate_per_token_loss=per_token)
    raw, advantages = post_process_rewards(args, samples_of(policy, step=7))
    assert raw == [float(right) for right in policy.correct]
    loss = slime_loss(policy, advantages, per_token=per_token, global_batch_size=GROUPS * SIZE)
    truth = policy.exact(settings, Progress(7, STEPS))
    assert (policy.gradient(loss) - truth).norm() < 1e-12 * truth.norm()


def test_the_path_is_one_that_slime_can_load():
    module, _, name = "conspo_study.integrations.slime.post_process_rewards".rpartition(".")
    assert getattr(import_module(module), name) is post_process_rewards


def test_groups_by_position_where_they_have_no_number():
    policy = Policy(GROUPS)
    order = sorted(range(GROUPS * SIZE), key=lambda row: policy.group[row])
    numbered = [samples_of(policy)[row] for row in order]
    args = arguments(conspo={**CONSPO, "schedule": "constant"})
    _, expected = post_process_rewards(args, numbered)
    for sample in numbered:
        sample.group_index = None
    assert post_process_rewards(args, numbered)[1] == expected


def test_masked_tokens_and_removed_samples_do_not_count():
    policy = Policy(GROUPS)
    args = arguments(conspo={**CONSPO, "allow": ["partial_groups"]})
    samples = samples_of(policy)
    expected = post_process_rewards(args, samples)[1]
    for sample in samples:
        sample.loss_mask = [1] * sample.response_length + [0, 0]
        sample.response_length += 2
        sample.rollout_log_probs = [*sample.rollout_log_probs, -50.0, -60.0]
    assert post_process_rewards(args, samples)[1] == pytest.approx(expected, rel=1e-12)
    samples[0].remove_sample = True
    found = post_process_rewards(args, samples)[1]
    assert expected[0] and not found[0]
    with pytest.raises(ValueError, match="row 0 of group"):
        post_process_rewards(arguments(), samples)


def test_a_reward_of_several_parts():
    policy = Policy(GROUPS)
    samples = samples_of(policy)
    expected = post_process_rewards(arguments(), samples)
    for sample in samples:
        sample.reward = {"acc": sample.reward, "format": 0.3}
    assert post_process_rewards(arguments(reward_key="acc"), samples) == expected


WRONG = {
    "--advantage-estimator gspo": {"advantage_estimator": "gspo"},
    "--normalize-advantages True whitens": {"normalize_advantages": True},
    "--use-tis True multiplies": {"use_tis": True},
    "--use-rollout-logprobs": {"use_rollout_logprobs": True},
    "--custom-advantage-function-path": {"custom_advantage_function_path": "a.b"},
    r"--use-kl-loss True adds.*allow=\[other_terms\]": {"use_kl_loss": True},
    "--entropy-coef 0.01": {"entropy_coef": 0.01},
    "used for 4 optimiser steps.*--global-batch-size 20": {"global_batch_size": SIZE},
    "not the 10 that were sampled": {"n_samples_per_prompt": 10},
    "schedule=constant": {"dynamic_sampling_filter_path": "a.b"},
    "--over-sampling-batch-size": {"over_sampling_batch_size": 8},
    "it needs --num-rollout": {"num_rollout": None},
    "no credits": {"conspo": {"objective": "grpo"}},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_would_not_be_followed_is_refused(message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        post_process_rewards(arguments(**WRONG[message]), samples_of(Policy(GROUPS)))


def test_samples_without_log_probabilities_are_refused():
    samples = samples_of(Policy(GROUPS))
    samples[3].rollout_log_probs = None
    with pytest.raises(ValueError, match="sample 3 has no rollout_log_probs"):
        post_process_rewards(arguments(), samples)
    samples[3].rollout_log_probs = [-0.1] * 99
    with pytest.raises(ValueError, match="99 rollout_log_probs"):
        post_process_rewards(arguments(), samples)


def test_a_trimmed_batch_is_refused():
    samples = sorted(samples_of(Policy(GROUPS)), key=lambda sample: sample.group_index)[:-2]
    args = arguments(global_batch_size=len(samples))
    with pytest.raises(ValueError, match=r"3 responses, not the 5.*partial_groups"):
        post_process_rewards(args, samples)


def test_a_dynamic_batch_is_divided_by_its_own_size():
    policy = Policy(GROUPS)
    args = arguments(use_dynamic_global_batch_size=True, global_batch_size=7)
    advantages = torch.tensor(post_process_rewards(args, samples_of(policy))[1])
    plain = torch.tensor(post_process_rewards(arguments(), samples_of(policy))[1])
    assert torch.equal(advantages, plain)


def test_settings_from_the_environment(monkeypatch):
    samples, args = samples_of(Policy(GROUPS)), arguments()
    del args.conspo
    monkeypatch.setenv("CONSPO_OBJECTIVE", "conspo_linear")
    expected = post_process_rewards(arguments(conspo={"objective": "conspo_linear"}), samples)
    assert post_process_rewards(args, samples) == expected
