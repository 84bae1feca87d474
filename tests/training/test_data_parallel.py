"""Several workers do what one does: same gradient and metrics in float64, same training run."""

import json
import shutil
from functools import partial
from itertools import chain

import gloo_worker
import pytest
import torch
from safetensors.torch import load_file
from thread_world import run_threads
from tiny_models import random_model
from tolerances import assert_same, terms_of
from training_runs import untimed
from transformers import AutoModelForCausalLM
from update_cases import OBJECTIVES, settings_of, update_on

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.update.world import World

TERMS = terms_of(random_model("Llama"), 20)
"""Of the gradient of a batch of twenty tokens."""
WEIGHTS = {"rtol": 1e-9, "atol": 1e-9}
"""After updates: Adam divides gradients by their size, down to its epsilon of 1e-8."""


def test_the_summed_gradient_is_that_of_one_worker(tmp_path):
    gloo_worker.run_workers("gradient", 2, tmp_path)
    for name in gloo_worker.OPTIONS:
        alone = gloo_worker.gradient(World(), name)
        assert alone.abs().sum() > 0
        for rank in range(2):
            together = load_file(tmp_path / f"gradient-{rank}.safetensors")[name]
            assert_same(together, alone, TERMS)


SPREADS = [(3, 4), (1, 0, 6)]


@pytest.mark.parametrize(
    ("name", "old"),
    [(name, "trainer") for name in [*OBJECTIVES, "conspo regularized"]]
    + [("grpo", "sampler"), ("grpo", "auto")],
)
def test_nothing_that_an_update_reports_depends_on_the_split_over_workers(name, old, monkeypatch):
    # A gap that is not 0: rounding would hide how it is put together.
    monkeypatch.setattr(
        "conspo_study.objective.diagnostics.rollout_losses",
        lambda batch, advantages_B, _: advantages_B * batch.rollout_sum(batch.logprobs_T),
    )
    settings = settings_of(name, old)  # no spread below divides the mini-batches evenly
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
            torch.testing.assert_close(other[2], weights, **WEIGHTS)


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    """What two workers found that share one model."""
    folder = tmp_path_factory.mktemp("sharded")
    gloo_worker.run_workers("sharded", 2, folder)
    tensors = [load_file(folder / f"sharded-{rank}.safetensors") for rank in range(2)]
    facts = [json.loads((folder / f"facts-{rank}.json").read_text()) for rank in range(2)]
    return tensors, facts


@pytest.mark.parametrize("case", ["gradient", "at once", "idle"])
@pytest.mark.parametrize("name", gloo_worker.OPTIONS)
def test_the_gradient_of_a_sharded_model_is_that_of_a_whole_one(divided, name, case):
    alone = gloo_worker.gradient(World(), name)
    for tensors in divided[0]:
        assert_same(tensors[f"{case}-{name}"], alone, TERMS)


@pytest.mark.parametrize("number", range(len(gloo_worker.UPDATES)))
def test_updates_of_a_sharded_model_are_those_of_a_whole_one(divided, number):
    name, old, _ = gloo_worker.UPDATES[number]
    metrics, _, weights = update_on(World(), (7,), settings_of(name, old))
    for tensors, facts in zip(*divided, strict=True):
        assert facts["metrics"][number] == pytest.approx(metrics, rel=1e-7, abs=1e-9)
        torch.testing.assert_close(tensors[f"update-{number}"], weights, **WEIGHTS)


def test_workers_hold_half_of_a_sharded_model_and_the_whole_of_it_to_sample(divided):
    for facts in divided[1]:
        assert facts["state"] and facts["names"]
        assert facts["share"] == pytest.approx(0.5, abs=0.02)
        assert facts["dtypes"] == ["torch.bfloat16", "torch.float32"]


def test_a_sharded_model_resumes_bit_for_bit_and_loads_as_a_whole_one(divided):
    assert [facts["resumed"] for facts in divided[1]] == [True, True]


def train_with(size, folder, policy, **settings):
    """Train in processes; the rows of its steps."""
    lean = {
        "rollout.prompts_per_step": 6,
        "evaluation.sets": ["chain/hard"],
        "train.workers": 2,
        "train.steps": 4,
        "train.store_rollouts_every": 2,
        "train.store_rollouts_groups": 5,  # of both workers
    }
    config = with_overrides(QUICK, lean | settings)
    folder.mkdir(exist_ok=True)
    text = json.dumps({"config": config.model_dump(mode="json"), "policy": str(policy)})
    (folder / "config.json").write_text(text)
    (folder / "rendezvous").unlink(missing_ok=True)
    gloo_worker.run_workers("train", size, folder)
    return json.loads((folder / "rows.json").read_text())


def weights_in(folder):
    """All weights of a policy, as anybody would load it."""
    state = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).state_dict()
    return torch.cat([tensor.reshape(-1) for tensor in state.values()])


@pytest.mark.slow
@pytest.mark.parametrize(("sharding", "ahead"), [("replicate", False), ("fsdp", True)])
def test_two_workers_train_the_same_policy_as_one(tmp_path, tiny_policy, sharding, ahead):
    alone, together = tmp_path / "1", tmp_path / "2"
    settings = {"rollout.ahead": ahead}
    rows_1 = train_with(1, alone, tiny_policy, **settings)
    rows_2 = train_with(2, together, tiny_policy, **settings, **{"train.sharding": sharding})
    assert any(row["valid_fraction"] > 0 for row in rows_1)
    for a, b in zip(map(untimed, rows_1), map(untimed, rows_2), strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=1e-5)
    last = "checkpoints/checkpoint_00004/seed-0"
    start, one, two = map(weights_in, (tiny_policy, alone / last, together / last))
    # Single weights say little: Adam moves one with next to no gradient as far as others.
    assert (two - one).norm() < 0.01 * (one - start).norm()
    kept = [json.loads((folder / "kept.json").read_text()) for folder in (alone, together)]
    assert [len(rows) for rows in kept] == [2 * 5 * 4] * 2
    for a, b in zip(*map(chain.from_iterable, kept), strict=True):
        assert a == (pytest.approx(b, rel=2e-3, abs=1e-5) if isinstance(b, float) else b)
    read = [json.loads((folder / "read.json").read_text()) for folder in (alone, together)]
    assert read[0] == read[1] and all(read[0])


@pytest.mark.slow
def test_a_sharded_run_resumes_bit_for_bit_with_as_many_workers_and_no_others(
    tmp_path, tiny_policy, capfd
):
    settings = {
        "train.sharding": "fsdp",
        "train.checkpoint_every": 2,
        "train.steps": 4,
        "rollout.ahead": True,
    }
    whole, again = tmp_path / "whole", tmp_path / "again"
    rows = train_with(2, whole, tiny_policy, **settings)
    again.mkdir()
    name = "checkpoint_00002"
    shutil.copytree(whole / "checkpoints" / name, again / "checkpoints" / name)
    continued = train_with(2, again, tiny_policy, **settings)
    assert [untimed(row) for row in continued] == [untimed(row) for row in rows[2:]]
    last = [folder / "checkpoints" / "checkpoint_00004" for folder in (whole, again)]
    files = sorted(path.relative_to(last[0]) for path in last[0].rglob("*.safetensors"))
    assert len(files) == 4  # a part of the model and one of the optimiser by each worker
    for file in files:
        assert (last[0] / file).read_bytes() == (last[1] / file).read_bytes(), file
    with pytest.raises(AssertionError):
        train_with(3, again, tiny_policy, **settings)
    assert "its shards is 2, this run's is 3" in capfd.readouterr().err
