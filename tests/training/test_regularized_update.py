"""An update with everything that can be added to a loss, against the gradient of that loss as one
graph over the model's whole distributions."""

import pytest
import torch
from needed_settings import needed_overrides
from thread_world import run_threads
from tolerances import assert_same, terms_of
from training_runs import CONFIG, run, untimed
from update_cases import REGULARIZED, initial_model, model_and_groups, update_on

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.objective import GroupBatch, Progress, objective_of
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.training.policy_update import PolicyUpdate
from conspo_study.training.reference import reference_policies
from conspo_study.update.step import Updater
from conspo_study.update.world import World

TEMPERATURE = 0.8
PROGRESS = Progress(2, 9)


class Stopped(Exception):
    """Raised in place of the first optimiser step."""


class Still(Updater):
    """An updater that stops before its first step, with the gradient in place."""

    def step(self):
        raise Stopped


def configured(name, settings):
    changes = {"objective.name": name, "rollout.temperature": TEMPERATURE} | needed_overrides(name)
    return with_overrides(QUICK, changes | settings)


def distributions(model, groups):
    """log pi of every token of the vocabulary at every response token: [T, V]."""
    rows = []
    for group in groups:
        for rollout in group.rollouts:
            tokens = torch.tensor([[*group.prompt_tokens, *rollout.tokens]])
            logits = model(tokens).logits[0, len(group.prompt_tokens) - 1 : -1]
            rows.append((logits / TEMPERATURE).log_softmax(-1))
    return torch.cat(rows)


@pytest.mark.parametrize("budget", [12, 10_000])
@pytest.mark.parametrize("name", ["conspo", "conspo_linear", "grpo", "vespo", "disco"])
def test_the_gradient_is_that_of_the_whole_loss(name, budget):
    config = configured(name, REGULARIZED | {"update.micro_batch_tokens": budget})
    model, groups = model_and_groups()
    initial = initial_model()

    def reference(prompts, responses):
        return response_logprobs(initial, prompts, responses, TEMPERATURE)

    updater = Still(model, config.update, World())
    with pytest.raises(Stopped):
        PolicyUpdate(config, model, updater, reference).run(groups, PROGRESS, seed=0)
    found = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    model.zero_grad()

    rollouts = [rollout for group in groups for rollout in group.rollouts]
    lengths = [len(rollout.tokens) for rollout in rollouts]
    token_T = torch.tensor([token for rollout in rollouts for token in rollout.tokens])
    sampled_T = torch.tensor([value for rollout in rollouts for value in rollout.logprobs])
    logp_TV = distributions(model, groups)
    logp_T = logp_TV[torch.arange(len(token_T)), token_T]
    batch = GroupBatch.of(
        logp_T,
        logp_T.detach(),
        lengths,
        [len(group.rollouts) for group in groups],
        [correct for group in groups for correct in group.correct],
        max_response_length=config.rollout.max_new_tokens,
    )
    loss = objective_of(type(config.objective))(batch, config.objective, PROGRESS).loss
    # What each rollout gives to the gradient counts by its truncated sequence ratio.
    (weights_T,) = torch.autograd.grad(loss, logp_T, retain_graph=True)
    moved = torch.split(logp_T.detach() - sampled_T, lengths)
    caps = [min(1.05, float(part.sum().exp())) for part in moved]
    scale_T = torch.tensor(caps, dtype=torch.float64).repeat_interleave(torch.tensor(lengths))
    with torch.no_grad():
        log_q_TV = distributions(initial, groups)
    log_q_T = log_q_TV[torch.arange(len(token_T)), token_T] - logp_T
    k3_T = log_q_T.exp() - 1 - log_q_T
    entropy_T = -(logp_TV.exp() * logp_TV).sum(-1)
    whole = (scale_T * weights_T * logp_T).sum() + 0.2 * k3_T.mean() - 0.3 * entropy_T.mean()
    whole.backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    model.zero_grad()
    assert_same(found, expected, terms_of(model, sum(lengths)))


def test_what_is_added_is_logged_and_changes_the_policy():
    plain, _, weights = update_on(World(), (7,), {"objective.name": "conspo"})
    metrics, _, moved = update_on(World(), (7,), {"objective.name": "conspo"} | REGULARIZED)
    added = {"policy_entropy", "reference_kl", "importance_weight", "importance_capped"}
    assert metrics.keys() - plain.keys() == added
    assert metrics["reference_kl"] > 0 and 0 < metrics["policy_entropy"] < 4.2  # log 62
    assert not torch.equal(weights, moved)


def test_the_reference_is_the_policy_that_training_begins_with(tiny_policy):
    config = configured("grpo", {"update.reference_kl": 0.1})
    reference_of = reference_policies(config, World())
    reference = reference_of(tiny_policy, None)
    assert reference is not None
    assert reference_of(tiny_policy, None).args[1] is reference.args[1]  # one copy for all seeds
    assert reference_policies(configured("grpo", {}), World())(tiny_policy, None) is None
    scores = reference([(5, 6)], [(7, 8, 9)])
    assert not scores.requires_grad


def test_workers_without_groups_take_part():
    settings = {"objective.name": "conspo", "update.mini_batches": 1} | REGULARIZED
    alone = update_on(World(), (7,), settings)
    for other in run_threads(2, lambda world: update_on(world, (0, 7), settings)):
        assert other[0] == pytest.approx(alone[0], rel=1e-7, abs=1e-9)
        torch.testing.assert_close(other[2], alone[2], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("adapters", [0, 2])
def test_a_run_with_all_of_them_resumes_bit_for_bit(tmp_path, tiny_policy, adapters):
    if adapters:
        pytest.importorskip("peft")
    config = with_overrides(CONFIG, REGULARIZED | {"policy.lora_rank": adapters})
    whole = run(tmp_path / "whole", tiny_policy, config)
    again = run(tmp_path / "again", tiny_policy, config, resume_from=whole.checkpoint(2))
    by_step = {(row["step"], row["seed"]): untimed(row) for row in whole.rows}
    assert [untimed(row) for row in again.rows] == [by_step[s, r] for s in (3, 4) for r in (0, 1)]
    for seed in (0, 1):
        first, *later = [r["reference_kl"] for r in whole.rows if r["seed"] == seed and "loss" in r]
        assert first < 1e-10 < min(later)  # before the first update the policy is the reference
