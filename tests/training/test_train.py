"""The loop: resumable bit for bit, honest in its counts, and able to learn."""

import json
import math
import shutil
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from itertools import cycle
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file
from training_runs import CONFIG, LARGEST_MISMATCH, Recorder, run, untimed

from conspo_study.config import PolicyConfig, with_overrides
from conspo_study.data.arithmetic import CHAIN
from conspo_study.definition.presets import EMBEDDED
from conspo_study.records import Judgement, Verdict
from conspo_study.results.incidents import IncidentType
from conspo_study.reward.verifier import Verifier
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.bars import Bars
from conspo_study.training.loop import train
from conspo_study.training.prepare import prepare_policy
from conspo_study.update.errors import CheckpointError, NoContrastError


def test_a_step_that_refills_says_how_many_groups_it_took(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"rollout.refill_rounds": 2, "train.steps": 1})
    (row,) = run(tmp_path, tiny_policy, config=config, seeds=(0,)).rows
    assert row["refill_factor"] >= 1
    assert row["kl_entropy_ratio"] == row["mismatch_kl"] / row["entropy"]


def test_rollouts_of_other_weights_are_not_learned_from(tmp_path, tiny_policy, monkeypatch):
    generate = TransformersEngine.generate

    def stale(*arguments):
        groups = generate(*arguments)
        return [tuple(replace(r, weights_version=5) for r in group) for group in groups]

    monkeypatch.setattr(TransformersEngine, "generate", stale)
    with pytest.raises(RuntimeError, match=r"after \[5\] optimiser steps, not \[0\]"):
        run(tmp_path, tiny_policy)


def test_a_run_resumed_from_its_checkpoint_ends_bit_for_bit_the_same(whole, tmp_path, tiny_policy):
    resumed = run(tmp_path, tiny_policy, resume_from=whole.checkpoint(2))
    assert [untimed(r) for r in resumed.rows] == [untimed(r) for r in whole.rows if r["step"] > 2]
    for seed in (0, 1):
        for name in ("model", "optimizer"):
            file = f"seed-{seed}/{name}.safetensors"
            a = load_file(whole.checkpoint(4) / file)
            b = load_file(resumed.checkpoint(4) / file)
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a)
    last = {(r.seed, r.problem_set, r.problem_id, r.sample): r for r in resumed.evaluations}
    for row in whole.evaluations:
        if row.step == 4:
            assert last[(row.seed, row.problem_set, row.problem_id, row.sample)] == row
    assert resumed.asked == whole.asked, "a start after the first tells the problems, too"


@pytest.mark.skipif(
    find_spec("peft") is None, reason="peft is not installed: pip install 'conspo-study[lora]'"
)
def test_a_run_of_adapters_resumes_bit_for_bit_and_keeps_only_adapters(tmp_path, tiny_policy):
    config = with_overrides(
        CONFIG, {"policy.lora_rank": 2, "policy.gradient_checkpointing": True, "train.steps": 3}
    )
    whole = run(tmp_path / "whole", tiny_policy, config=config, seeds=(0,))
    assert any(row.get("grad_norm", 0) > 0 for row in whole.rows)
    resumed = run(tmp_path / "again", tiny_policy, config, (0,), resume_from=whole.checkpoint(2))
    assert [untimed(r) for r in resumed.rows] == [untimed(r) for r in whole.rows if r["step"] > 2]
    for name in ("adapter_model", "optimizer"):
        file = f"seed-0/{name}.safetensors"
        a, b = (load_file(done.checkpoint(3) / file) for done in (whole, resumed))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    adapters = load_file(whole.checkpoint(3) / "seed-0/adapter_model.safetensors")
    assert all(value.any() for value in adapters.values()), "fresh ones are half zeros"
    assert not (whole.checkpoint(3) / "seed-0/model.safetensors").exists()


def test_a_resumed_run_with_nothing_left_reports_its_result_and_trains_no_step(
    whole, tmp_path, tiny_policy
):
    resumed = run(tmp_path, tiny_policy, resume_from=whole.checkpoint(4))
    assert resumed.rows == []
    ((step, latest),) = resumed.reports
    assert step == 4
    assert latest == whole.reports[-1][1]


def test_a_checkpoint_of_another_configuration_is_refused(whole, tmp_path, tiny_policy):
    other = with_overrides(CONFIG, {"objective.tau": 0.5})
    with pytest.raises(CheckpointError, match="its config_hash is"):
        run(tmp_path, tiny_policy, config=other, resume_from=whole.checkpoint(2))


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


def test_named_sets_are_trained_on_and_measured_with_their_own_number_of_samples(
    tmp_path, tiny_policy
):
    chain = [CHAIN.training_problem(0, index) for index in range(6)]
    rows = [json.dumps({"id": p.id, "problem": p.text, "answer": p.answer}) for p in chain]
    (tmp_path / "gsm8k_train.jsonl").write_text("\n".join(rows))
    (tmp_path / "aime2024.jsonl").write_text("\n".join(rows[:2]))
    settings = {
        "data.train": "gsm8k-train",
        "data.folder": str(tmp_path),
        "data.on_overlap": "drop",
        "evaluation.sets": ("aime24", "chain/hard"),
        "evaluation.samples_of": {"aime24": 3},
        "evaluation.tracked": (),
        "train.steps": 1,
    }
    found = run(tmp_path, tiny_policy, with_overrides(CONFIG, settings), seeds=(0,))
    count = Counter((row.step, row.problem_set) for row in found.evaluations if row.sample >= 0)
    assert count == {(0, "aime24"): 6, (0, "chain/hard"): 8, (1, "aime24"): 6, (1, "chain/hard"): 8}
    metrics = dict(found.reports)[1][0]
    assert {"eval/aime24/avg@3", "eval/chain/hard/avg@2"} <= metrics.keys()
    assert "eval/aime24/avg@2" not in metrics


def test_group_fractions_add_up_and_metrics_are_finite(whole):
    for row in whole.rows:
        kinds = ("valid", "all_correct", "all_wrong", "too_small", "gold_bad")
        assert sum(row[f"{kind}_fraction"] for kind in kinds) == pytest.approx(1)
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, float))
        if "mismatch_max" in row:
            assert row["mismatch_max"] < LARGEST_MISMATCH
        else:
            assert row["valid_fraction"] == 0


def test_a_step_without_contrast_changes_no_weight(tmp_path, tiny_policy):
    # Responses of one token hold no answer: every group is all wrong.
    config = with_overrides(CONFIG, {"rollout.max_new_tokens": 1, "train.steps": 2})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    assert all(row["all_wrong_fraction"] == 1 for row in recorder.rows)
    assert all("loss" not in row for row in recorder.rows)
    before = load_file(tiny_policy / "model.safetensors")
    after = load_file(recorder.checkpoint(2) / "seed-0" / "model.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_refilling_asks_for_fresh_prompts_up_to_its_cap(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"rollout.refill_rounds": 2, "train.steps": 1})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    plain = run(tmp_path / "plain", tiny_policy, with_overrides(CONFIG, {"train.steps": 1}), (0,))
    assert recorder.rows[0]["tokens"] > plain.rows[0]["tokens"]


HARD = "eval/chain/hard/avg@2"


def never(direction):
    """Bars that no trial of this direction reaches, at a step that is evaluated and one that is
    not."""
    value = 2.0 if direction == "max" else -1.0
    return Bars(HARD, direction, {1: value, 2: value})


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_run_that_misses_its_bar_ends_at_that_report(tmp_path, tiny_policy, direction):
    recorder = run(tmp_path, tiny_policy, seeds=(0,), bars=never(direction))
    assert [step for step, _ in recorder.reports] == [0, 1, 2]
    assert [row["step"] for row in recorder.rows] == [1, 2]


def test_a_run_that_reaches_its_bar_exactly_goes_on(whole, tmp_path, tiny_policy):
    reached = fmean(latest[HARD] for latest in dict(whole.reports)[2].values())
    recorder = run(tmp_path, tiny_policy, bars=Bars(HARD, "max", {2: reached}))
    assert [step for step, _ in recorder.reports] == [0, 1, 2, 3, 4]


def test_a_run_killed_between_its_checkpoint_and_its_stop_stops_there_when_it_resumes(
    whole, tmp_path, tiny_policy
):
    resumed = run(tmp_path, tiny_policy, resume_from=whole.checkpoint(2), bars=never("max"))
    assert resumed.rows == []
    ((step, latest),) = resumed.reports
    assert step == 2
    assert latest == dict(whole.reports)[2]


@pytest.mark.parametrize("victim", ["seed-1/model.safetensors", "state.json", "manifest.json"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before_it(
    whole, tmp_path, tiny_policy, victim
):
    shutil.copytree(whole.checkpoints, tmp_path / "checkpoints")
    damaged = tmp_path / "checkpoints" / "checkpoint_00004"
    (damaged / victim).write_bytes((damaged / victim).read_bytes()[:-7])
    resumed = run(tmp_path, tiny_policy)
    ((kind, detail),) = resumed.incidents
    assert kind == IncidentType.CHECKPOINT_DAMAGED and "checkpoint_00004" in detail
    assert [step for step, _ in resumed.reports] == [2, 3, 4]
    assert untimed(resumed.reports[-1][1][0]) == untimed(whole.reports[-1][1][0])
    assert damaged.with_suffix(".damaged").is_dir()
    assert set(names(resumed)) == {
        "checkpoint_00002",
        "checkpoint_00004",
        damaged.stem + ".damaged",
    }


def test_without_a_good_checkpoint_training_begins_again_and_says_so(whole, tmp_path, tiny_policy):
    shutil.copytree(whole.checkpoints, tmp_path / "checkpoints")
    for step in (2, 4):
        (tmp_path / f"checkpoints/checkpoint_{step:05d}/manifest.json").unlink()
    again = run(tmp_path, tiny_policy)
    assert [kind for kind, _ in again.incidents] == [
        IncidentType.CHECKPOINT_DAMAGED,
        IncidentType.CHECKPOINT_DAMAGED,
        IncidentType.RESTARTED_FROM_SCRATCH,
    ]
    assert [untimed(row) for row in again.rows] == [untimed(row) for row in whole.rows]


def names(recorder):
    return sorted(path.name for path in recorder.checkpoints.iterdir())


def test_only_the_last_two_checkpoints_are_kept(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"train.checkpoint_every": 1})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    assert names(recorder) == ["checkpoint_00003", "checkpoint_00004"]


def test_a_run_without_contrast_fails_with_the_count_also_when_it_was_resumed(
    tmp_path, tiny_policy
):
    # Responses of one token hold no answer: every group is all wrong.
    limits = {"rollout.max_new_tokens": 1, "train.max_steps_without_contrast": 3}
    config = with_overrides(CONFIG, limits)
    recorder = Recorder(tmp_path)
    arguments = {"policy_folder": tiny_policy, "checkpoints": recorder.checkpoints}
    with pytest.raises(NoContrastError, match="all correct/all wrong for 3 steps in a row"):
        train(config, (0,), recorder, **arguments)
    assert [row["step"] for row in recorder.rows] == [1, 2, 3]
    assert recorder.total[IncidentType.DEGENERATE_STEP] == (3, "seed 0: 3")
    resumed = Recorder(tmp_path)
    with pytest.raises(NoContrastError, match="for 3 steps"):
        train(config, (0,), resumed, **arguments)
    assert [row["step"] for row in resumed.rows] == [3]
    assert resumed.total == recorder.total


def test_a_policy_that_is_always_right_does_not_fail_for_want_of_contrast(
    tmp_path, tiny_policy, monkeypatch
):
    monkeypatch.setattr(
        Verifier, "judge", lambda self, answered: [Judgement(Verdict.CORRECT)] * len(answered)
    )
    config = with_overrides(CONFIG, {"train.max_steps_without_contrast": 2})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    assert [row["all_correct_fraction"] for row in recorder.rows] == [1.0] * 4
    assert recorder.total[IncidentType.DEGENERATE_STEP] == (4, "seed 0: 4")


def test_lost_checks_are_counted_over_the_whole_run(tmp_path, tiny_policy, monkeypatch):
    verdicts = cycle([Verdict.TIMEOUT, Verdict.KILLED, Verdict.KILLED])
    monkeypatch.setattr(
        Verifier, "judge", lambda self, answered: [Judgement(next(verdicts)) for _ in answered]
    )
    recorder = run(tmp_path, tiny_policy, seeds=(0,))
    timeouts, _ = recorder.total[IncidentType.VERIFIER_TIMEOUT]
    killed, _ = recorder.total[IncidentType.VERIFIER_KILLED]
    rollouts = 4 * 4 * 4
    assert timeouts + killed == rollouts + len(recorder.evaluations)
    assert killed == pytest.approx(2 * timeouts, abs=2)


def test_grpo_trains_by_the_same_loop(tmp_path, tiny_policy):
    config = with_overrides(CONFIG, {"objective.name": "grpo", "train.steps": 2})
    recorder = run(tmp_path, tiny_policy, config=config, seeds=(0,))
    assert any("clip_fraction_high" in row for row in recorder.rows)


@pytest.mark.slow
def test_training_raises_the_reward(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    policy = prepare_policy(PolicyConfig())
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
