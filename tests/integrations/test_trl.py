"""TRL's own trainer with an objective of this package: gradients, metrics, and that it learns."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

if importlib.util.find_spec("trl") is None:
    pytest.skip("TRL is not installed", allow_module_level=True)

import trl_runs
from exact_models import exact
from trl import GRPOTrainer
from trl_runs import (
    cosine,
    house_gradient,
    is_even,
    relative_error,
    rows_of,
    trained,
    words_tokenizer,
)

from conspo_study.integrations.trl import ConSPOTrainer, with_objective
from conspo_study.objective import Progress

pytestmark = pytest.mark.integrations

SHARP = {"tau": 0.5, "margin": 0.3, "alpha": 1.0}
LIMIT = 1e-6
"""Relative error of a gradient. The models are float64, but their norms compute in float32."""
START = Progress(0, 1)
UPDATES = {
    "per_device_train_batch_size": 6,
    "gradient_accumulation_steps": 2,
    "steps_per_generation": 4,
    "num_iterations": 2,
    "max_steps": 4,
    "learning_rate": 0.03,
}
"""Four updates on one batch of four micro-batches."""


def error(trainer, name, settings, *, rewards=None, correct=None, old=None):
    """Of the first update, whose generation batch is the whole of it."""
    correct = trainer.rewards[:, 0].tolist() if correct is None else correct
    expected = house_gradient(
        trainer.gradients.weights[0],
        rows_of(trainer.batches[0]),
        correct,
        trainer.args.num_generations,
        name,
        settings,
        START,
        rewards=rewards,
        old=old,
        limit=trainer.args.max_completion_length,
    )
    return relative_error(trainer.gradients.updates[0], expected)


@pytest.mark.parametrize("rows", [3, 6, 24])
def test_the_gradient_is_exact_in_shuffled_micro_batches(rows, tmp_path):
    trainer_class = with_objective(GRPOTrainer, "conspo", **SHARP, schedule="constant")
    trainer = trained(
        trainer_class,
        tmp_path,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=24 // rows,
    )
    assert error(trainer, "conspo", {**SHARP, "schedule": "constant"}) <= LIMIT


@pytest.mark.parametrize(
    ("name", "settings", "loss"),
    [
        ("conspo", SHARP, {"loss_type": "grpo"}),
        ("conspo_linear", {}, {"loss_type": "luspo", "importance_sampling_level": "sequence"}),
        ("conspo_clipped_ratio", {"tau": 0.5}, {"loss_type": "cispo"}),
        ("disco", {}, {"loss_type": "dr_grpo"}),
        ("grpo", {}, {"loss_type": "vespo"}),
        ("dapo", {}, {"loss_type": "sapo"}),
        ("dr_grpo", {}, {"loss_type": "dapo"}),
        ("gmpo", {}, {"loss_type": "luspo"}),
        ("gspo", {}, {"loss_type": "grpo"}),
        ("cispo", {}, {"loss_type": "cispo", "epsilon_high": 5.0}),
        ("sapo", {}, {"loss_type": "dr_grpo"}),
    ],
)
def test_every_objective_has_its_gradient_under_every_loss_of_trl(name, settings, loss, tmp_path):
    trainer = trained(
        with_objective(GRPOTrainer, name, **settings),
        tmp_path,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=4,
        prompts=trl_runs.PROMPTS[:2],
        **loss,
    )
    assert error(trainer, name, settings) <= LIMIT


def test_conspo_written_into_a_loss_is_wrong_where_a_micro_batch_breaks_a_group(tmp_path):
    """What the credits are for: nothing complains about this one."""

    class Naive(GRPOTrainer):
        def _compute_loss(self, model, inputs):
            mask = inputs["completion_mask"]
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
            seen = torch.cat([inputs["prompt_mask"], mask], 1)
            logprobs = self._get_per_token_logps_and_entropies(model, ids, seen, mask.size(1))[0]
            scores = (logprobs * mask).sum(1) / mask.sum(1)
            right = inputs["advantages"] > 0
            if right.all() or not right.any():
                return scores.sum() * 0
            negatives = torch.logsumexp(scores[~right] / 0.5, 0)
            gains = torch.nn.functional.logsigmoid(scores[right] / 0.5 - negatives)
            return -0.5 * gains.mean() / self.current_gradient_accumulation_steps

    settings = {"tau": 0.5, "schedule": "off"}
    trainer = trained(Naive, tmp_path, per_device_train_batch_size=3, gradient_accumulation_steps=8)
    expected = house_gradient(
        trainer.gradients.weights[0],
        rows_of(trainer.batches[0]),
        trainer.rewards[:, 0].tolist(),
        6,
        "conspo",
        settings,
        START,
    )
    naive = trainer.gradients.updates[0]
    assert relative_error(naive, expected) > 0.5
    assert cosine(naive, expected) < 0.9


@pytest.mark.parametrize(
    ("name", "settings", "changed"),
    [
        ("conspo", {**SHARP, "margin": 1.0}, {}),
        ("conspo", SHARP, {"loss_type": "bnpo", "num_iterations": 1, "steps_per_generation": 8}),
        ("grpo", {}, {"loss_type": "grpo"}),
        ("disco", {"kl_penalty": 100.0}, {"gradient_accumulation_steps": 1}),
    ],
)
def test_several_updates_on_a_batch_each_have_the_exact_gradient(name, settings, changed, tmp_path):
    settings_of_trl = UPDATES | changed
    trainer = trained(
        with_objective(GRPOTrainer, name, **settings),
        tmp_path,
        prompts=[*trl_runs.PROMPTS, "t20", "t21 t22", "t23", "t24"],
        **settings_of_trl,
    )
    assert len(trainer.batches) == 1
    parts = settings_of_trl["steps_per_generation"]
    window = settings_of_trl["gradient_accumulation_steps"]
    rows, correct = rows_of(trainer.batches[0]), trainer.rewards[:, 0].tolist()
    at = trainer.gradients
    for update in range(4):
        first = update * window % parts
        its_rows = slice(first * 6, (first + window) * 6)
        expected = house_gradient(
            at.weights[update],
            rows[its_rows],
            correct[its_rows],
            6,
            name,
            settings,
            Progress(update, 4),
            old=at.weights[0],
        )
        assert relative_error(at.updates[update], expected) <= LIMIT
    assert not torch.equal(at.updates[0], at.updates[2])


def test_frozen_credits_go_stale_over_several_updates(tmp_path):
    """The reason for the exact form: gradients at two updates on the same rows differ."""
    trainer = trained(with_objective(GRPOTrainer, "conspo", **SHARP), tmp_path, **UPDATES)
    rows, correct = rows_of(trainer.batches[0]), trainer.rewards[:, 0].tolist()
    at = [trainer.gradients.weights[i] for i in (0, 2)]
    fresh = [
        house_gradient(weights, rows[:12], correct[:12], 6, "conspo", SHARP, Progress(2, 4))
        for weights in at
    ]
    assert relative_error(*fresh) > 0.05


def test_on_two_processes_groups_may_lie_across_them(tmp_path):
    """Rows of 3 and groups of 4: the second group has rows on both, as have the others."""
    given = {
        "credits": {
            "objective": {"objective": "conspo", **SHARP},
            "per_device_train_batch_size": 3,
            "gradient_accumulation_steps": 2,
            "num_generations": 4,
        },
        "exact": {
            "objective": {"objective": "grpo"},
            "per_device_train_batch_size": 6,
            "num_generations": 4,
            "num_iterations": 2,
            "max_steps": 2,
            "learning_rate": 0.03,
        },
    }
    script = Path(trl_runs.__file__)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    paths = os.pathsep.join([str(script.parents[2]), str(script.parent)])
    runs = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), json.dumps(given)],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    errors = [run.communicate(timeout=300)[1][-3000:] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    for name, objective, settings in (("credits", "conspo", SHARP), ("exact", "grpo", {})):
        ranks = trl_runs.of_ranks(tmp_path / name, 2)
        assert torch.equal(ranks[0]["gradient0"], ranks[1]["gradient0"])
        rows = [row for rank in ranks for row in rows_of(rank)]
        assert len(rows) == 12
        correct = ranks[0]["rewards"][:, 0].tolist()
        weights = [
            trl_runs.weights_of(ranks[0], update)
            for update in range(given[name].get("max_steps", 1))
        ]
        for update, its_weights in enumerate(weights):
            expected = house_gradient(
                its_weights,
                rows,
                correct,
                4,
                objective,
                settings,
                Progress(update, len(weights)),
                old=weights[0],
            )
            assert relative_error(ranks[0][f"gradient{update}"], expected) <= LIMIT


def test_kl_is_added_as_trl_adds_it(tmp_path):
    beta, settings = 0.5, {**SHARP, "schedule": "off"}
    trl_runs.exact_model("Llama").save_pretrained(tmp_path / "reference")
    words_tokenizer().save_pretrained(tmp_path / "reference")

    class Exact(with_objective(GRPOTrainer, "conspo", **settings)):
        def __init__(self, model, *args, **kwargs):
            model.config.name_or_path = str(tmp_path / "reference")
            super().__init__(model, *args, **kwargs)
            exact(self.ref_model).load_state_dict(model.state_dict())

    trainer = trained(
        Exact,
        tmp_path,
        per_device_train_batch_size=24,
        num_iterations=2,
        max_steps=2,
        learning_rate=0.03,
        beta=beta,
        use_bias_correction_kl=False,
        loss_type="grpo",
    )
    rows, correct = rows_of(trainer.batches[0]), trainer.rewards[:, 0].tolist()
    at = trainer.gradients
    of_objective = house_gradient(at.weights[1], rows, correct, 6, "conspo", settings, START)
    model = trl_runs.exact_model("Llama")
    model.load_state_dict(at.weights[0])
    with torch.no_grad():
        reference = [trl_runs.row_logprobs(model, *row) for row in rows]
    model.load_state_dict(at.weights[1])
    model.zero_grad()
    kls = []
    for row, of_row in zip(rows, reference, strict=True):
        moved = of_row - trl_runs.row_logprobs(model, *row)
        kls.append((moved.exp() - moved - 1).mean())
    (beta * torch.stack(kls).mean()).backward()
    expected = of_objective + trl_runs.flat_gradient(model)
    assert relative_error(at.updates[1], expected) <= LIMIT
    assert relative_error(at.updates[1], of_objective) > 1e-3


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
