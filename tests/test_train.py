"""The loop: resumable bit for bit, honest in its counts, and able to learn."""

import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

from conspo_study.config import PolicyConfig, with_overrides
from conspo_study.prepare import prepare_policy
from conspo_study.presets import EMBEDDED, QUICK
from conspo_study.train import train
from conspo_study.update.checkpoint import CheckpointError

CONFIG = with_overrides(
    QUICK, {"train.steps": 4, "train.checkpoint_every": 2, "rollout.prompts_per_step": 4}
)
TIMES = ("time/", "tokens_per_s")


class Recorder:
    """An outlet that keeps everything."""

    def __init__(self, folder):
        self.folder = folder
        self.rows, self.evaluations, self.reports, self.checkpoints = [], [], [], {}

    def step_rows(self, rows):
        self.rows += rows

    def evaluation(self, rows):
        self.evaluations += rows

    def untrained(self, seed):
        return None

    def stop_requested(self):
        return False

    def report(self, step, latest, checkpoint):
        self.reports.append((step, {seed: dict(metrics) for seed, metrics in latest.items()}))
        if checkpoint:
            kept = self.folder / checkpoint.name
            shutil.copytree(checkpoint, kept)
            self.checkpoints[step] = kept


def run(folder, policy, config=CONFIG, seeds=(0, 1), resume_from=None):
    folder.mkdir(exist_ok=True)
    recorder = Recorder(folder)
    train(config, seeds, recorder, policy_folder=policy, resume_from=resume_from)
    return recorder


def untimed(row):
    return {key: value for key, value in row.items() if not key.startswith(TIMES)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_policy):
    return run(tmp_path_factory.mktemp("whole"), tiny_policy)


def test_a_run_resumed_from_its_checkpoint_ends_bit_for_bit_the_same(whole, tmp_path, tiny_policy):
    resumed = run(tmp_path, tiny_policy, resume_from=whole.checkpoints[2])
    assert [untimed(r) for r in resumed.rows] == [untimed(r) for r in whole.rows if r["step"] > 2]
    for seed in (0, 1):
        for name in ("model", "optimizer"):
            file = f"seed-{seed}/{name}.safetensors"
            a = load_file(whole.checkpoints[4] / file)
            b = load_file(resumed.checkpoints[4] / file)
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a)
    last = {(r.seed, r.problem_set, r.problem_id, r.sample): r for r in resumed.evaluations}
    for row in whole.evaluations:
        if row.step == 4:
            assert last[(row.seed, row.problem_set, row.problem_id, row.sample)] == row


def test_a_resumed_run_with_nothing_left_reports_its_result_and_trains_no_step(
    whole, tmp_path, tiny_policy
):
    resumed = run(tmp_path, tiny_policy, resume_from=whole.checkpoints[4])
    assert resumed.rows == []
    ((step, latest),) = resumed.reports
    assert step == 4
    assert latest == whole.reports[-1][1]


def test_a_checkpoint_of_another_configuration_is_refused(whole, tmp_path, tiny_policy):
    other = with_overrides(CONFIG, {"objective.tau": 0.5})
    with pytest.raises(CheckpointError, match="its config_hash is"):
        run(tmp_path, tiny_policy, config=other, resume_from=whole.checkpoints[2])


def test_the_same_seed_repeats_itself_and_another_does_not(whole, tmp_path, tiny_policy):
    again = run(tmp_path, tiny_policy, seeds=(0,))
    mine = [untimed(r) for r in whole.rows if r["seed"] == 0]
    assert [untimed(r) for r in again.rows] == mine
    others = [untimed(r) | {"seed": 0} for r in whole.rows if r["seed"] == 1]
    assert mine != others


def test_every_report_carries_every_seed_and_steps_are_complete(whole):
    assert all(set(latest) == {0, 1} for _, latest in whole.reports)
    assert [step for step, _ in whole.reports] == [0, 1, 2, 3, 4]
    assert [(r["seed"], r["step"]) for r in whole.rows] == [
        (seed, step) for step in (1, 2, 3, 4) for seed in (0, 1)
    ]


def test_only_tracked_sets_are_evaluated_between_the_ends(whole):
    sets = {step: set() for step in (0, 2, 4)}
    for row in whole.evaluations:
        sets[row.step].add(row.problem_set)
    assert sets[2] == {"chain/hard"}
    assert sets[0] == sets[4] == {f"chain/{level}" for level in ("easy", "medium", "hard", "ood")}
    by_step = dict(whole.reports)
    assert "eval/chain/easy/avg@2" not in by_step[3][0]  # what was not measured is not repeated
    assert "eval/chain/hard/avg@2" in by_step[3][0]


def test_group_fractions_add_up_and_metrics_are_finite(whole):
    for row in whole.rows:
        kinds = ("valid", "all_correct", "all_wrong", "too_small", "gold_bad")
        assert sum(row[f"{kind}_fraction"] for kind in kinds) == pytest.approx(1)
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, float))
        assert row["mismatch_abs"] < 1e-4 if "mismatch_abs" in row else row["valid_fraction"] == 0


def test_a_step_without_contrast_changes_no_weight(tmp_path, tiny_policy):
    # Responses of one token hold no answer: every group is all wrong.
    config = with_overrides(CONFIG, {"rollout.max_new_tokens": 1, "train.steps": 2})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    assert all(row["all_wrong_fraction"] == 1 for row in recorder.rows)
    assert all("loss" not in row for row in recorder.rows)
    before = load_file(tiny_policy / "model.safetensors")
    after = load_file(recorder.checkpoints[2] / "seed-0" / "model.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_refilling_asks_for_fresh_prompts_up_to_its_cap(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"rollout.refill_rounds": 2, "train.steps": 1})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    plain = run(tmp_path / "plain", tiny_policy, with_overrides(CONFIG, {"train.steps": 1}), (0,))
    assert recorder.rows[0]["tokens"] > plain.rows[0]["tokens"]


def test_a_run_that_is_asked_to_stop_ends_at_that_report(tmp_path, tiny_policy, monkeypatch):
    monkeypatch.setattr(Recorder, "stop_requested", lambda self: self.reports[-1][0] >= 2)
    recorder = run(tmp_path, tiny_policy, seeds=(0,))
    assert [step for step, _ in recorder.reports] == [0, 1, 2]
    assert [row["step"] for row in recorder.rows] == [1, 2]


def test_grpo_trains_by_the_same_loop(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"objective.name": "grpo", "train.steps": 2})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    assert any("clip_fraction_high" in row for row in recorder.rows)


@pytest.mark.slow
def test_training_raises_the_reward(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    policy = prepare_policy(PolicyConfig(warm_start_steps=700))
    config = with_overrides(
        EMBEDDED,
        {
            "train.steps": 40,
            "update.learning_rate": 5e-4,
            "evaluation.every": 40,
            "evaluation.problems_per_set": 4,
            "evaluation.samples": 2,
        },
    )
    rewards = [row["reward"] for row in run(tmp_path / "run", policy, config, (0,)).rows]
    first, last = sum(rewards[:8]) / 8, sum(rewards[-8:]) / 8
    assert last > first + 0.15, rewards
