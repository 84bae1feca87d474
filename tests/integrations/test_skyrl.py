"""SkyRL's advantages, against its reductions and its loss written from its source."""

from types import SimpleNamespace

import pytest
import torch
from foreign_losses import SIZE, Policy, skyrl_loss

from conspo_study.integrations.skyrl import skyrl_advantages
from conspo_study.objective import Progress

CONSPO = {"objective": "conspo", "tau": 0.3, "margin": 0.3}
OBJECTIVES = (CONSPO, {"objective": "conspo"}, {"objective": "conspo_linear"})
REDUCTIONS = ("token_mean", "sequence_mean", "prompt_mean", "seq_mean_token_sum_norm")
LONGEST, STEP, STEPS = 64, 8, 20


class Batch(dict):
    """Tensors by name, and metadata, as SkyRL's training batch."""

    def __init__(self, policy):
        lengths = policy.lengths
        mask_BL = policy.padded([torch.ones(length) for length in lengths])
        rewards_BL = torch.zeros_like(mask_BL)
        rewards_BL[range(len(lengths)), [n - 1 for n in lengths]] = torch.tensor(
            [float(right) for right in policy.correct]
        )
        logprobs_BL = policy.padded([values.detach() for values in policy.logprobs()])
        super().__init__(action_log_probs=logprobs_BL, loss_mask=mask_BL, rewards=rewards_BL)
        uids = [f"uid-{group}" for group in policy.group]
        boundaries = [(0, len(lengths))]
        self.metadata = {"uids": uids, "policy_mini_batch_boundaries": boundaries}


def configuration(**changed):
    """Of the trainer; settings of `algorithm` by name, others by their path with `__`."""
    correction = {key[4:]: changed.pop(key) for key in list(changed) if key.startswith("off_")}
    given = {
        "policy_loss_type": "regular",
        "loss_reduction": "sequence_mean",
        "advantage_batch_normalize": False,
        "use_kl_loss": False,
        "use_kl_in_reward": False,
        "use_entropy_loss": False,
        "max_seq_len": LONGEST,
        "off_policy_correction": SimpleNamespace(**correction),
    }
    epochs, size = changed.pop("epochs", 1), changed.pop("size", SIZE)
    steps = changed.pop("step_wise", False)
    return SimpleNamespace(
        trainer=SimpleNamespace(
            algorithm=SimpleNamespace(**(given | changed)), update_epochs_per_batch=epochs
        ),
        generator=SimpleNamespace(n_samples_per_prompt=size, step_wise_trajectories=steps),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("settings", OBJECTIVES, ids=lambda s: s["objective"])
def test_the_loss_follows_the_objective(settings, reduction):
    policy = Policy()
    batch, cfg = Batch(policy), configuration(loss_reduction=reduction)
    advantages_BL = skyrl_advantages(batch, cfg, STEP, STEPS, objective=settings)
    assert advantages_BL.dtype == torch.float64
    loss = skyrl_loss(policy, advantages_BL, batch["loss_mask"], reduction, LONGEST)
    truth = policy.exact(settings, Progress(STEP - 1, STEPS))
    assert (policy.gradient(loss) - truth).norm() < 1e-12 * truth.norm()


def test_prompts_masked_by_the_filter_are_padding():
    policy = Policy()
    batch = Batch(policy)
    plain = skyrl_advantages(batch, configuration(), STEP, STEPS, objective=CONSPO)
    masked_B = torch.tensor(policy.group) == 2
    batch["loss_mask"][masked_B] = 0
    found = skyrl_advantages(batch, configuration(), STEP, STEPS, objective=CONSPO)
    assert not found[masked_B].any()
    torch.testing.assert_close(found[~masked_B], plain[~masked_B] * 3 / 2, rtol=1e-12, atol=0)


WRONG = {
    r"use_kl_loss adds .* by default.*allow=\[other_terms\]": {"use_kl_loss": True},
    "use_entropy_loss": {"use_entropy_loss": True},
    "policy_loss_type=gspo": {"policy_loss_type": "gspo"},
    "loss_reduction=token_mean_legacy": {"loss_reduction": "token_mean_legacy"},
    "advantage_batch_normalize": {"advantage_batch_normalize": True},
    "tis_ratio_type=token": {"off_tis_ratio_type": "token"},
    "used for 2 optimiser steps": {"epochs": 2},
    "step_wise_trajectories": {"step_wise": True},
    "not the 10 that were sampled": {"size": 10},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_would_not_be_followed_is_refused(message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        skyrl_advantages(
            Batch(Policy()), configuration(**WRONG[message]), STEP, STEPS, objective=CONSPO
        )


def test_a_batch_without_the_trainers_log_probabilities_is_refused():
    batch = Batch(Policy())
    batch["action_log_probs"] = None
    cfg = configuration(policy_loss_type="rollout_is")
    with pytest.raises(ValueError, match="skip the trainer's log-probabilities"):
        skyrl_advantages(batch, cfg, STEP, STEPS, objective=CONSPO)


def test_a_rising_margin_needs_a_step():
    cfg = configuration()
    with pytest.raises(ValueError, match="schedule=constant"):
        skyrl_advantages(Batch(Policy()), cfg, 0, None, objective=CONSPO)
    constant = {**CONSPO, "schedule": "constant"}
    skyrl_advantages(Batch(Policy()), cfg, 0, None, objective=constant)
