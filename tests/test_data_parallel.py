"""Several workers do what one does: same gradient and metrics in float64, same training run."""

import json
import random
import subprocess
import sys
from copy import deepcopy
from dataclasses import astuple
from functools import cache, partial
from pathlib import Path

import gloo_worker
import pytest
import torch
from safetensors.torch import load_file
from thread_world import run_threads
from tiny_models import random_model

from conspo_study.config import with_overrides
from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import Progress
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy_update import PolicyUpdate
from conspo_study.presets import QUICK
from conspo_study.records import FinishStatus, Group, Judgement, Rollout, Verdict
from conspo_study.update.step import Updater
from conspo_study.update.world import World

WORKER = Path(gloo_worker.__file__)


def run_workers(task, size, folder):
    workers = [
        subprocess.Popen([sys.executable, str(WORKER), task, str(rank), str(size), str(folder)])
        for rank in range(size)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * size


def test_the_summed_gradient_is_that_of_one_worker(tmp_path):
    run_workers("gradient", 2, tmp_path)
    for name in gloo_worker.OPTIONS:
        alone = gloo_worker.gradient(World(), name)
        assert alone.abs().sum() > 0
        for rank in range(2):
            together = load_file(tmp_path / f"gradient-{rank}.safetensors")[name]
            torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-14)


@cache
def model_and_groups(count=7):
    """A policy and ragged groups; the sampler's log-probabilities have an error in each token."""
    model = random_model("Llama").double()
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


def update_on(world, held, settings):
    """The metrics, credits and weights of an update with `held[rank]` groups on each worker."""
    config = with_overrides(QUICK, settings)
    model, groups = deepcopy(model_and_groups())
    first = sum(held[: world.rank])
    update = PolicyUpdate(config, model, Updater(model, config.update, world))
    mine = groups[first : first + held[world.rank]]
    metrics = update.run(mine, Progress(2, 9), seed=0)
    machine = ("time/", "peak_memory_gib")
    kept = {name: value for name, value in metrics.items() if not name.startswith(machine)}
    credits = [(astuple(row)[:5], row.score, row.credit) for row in update.credits]
    return kept, credits, torch.cat([p.detach().reshape(-1) for p in model.parameters()])


SPREADS = [(3, 4), (1, 0, 6)]
OBJECTIVES = {name: {} for name in OPTIONS} | {
    # On one side of its limit in one mini-batch, on the other in the next.
    "disco": {"objective.kl_limit": 0.01, "objective.kl_penalty": 1.0},
}


@pytest.mark.parametrize(
    ("name", "old"),
    [(name, "trainer") for name in OBJECTIVES] + [("grpo", "sampler"), ("grpo", "auto")],
)
def test_nothing_that_an_update_reports_depends_on_the_split_over_workers(name, old, monkeypatch):
    # A gap that is not 0: rounding would hide how it is put together.
    monkeypatch.setattr(
        "conspo_study.objective.diagnostics.rollout_losses",
        lambda batch, advantages_B, _: advantages_B * batch.rollout_sum(batch.logprobs_T),
    )
    settings = {
        "objective.name": name,
        "update.learning_rate": 0.01,
        "update.warmup_steps": 0,
        "update.mini_batches": 3,  # of 3, 2 and 2 groups, which no spread below divides evenly
        "update.epochs_per_batch": 2,
        "update.store_credits_every": 1,
        "update.old_logprobs": old,
        "rollout.max_new_tokens": 8,
        "reward.overlong_cache": 6,
    } | OBJECTIVES[name]
    metrics, credits, weights = update_on(World(), (7,), settings)
    assert metrics["updates"] == 6
    assert metrics["grpo_identity_gap"] > 1
    assert len(credits) == 2 * sum(2 + number % 3 for number in range(7))
    for held in SPREADS:
        for other in run_threads(len(held), partial(update_on, held=held, settings=settings)):
            assert other[0] == pytest.approx(metrics, rel=1e-7, abs=1e-9)
            assert [row[0] for row in other[1]] == [row[0] for row in credits]
            for a, b in zip(other[1], credits, strict=True):
                assert a[1:] == pytest.approx(b[1:], rel=1e-7, abs=1e-9)
            torch.testing.assert_close(other[2], weights, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_two_workers_train_the_same_policy_as_one(tmp_path, tiny_policy):
    config = with_overrides(QUICK, {"train.workers": 2, "train.steps": 3})
    results = []
    for size in (1, 2):
        folder = tmp_path / str(size)
        folder.mkdir()
        settings = {"config": config.model_dump(mode="json"), "policy": str(tiny_policy)}
        (folder / "config.json").write_text(json.dumps(settings))
        run_workers("train", size, folder)
        rows = json.loads((folder / "rows.json").read_text())
        results.append((rows, load_file(folder / "weights.safetensors")))
    (rows_1, weights_1), (rows_2, weights_2) = results
    assert any(row["valid_fraction"] > 0 for row in rows_1)
    for a, b in zip(rows_1, rows_2, strict=True):
        machine = ("time/", "tokens_per_s", "peak_memory_gib")
        compared = [key for key in a if not key.startswith(machine)]
        assert {key: a[key] for key in compared} == pytest.approx(
            {key: b[key] for key in compared}, rel=2e-3, abs=1e-5
        )
    for name, tensor in weights_1.items():
        torch.testing.assert_close(weights_2[name], tensor, rtol=1e-3, atol=2e-5)
