"""A run that pauses at a rung and goes on later is the run that did not."""

import pytest
import torch
from safetensors.torch import load_file
from training_runs import CONFIG, run, untimed

from conspo_study.config import with_overrides


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train.checkpoint_every": 100},
        {"rollout.ahead": True, "rollout.refill_rounds": 0},
        {"update.mini_batches": 2, "update.epochs_per_batch": 2},
    ],
    ids=["plain", "no other checkpoint", "ahead", "stale"],
)
def test_a_pause_changes_no_bit(tmp_path, tiny_policy, changes):
    config = with_overrides(CONFIG, changes)
    whole = run(tmp_path / "whole", tiny_policy, config=config)
    folder = tmp_path / "paused"
    first = run(folder, tiny_policy, config=config, until=2)
    assert first.reports[-1][0] == 2 and {row["step"] for row in first.rows} == {1, 2}
    assert [path.name for path in first.checkpoints.glob("checkpoint_*")][-1] == "checkpoint_00002"
    rest = run(folder, tiny_policy, config=config)
    assert [untimed(r) for r in first.rows + rest.rows] == [untimed(r) for r in whole.rows]
    for seed in (0, 1):
        for name in ("model", "optimizer"):
            file = f"seed-{seed}/{name}.safetensors"
            a, b = (load_file(one.checkpoint(4) / file) for one in (whole, rest))
            assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    assert rest.evaluations[-1] == whole.evaluations[-1]


def test_a_pause_that_was_killed_before_it_was_told_is_told_again(tmp_path, tiny_policy):
    run(tmp_path, tiny_policy, until=2)
    again = run(tmp_path, tiny_policy, until=2)
    assert again.rows == [] and [step for step, _ in again.reports] == [2]


def test_a_checkpoint_beyond_the_rung_is_not_used(tmp_path, tiny_policy):
    """The log has lost that the trial went on: it comes to the rung again, and pauses there."""
    whole = run(tmp_path, tiny_policy)
    assert (whole.checkpoints / "checkpoint_00004").exists()
    again = run(tmp_path, tiny_policy, until=2)
    assert again.reports[-1][0] == 2 and not (whole.checkpoints / "checkpoint_00004").exists()
    rest = run(tmp_path, tiny_policy)
    assert [untimed(r) for r in rest.rows] == [untimed(r) for r in whole.rows if r["step"] > 2]


def test_the_last_step_is_the_last_whatever_the_rung(tmp_path, tiny_policy):
    done = run(tmp_path, tiny_policy, until=400)
    assert done.reports[-1][0] == CONFIG.train.steps
