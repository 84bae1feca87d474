"""An update on ragged groups that can be spread over workers in any way."""

import random
from copy import deepcopy
from dataclasses import astuple
from functools import cache, partial

import torch
from exact_models import exact_model
from needed_settings import needed_overrides

from conspo_study.config import with_overrides
from conspo_study.config.objectives import OPTIONS
from conspo_study.definition.presets import QUICK
from conspo_study.objective import Progress
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.sharding import full_state, shard
from conspo_study.records import FinishStatus, Group, Judgement, Rollout, Verdict
from conspo_study.training.policy_update import PolicyUpdate
from conspo_study.update.step import Updater

OBJECTIVES = {name: needed_overrides(name) for name in OPTIONS} | {
    # On one side of its limit in one mini-batch, on the other in the next.
    "disco": {"objective.kl_limit": 0.01, "objective.kl_penalty": 1.0},
    "conspo_linear": {
        "objective.clip_score": 0.02,
        "objective.kl_limit": 0.01,
        "objective.kl_penalty": 1.0,
    },
}


REGULARIZED = {
    "update.entropy_bonus": 0.3,
    "update.reference_kl": 0.2,
    "update.importance_cap": 1.05,
    "update.importance_level": "sequence",
}


def settings_of(name, old="trainer"):
    """Six steps of an objective: three mini-batches of 3, 2 and 2 groups, twice."""
    name, _, regularized = name.partition(" ")
    return {
        "objective.name": name,
        "update.learning_rate": 0.01,
        "update.warmup_steps": 0,
        "update.mini_batches": 3,
        "update.epochs_per_batch": 2,
        "update.store_credits_every": 1,
        "update.old_logprobs": old,
        "rollout.max_new_tokens": 8,
        "reward.overlong_cache": 6,
        **OBJECTIVES[name],
        **(REGULARIZED if regularized else {}),
    }


@cache
def model_and_groups(count=7):
    """A policy and ragged groups; the sampler's log-probabilities have an error in each token."""
    model = exact_model("Llama")
    generator = random.Random(0)
    groups = []
    for number in range(count):
        prompt = (3 + number, 4)
        rollouts = []
        for _ in range(2 + number % 3):
            tokens = tuple(generator.randrange(5, 40) for _ in range(generator.randint(1, 6)))
            with torch.no_grad():
                exact = response_logprobs(model, [prompt], [tokens]).tolist()
            logprobs = tuple(value + generator.gauss(0, 0.1) for value in exact)
            rollouts.append(Rollout(tokens, logprobs, FinishStatus.STOPPED, ""))
        verdicts = [Judgement(Verdict.CORRECT if i % 2 else Verdict.WRONG) for i in range(4)]
        pieces = tuple(rollouts), tuple(verdicts[: len(rollouts)])
        groups.append(Group(f"p{number}", prompt, *pieces))
    return model, groups


@cache
def initial_model():
    """The policy that a penalty refers to."""
    return exact_model("Llama", seed=3)


def update_on(world, held, settings):
    """The metrics, credits and weights of an update with `held[rank]` groups on each worker."""
    config = with_overrides(QUICK, settings)
    (model, groups), initial = deepcopy((model_and_groups(), initial_model()))
    if world.sharded:
        shard(model, world.size)
        shard(initial, world.size)
    reference = partial(response_logprobs, initial) if config.update.reference_kl else None
    first = sum(held[: world.rank])
    update = PolicyUpdate(config, model, Updater(model, config.update, world), reference)
    mine = groups[first : first + held[world.rank]]
    result = update.run(mine, Progress(2, 9), seed=0)
    machine = ("time/", "peak_memory_gib", "mfu")
    kept = {name: value for name, value in result.metrics.items() if not name.startswith(machine)}
    credits = [(astuple(row)[:5], row.score, row.credit) for row in result.credits]
    weights = [tensor.detach().reshape(-1) for _, tensor in full_state(model)]
    return kept, credits, torch.cat(weights)
