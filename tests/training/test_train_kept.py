"""What a run stores of single rollouts: credits, and responses for reading."""

from dataclasses import replace

import pytest
from training_runs import CONFIG, Recorder, run, untimed

from conspo_study.config import with_overrides
from conspo_study.training.loop import train


def test_credits_are_stored_at_the_steps_that_ask_for_them(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"update.store_credits_every": 2})
    recorder = run(tmp_path, tiny_policy, config=config)
    contrasts = {
        (row["seed"], row["step"]): round(row["valid_fraction"] * 4 * 4) for row in recorder.rows
    }
    due = {key: count for key, count in contrasts.items() if count and key[1] in (1, 3)}
    assert due
    assert {(seed, step): count for seed, step, count in recorder.credited} == due


def test_whole_groups_are_kept_for_reading_with_what_the_step_made_of_them(tmp_path, tiny_policy):
    settings = {"train.store_rollouts_every": 2, "train.store_rollouts_groups": 3}
    config = with_overrides(
        CONFIG,
        settings | {"objective.name": "grpo", "update.store_credits_every": 2},
    )
    credited = []

    class Outlet(Recorder):
        def credits(self, seed, step, rows):
            credited.extend(replace(row, update=step) for row in rows)

    recorder = Outlet(tmp_path)
    train(config, (0,), recorder, policy_folder=tiny_policy, checkpoints=recorder.checkpoints)
    assert [(row.step, row.group, row.rollout) for row in recorder.kept] == [
        (step, group, i) for step in (1, 3) for group in range(3) for i in range(4)
    ]
    trained = 0
    for step in (1, 3):
        for group in range(3):
            rows = [row for row in recorder.kept if (row.step, row.group) == (step, group)]
            correct = [row.verdict == "correct" for row in rows]
            mixed = 0 < sum(correct) < 4
            assert {row.credit is not None for row in rows} == {mixed}
            assert {row.advantage is not None for row in rows} == {mixed}
            if mixed:
                trained += 1
                same = [
                    c for c in credited if (c.update, c.problem_id) == (step, rows[0].problem_id)
                ]
                assert [(r.score, r.credit) for r in rows] == [(c.score, c.credit) for c in same]
                assert sum(row.advantage for row in rows) == pytest.approx(0, abs=1e-5)
                assert [row.advantage > 0 for row in rows] == correct
            assert len({row.prompt for row in rows}) == 1 and rows[0].prompt
            assert all(row.score < 0 and row.response_tokens > 0 for row in rows)
    assert 0 < trained < 6, "the test needs groups with contrast, and some without"


def test_what_is_kept_does_not_depend_on_an_interruption(whole, tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"train.store_rollouts_every": 1})
    undisturbed = run(tmp_path / "whole", tiny_policy, config)
    resumed = run(tmp_path, tiny_policy, config, resume_from=undisturbed.checkpoint(2))
    assert resumed.kept == [row for row in undisturbed.kept if row.step > 2] != []
    assert [untimed(row) for row in undisturbed.rows] == [untimed(row) for row in whole.rows]
    assert {row.advantage for row in undisturbed.kept} == {None}  # ConSPO has none
