"""TRL's own trainer with an objective of this package: verdicts, rewards, metrics, learning."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("trl") is None:
    pytest.skip("TRL is not installed", allow_module_level=True)

from trl import GRPOTrainer
from trl_runs import (
    LIMIT,
    SHARP,
    START,
    error,
    house_gradient,
    is_even,
    relative_error,
    rows_of,
    trained,
)

from conspo_study.integrations.trl import ConSPOTrainer, with_objective

pytestmark = pytest.mark.integrations


def test_masked_responses_have_no_part_in_their_groups(tmp_path):
    """With 8 tokens most responses are cut off, which leaves them without tokens that count."""
    trainer = trained(
        with_objective(GRPOTrainer, "conspo", **SHARP),
        tmp_path,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=6,
        num_generations=12,
        mask_truncated_completions=True,
        max_completion_length=24,
    )
    lengths = [len(response) for _, response in rows_of(trainer.batches[0])]
    assert 0 in lengths
    assert trainer.batches[0]["advantages"][torch.tensor(lengths) == 0].tolist() == [
        0.0
    ] * lengths.count(0)
    assert error(trainer, "conspo", SHARP) <= LIMIT


def test_a_response_that_nobody_can_judge_has_no_part_in_its_group(tmp_path):
    def doubtful(completion_ids, **_):
        return [None if ids[0] % 5 == 0 else float(ids[0] % 2) for ids in completion_ids]

    trainer = trained(
        with_objective(GRPOTrainer, "conspo", **SHARP),
        tmp_path,
        rewards=doubtful,
        per_device_train_batch_size=24,
    )
    unjudged = trainer.rewards[:, 0].isnan()
    assert unjudged.any()
    rows = [
        (prompt, response[:0] if unjudged[i] else response)
        for i, (prompt, response) in enumerate(rows_of(trainer.batches[0]))
    ]
    expected = house_gradient(
        trainer.gradients.weights[0],
        rows,
        trainer.rewards[:, 0].nan_to_num().tolist(),
        6,
        "conspo",
        SHARP,
        START,
    )
    assert relative_error(trainer.gradients.updates[0], expected) <= LIMIT
    assert trainer.state.log_history[0]["objective/unjudged"] == pytest.approx(
        float(unjudged.double().mean())
    )


def length_bonus(completion_ids, **_):
    return [len(ids) / 10 for ids in completion_ids]


def test_of_several_rewards_one_judges_and_advantages_read_their_weighted_sum(tmp_path):
    rewards = [length_bonus, is_even]
    changed = {"reward_weights": [0.5, 1.0], "per_device_train_batch_size": 24}
    with pytest.raises(
        ValueError, match=r"2 reward functions \(length_bonus, is_even\): say which"
    ):
        trained(with_objective(GRPOTrainer), tmp_path, rewards=rewards, **changed)
    contrast = with_objective(GRPOTrainer, "conspo", judge="is_even", **SHARP)
    trainer = trained(contrast, tmp_path, rewards=rewards, **changed)
    assert error(trainer, "conspo", SHARP, correct=trainer.rewards[:, 1].tolist()) <= LIMIT
    trainer = trained(with_objective(GRPOTrainer, "grpo"), tmp_path, rewards=rewards, **changed)
    summed = (trainer.rewards.double() @ torch.tensor([0.5, 1.0], dtype=torch.float64)).tolist()
    right = [float(reward >= 0.5) for reward in summed]
    assert error(trainer, "grpo", {}, rewards=summed, correct=right) <= LIMIT


def test_graded_rewards_need_a_threshold(tmp_path):
    changed = {"rewards": length_bonus, "per_device_train_batch_size": 24}
    with pytest.raises(ValueError, match=r"such as with_objective\(\.\.\., threshold=0\.5\)"):
        trained(with_objective(GRPOTrainer, "conspo", **SHARP), tmp_path, **changed)
    trainer_class = with_objective(GRPOTrainer, "conspo", threshold=0.8, **SHARP)
    trainer = trained(trainer_class, tmp_path, **changed)
    right = (trainer.rewards[:, 0] >= 0.8).double().tolist()
    assert 0 < sum(right) < 24
    assert error(trainer, "conspo", SHARP, correct=right) <= LIMIT


@pytest.mark.parametrize("name", ["conspo", "grpo"])
def test_importance_weights_against_vllm_act_where_the_objective_reads_them(name, tmp_path):
    """A sampler that reports other log-probabilities, as vLLM would, with weights of up to 2."""

    class Sampled(with_objective(GRPOTrainer, name)):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.use_vllm = True

        def _generate_single_turn(self, *args, **kwargs):
            self.use_vllm = False
            completion_ids, _, *rest = super()._generate_single_turn(*args, **kwargs)
            self.use_vllm = True
            reported = [[-2.0 - 0.3 * (t % 3) for t in range(len(ids))] for ids in completion_ids]
            return (completion_ids, reported, *rest)

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            self.weights = output["importance_sampling_ratio"]
            return output

    trainer = trained(
        Sampled,
        tmp_path,
        per_device_train_batch_size=24,
        vllm_importance_sampling_mode="token_truncate",
    )
    assert (trainer.weights == 1).all()
    if name == "conspo":
        assert error(trainer, name, {}) <= LIMIT
    else:
        assert error(trainer, name, {}) > 0.1


def test_an_objective_of_ones_own_is_named_by_its_import_path(tmp_path, monkeypatch):
    (tmp_path / "own_pull.py").write_text(
        "from typing import ClassVar\n"
        "from conspo_study.config import ObjectiveOptions\n"
        "from conspo_study.objective import ObjectiveOutput\n"
        "class Pull(ObjectiveOptions):\n"
        "    contrast: ClassVar = 'rewards'\n"
        "    strength: float = 1.0\n"
        "    def loss(self, batch, progress):\n"
        "        mean_Q = batch.group_sum(batch.rewards_B) / batch.sizes_Q\n"
        "        pull_B = batch.rewards_B - mean_Q[batch.group_B]\n"
        "        scores_B = batch.rollout_sum(batch.logprobs_T ** 3)\n"
        "        return ObjectiveOutput(-self.strength * (pull_B * scores_B).mean(), {})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    trainer_class = with_objective(GRPOTrainer, "own_pull:Pull", strength=2.0)
    trainer = trained(
        trainer_class,
        tmp_path,
        rewards=length_bonus,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=8,
    )
    rewards = trainer.rewards[:, 0].double().tolist()
    right = [float(reward >= 0.5) for reward in rewards]
    settings = {"strength": 2.0}
    assert error(trainer, "own_pull:Pull", settings, rewards=rewards, correct=right) <= LIMIT


def test_metrics_stand_among_those_of_trl(tmp_path):
    trainer = trained(ConSPOTrainer, tmp_path, per_device_train_batch_size=24, log_completions=True)
    logged = trainer.state.log_history[0]
    assert 0 < logged["objective/valid_groups"] <= 1
    assert logged["objective/correct"] == pytest.approx(logged["reward"])
    assert 0 < logged["objective/push"] < 1
    assert logged["objective/credit_max"] >= logged["objective/credit_abs"] > 0
    gap = logged["objective/score_positive"] - logged["objective/score_negative"]
    assert logged["objective/score_gap"] == pytest.approx(gap)
    advantages = trainer.batches[0]["advantages"].tolist()
    assert list(trainer._logs["advantages"]) == pytest.approx(advantages)


def is_rare(completion_ids, **_):
    """Right is a response whose first token is one of eight."""
    return [float(ids[0] % 8 == 0) for ids in completion_ids]


def test_a_run_learns(tmp_path):
    trainer = trained(
        with_objective(GRPOTrainer, "conspo", tau=1.0),
        tmp_path,
        rewards=is_rare,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=2,
        num_generations=8,
        max_completion_length=2,
        max_steps=25,
        learning_rate=0.01,
        lr_scheduler_type="constant",
    )
    rewards = [logged["reward"] for logged in trainer.state.log_history if "reward" in logged]
    assert len(rewards) == 25
    assert rewards[0] < 0.5
    assert sum(rewards[-5:]) / 5 > 0.9
