"""Objectives in verl 0.9: its own configuration, batches, `compute_advantage` and `ppo_loss`."""

import json
import random

import pytest
import torch

from conspo_study.integrations import objective_options
from conspo_study.objective import GroupBatch, Progress, objective_of

pytest.importorskip("verl")
pytestmark = pytest.mark.integrations

from omegaconf import OmegaConf  # noqa: E402
from verl.trainer.ppo import core_algos, ray_trainer  # noqa: E402
from verl.trainer.ppo.v1 import utils as v1_utils  # noqa: E402
from verl.utils.skip.skip_manager import SkipManager  # noqa: E402
from verl_batches import (  # noqa: E402
    GROUP,
    Bigram,
    Sampled,
    compute_advantages,
    gradient,
    trainer_config,
)

import conspo_study.integrations.verl.plugin  # noqa: E402, F401  # as verl's loader does

GENERATIONS = ("ray_trainer", "v1")
MODES = ("seq-mean-token-mean", "token-mean", "token-sum", "seq-mean-token-sum")
OBJECTIVES = (
    {"objective": "conspo", "tau": 0.05, "margin": 0.3},
    {"objective": "conspo"},
    {"objective": "conspo_linear"},
    {"objective": "disco", "tau": 0.5, "kl_penalty": 0.0},
)
STEP, STEPS = 21, 100


@pytest.fixture(autouse=True)
def a_step_of_training():
    SkipManager.set_step(STEP)
    yield
    SkipManager.set_step(-1)


def exact_gradient(sampled, model, settings):
    """By autograd through the objective on the live scores of whole groups."""
    given = dict(settings)
    options = objective_options({"name": given.pop("objective"), **given})
    logprobs, order = sampled.logprobs(model), sorted(range(len(sampled)), key=group_of(sampled))
    groups = [sampled.groups[row] for row in order]
    seen = set(zip(sampled.groups, sampled.rewards, strict=True))
    contrast = {group for group in groups if {(group, 0.0), (group, 1.0)} <= seen}
    live = [row for row in order if sampled.groups[row] in contrast]
    batch = GroupBatch.of(
        torch.cat([logprobs[row] for row in live]),
        torch.cat([logprobs[row].detach() for row in live]),
        [len(logprobs[row]) for row in live],
        [GROUP] * (len(live) // GROUP),
        [bool(sampled.rewards[row]) for row in live],
    )
    loss = objective_of(type(options))(batch, options, Progress(STEP - 1, STEPS)).loss
    return torch.autograd.grad(loss, model.table)[0]


def group_of(sampled):
    return lambda row: (sampled.groups[row], row)


def micro_batches(rows, size, seed):
    order = list(range(rows))
    random.Random(seed).shuffle(order)
    return [order[start : start + size] for start in range(0, rows, size)]


def relative(error, truth):
    return float((error - truth).norm() / truth.norm())


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("settings", OBJECTIVES, ids=lambda s: json.dumps(s))
def test_the_gradient_is_the_objectives(generation, mode, settings):
    sampled, model = Sampled.of(), Bigram()
    config = trainer_config(
        len(sampled),
        algorithm__conspo=settings,
        actor_rollout_ref__actor__loss_agg_mode=mode,
    )
    data = compute_advantages(sampled, model, config, generation)
    truth = exact_gradient(sampled, model, settings)
    for size in (24, 8, 5, 1):
        for seed in range(2):
            parts = micro_batches(len(sampled), size, seed)
            found = gradient(data, model, config, parts, nested=generation == "v1")
            assert relative(found, truth) < 1e-12


def test_a_constant_divisor_is_undone_too():
    sampled, model = Sampled.of(seed=3), Bigram()
    mode = {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 512}
    given = {f"actor_rollout_ref__actor__{key}": value for key, value in mode.items()}
    config = trainer_config(len(sampled), **given)
    data = compute_advantages(sampled, model, config, "v1")
    found = gradient(data, model, config, micro_batches(24, 5, 0), nested=True)
    assert relative(found, exact_gradient(sampled, model, {"objective": "conspo"})) < 1e-12


def test_padding_rows_of_the_newer_trainer_weigh_nothing():
    sampled, model = Sampled.of(), Bigram()
    settings = {"objective": "conspo", "tau": 0.1}
    config = trainer_config(len(sampled) + 2 * GROUP, algorithm__conspo=settings)
    data = sampled.data(model)
    padding = data.select_idxs([0] * (2 * GROUP))
    padding.batch["response_mask"].zero_()
    padding.batch["token_level_rewards"] = torch.zeros_like(padding.batch["token_level_rewards"])
    padding.non_tensor_batch["uid"][:] = "pad0123"
    both = type(data).concat([data, padding])
    both = ray_trainer.compute_advantage(both, "conspo", config=config.algorithm)
    assert not both.batch["advantages"][len(sampled) :].any()
    parts = micro_batches(len(sampled), 5, 0)
    found = gradient(both, model, config, parts, nested=False)
    assert relative(found, exact_gradient(sampled, model, settings)) < 1e-12


def test_other_estimators_are_left_alone():
    sampled, model = Sampled.of(), Bigram()
    config = trainer_config(
        len(sampled),
        algorithm__adv_estimator="grpo",
        actor_rollout_ref__actor__policy_loss__loss_mode="vanilla",
    )
    found = compute_advantages(sampled, model, config, "ray_trainer").batch["advantages"]
    data = sampled.data(model)
    plain, _ = core_algos.compute_grpo_outcome_advantage(
        data.batch["token_level_rewards"], data.batch["response_mask"], data.non_tensor_batch["uid"]
    )
    assert torch.equal(found, plain)


def test_both_generations_call_one_wrapped_function():
    from conspo_study.integrations.verl.plugin import install

    wrapped = ray_trainer.compute_advantage
    install()
    assert ray_trainer.compute_advantage is v1_utils.compute_advantage is wrapped
    assert not hasattr(wrapped.without_conspo, "without_conspo")


def test_a_verl_that_passes_the_batch_itself_is_believed():
    sampled, model = Sampled.of(), Bigram()
    config = trainer_config(len(sampled))
    data = sampled.data(model)
    passed, _ = core_algos.get_adv_estimator_fn("conspo")(
        token_level_rewards=data.batch["token_level_rewards"],
        response_mask=data.batch["response_mask"],
        config=config.algorithm,
        batch=data.batch,
        non_tensor_batch=data.non_tensor_batch,
    )
    wrapped = compute_advantages(sampled, model, config, "v1").batch["advantages"]
    assert torch.equal(passed, wrapped)
    with pytest.raises(ValueError, match="old_log_probs"):
        core_algos.get_adv_estimator_fn("conspo")(
            data.batch["token_level_rewards"], data.batch["response_mask"], config.algorithm
        )


def test_the_margin_follows_the_trainers_step():
    sampled, model = Sampled.of(), Bigram()
    settings = {"objective": "conspo", "tau": 0.05, "margin": 0.5}
    config = trainer_config(len(sampled), algorithm__conspo=settings)
    SkipManager.set_step(1)
    first = compute_advantages(sampled, model, config, "v1").batch["advantages"]
    SkipManager.set_step(STEPS)
    last = compute_advantages(sampled, model, config, "v1").batch["advantages"]
    off = {**settings, "schedule": "off"}
    plain = trainer_config(len(sampled), algorithm__conspo=off)
    assert torch.equal(first, compute_advantages(sampled, model, plain, "v1").batch["advantages"])
    assert relative(first, last) > 0.05
    SkipManager.set_step(-1)
    with pytest.raises(ValueError, match=r"algorithm\.conspo\.schedule=constant"):
        compute_advantages(sampled, model, config, "v1")
    compute_advantages(sampled, model, plain, "v1")


def test_the_total_is_the_learning_rates_where_it_is_not_given():
    sampled, model = Sampled.of(), Bigram()
    settings = {"objective": "conspo", "tau": 0.05, "margin": 0.5}
    given = trainer_config(len(sampled), algorithm__conspo=settings)
    noted = trainer_config(
        len(sampled),
        algorithm__conspo=settings,
        trainer__total_training_steps=None,
        actor_rollout_ref__actor__optim__total_training_steps=STEPS,
    )
    advantages = [
        compute_advantages(sampled, model, config, "v1").batch["advantages"]
        for config in (given, noted)
    ]
    assert torch.equal(*advantages)


WRONG = {
    "policy_loss.loss_mode=conspo": {"actor_rollout_ref__actor__policy_loss__loss_mode": "vanilla"},
    "loss_scale_factor": {"actor_rollout_ref__actor__loss_agg_mode": "seq-mean-token-sum-norm"},
    "nothing is known of loss_agg_mode=median": {
        "actor_rollout_ref__actor__loss_agg_mode": "median"
    },
    r"allow=\[other_terms\]": {"actor_rollout_ref__actor__use_kl_loss": True},
    "use_kl_in_reward=false": {"algorithm__use_kl_in_reward": True},
    "entropy bonus": {"actor_rollout_ref__actor__entropy_coeff": 0.01},
    "used for 2 optimiser steps": {"actor_rollout_ref__actor__ppo_epochs": 2},
    "used for 4 optimiser steps": {"actor_rollout_ref__actor__ppo_mini_batch_size": 1},
    "used for 5 optimiser steps": {
        "trainer__v1__trainer_mode": "separate_async",
        "trainer__v1__separate_async__parameter_sync_step": 5,
    },
    r"bypass_mode=false": {"algorithm__rollout_correction__bypass_mode": True},
    r"rollout_is=token weights tokens": {"algorithm__rollout_correction__rollout_is": "token"},
    r"rollout_rs=seq_mean_k1 rejects": {"algorithm__rollout_correction__rollout_rs": "seq_mean_k1"},
    "not the 8 that were sampled": {"actor_rollout_ref__rollout__n": 8},
    "several rows": {
        "actor_rollout_ref__rollout__n": 3,
        "actor_rollout_ref__actor__ppo_mini_batch_size": 8,
    },
    "nothing to be compared with": {
        "actor_rollout_ref__rollout__n": 1,
        "actor_rollout_ref__actor__ppo_mini_batch_size": 24,
    },
    "unknown objective 'conspoo'": {"algorithm__conspo": {"objective": "conspoo"}},
    "no credits": {"algorithm__conspo": {"objective": "grpo"}},
    r"algorithm\.conspo\.allow has 'all'": {"algorithm__conspo": {"allow": "all"}},
    "correct_above is 'half'": {"algorithm__conspo": {"correct_above": "half"}},
    "tau": {"algorithm__conspo": {"tau": -1}},
}


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_would_not_be_followed_is_refused(message, generation):
    sampled, model = Sampled.of(), Bigram()
    config = trainer_config(len(sampled), **WRONG[message])
    with pytest.raises(ValueError, match=message):
        compute_advantages(sampled, model, config, generation)


def test_all_that_is_wrong_is_said_at_once():
    sampled = Sampled.of()
    config = trainer_config(
        len(sampled),
        actor_rollout_ref__actor__use_kl_loss=True,
        actor_rollout_ref__actor__ppo_epochs=2,
        actor_rollout_ref__actor__policy_loss__loss_mode="gspo",
    )
    with pytest.raises(ValueError, match=r"(?s)gspo.*use_kl_loss.*2 optimiser steps"):
        compute_advantages(sampled, Bigram(), config, "v1")


def test_what_is_permitted_runs():
    sampled, model = Sampled.of(), Bigram()
    config = trainer_config(
        len(sampled),
        algorithm__conspo={"allow": ["other_terms", "several_updates"]},
        actor_rollout_ref__actor__use_kl_loss=True,
        actor_rollout_ref__actor__ppo_mini_batch_size=2,
    )
    compute_advantages(sampled, model, config, "v1")


def test_a_loss_without_its_estimator_is_refused():
    sampled = Sampled.of()
    config = trainer_config(len(sampled), algorithm__adv_estimator="grpo")
    for generation in GENERATIONS:
        with pytest.raises(ValueError, match=r"algorithm\.adv_estimator=conspo"):
            compute_advantages(sampled, Bigram(), config, generation)


def test_broken_groups_are_refused_or_left_smaller():
    sampled, model = Sampled.of(), Bigram()
    config = trainer_config(len(sampled))
    data = sampled.data(model).select_idxs(list(range(23)))
    with pytest.raises(ValueError, match=r"5 responses, not the 6.*allow=\[partial_groups\]"):
        ray_trainer.compute_advantage(data, "conspo", config=config.algorithm)
    lenient = trainer_config(len(sampled), algorithm__conspo={"allow": ["partial_groups"]})
    ray_trainer.compute_advantage(data, "conspo", config=lenient.algorithm)


def test_an_empty_response_is_refused_or_left_out():
    sampled, model = Sampled.of(), Bigram()
    data = sampled.data(model)
    data.batch["response_mask"][3] = 0
    config = trainer_config(len(sampled))
    with pytest.raises(ValueError, match=r"row 3 of group .* has no token"):
        ray_trainer.compute_advantage(data, "conspo", config=config.algorithm)
    lenient = trainer_config(len(sampled), algorithm__conspo={"allow": ["partial_groups"]})
    found = ray_trainer.compute_advantage(data, "conspo", config=lenient.algorithm)
    assert found.batch["advantages"].isfinite().all()
    assert not found.batch["advantages"][3].any()


def test_graded_rewards_are_refused_or_read():
    sampled, model = Sampled.of(), Bigram()
    plain = compute_advantages(sampled, model, trainer_config(24), "v1").batch["advantages"]
    sampled.rewards = [2 * reward - 1 for reward in sampled.rewards]
    with pytest.raises(ValueError, match=r"reward -1.*algorithm\.conspo\.correct_above=0\.5"):
        compute_advantages(sampled, model, trainer_config(24), "v1")
    read = trainer_config(24, algorithm__conspo={"correct_above": 0})
    assert torch.equal(compute_advantages(sampled, model, read, "v1").batch["advantages"], plain)


def test_groups_without_ids_and_configurations_without_the_rest_are_refused():
    sampled, config = Sampled.of(), trainer_config(24)
    data = sampled.data(Bigram())
    alone = OmegaConf.create(OmegaConf.to_container(config.algorithm, resolve=True))
    with pytest.raises(ValueError, match="without the rest"):
        ray_trainer.compute_advantage(data, "conspo", config=alone)
    data.non_tensor_batch.pop("uid")
    with pytest.raises(ValueError, match="no `uid`"):
        ray_trainer.compute_advantage(data, "conspo", config=config.algorithm)


def test_settings_from_the_environment(monkeypatch):
    sampled, model = Sampled.of(), Bigram()
    given = {"objective": "conspo", "tau": 0.05}
    configured = trainer_config(24, algorithm__conspo=given)
    expected = compute_advantages(sampled, model, configured, "v1").batch["advantages"]
    config = trainer_config(24)
    config.algorithm.pop("conspo")
    monkeypatch.setenv("CONSPO_OBJECTIVE", json.dumps(given))
    found = compute_advantages(sampled, model, config, "v1").batch["advantages"]
    assert torch.equal(found, expected)
    monkeypatch.setenv("CONSPO_OBJECTIVE", "conspo_linear")
    assert compute_advantages(sampled, model, config, "v1").batch["advantages"].any()
    monkeypatch.setenv("CONSPO_OBJECTIVE", '{"tau": ')
    with pytest.raises(ValueError, match="CONSPO_OBJECTIVE is not JSON"):
        compute_advantages(sampled, model, config, "v1")


def test_importance_weights_are_refused_by_the_loss():
    from conspo_study.integrations.verl.policy_loss import policy_loss

    ones = torch.ones(2, 3)
    with pytest.raises(ValueError, match="rollout_is=null"):
        policy_loss(ones, ones, ones, ones, config=None, rollout_is_weights=ones)
