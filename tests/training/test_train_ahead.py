"""Responses of the next step, drawn before the update of this one."""

import pytest
from training_runs import CONFIG, LARGEST_MISMATCH, run, untimed

from conspo_study.config import with_overrides

AHEAD = with_overrides(CONFIG, {"rollout.ahead": True})


def test_rollouts_drawn_ahead_are_one_update_old_and_the_metrics_say_so(
    whole, tmp_path, tiny_policy
):
    twice = with_overrides(AHEAD, {"update.mini_batches": 2})
    for config in (AHEAD, twice):
        rows = run(tmp_path / str(config.update.mini_batches), tiny_policy, config, seeds=(0,)).rows
        moved = [0, *(row.get("updates", 0) for row in rows)]  # 0 where no group had contrast
        assert sum(moved) > config.update.mini_batches
        for row, before in zip(rows, moved, strict=False):
            if updates := row.get("updates"):
                assert row["staleness"] == before + (updates - 1) / 2
                assert (row["mismatch_max"] > LARGEST_MISMATCH) == (before > 0)
    own = [untimed(row) for row in whole.rows if row["seed"] == 0]
    ahead = [untimed(row) for row in run(tmp_path / "3", tiny_policy, AHEAD, seeds=(0,)).rows]
    assert ahead[0] == own[0] and ahead[1] != own[1]


def test_weights_that_hardly_move_make_ahead_draw_what_would_be_drawn_later(tmp_path, tiny_policy):
    still = {"update.learning_rate": 1e-12}
    rows = [
        run(tmp_path / str(ahead), tiny_policy, config=with_overrides(config, still)).rows
        for ahead, config in enumerate((CONFIG, AHEAD))
    ]
    for now, earlier in zip(*rows, strict=True):
        assert earlier.keys() == now.keys()
        for name in untimed(now).keys() - {"staleness"}:
            assert earlier[name] == pytest.approx(now[name], abs=1e-5), name


def test_a_run_that_draws_ahead_resumes_bit_for_bit(tmp_path, tiny_policy):
    whole = run(tmp_path / "whole", tiny_policy, config=AHEAD)
    assert (whole.checkpoint(2) / "seed-1/ahead.safetensors").exists()
    assert not (whole.checkpoint(4) / "seed-1/ahead.safetensors").exists()  # nothing follows it
    again = run(tmp_path / "again", tiny_policy, config=AHEAD, resume_from=whole.checkpoint(2))
    assert [untimed(r) for r in again.rows] == [untimed(r) for r in whole.rows if r["step"] > 2]
