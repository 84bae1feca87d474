"""TRL's own trainer with an objective of this package: its gradients."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("trl") is None:
    pytest.skip("TRL is not installed", allow_module_level=True)

import trl_runs
from exact_models import exact
from trl import GRPOTrainer
from trl_runs import (
    LIMIT,
    SHARP,
    START,
    cosine,
    error,
    house_gradient,
    relative_error,
    rows_of,
    trained,
    words_tokenizer,
)

from conspo_study.integrations.trl import with_objective
from conspo_study.objective import Progress

pytestmark = pytest.mark.integrations

UPDATES = {
    "per_device_train_batch_size": 6,
    "gradient_accumulation_steps": 2,
    "steps_per_generation": 4,
    "num_iterations": 2,
    "max_steps": 4,
    "learning_rate": 0.03,
}
"""Four updates on one batch of four micro-batches."""


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
        ("dppo", {"divergence": "kl"}, {"loss_type": "dapo"}),
        ("vespo", {}, {"loss_type": "vespo"}),
        ("luspo", {}, {"loss_type": "luspo"}),
        ("rloo", {}, {"loss_type": "grpo"}),
        ("maxrl", {}, {"loss_type": "dapo"}),
        ("reinforce", {}, {"loss_type": "dr_grpo"}),
        ("dro", {"beta": 0.05}, {"loss_type": "cispo"}),
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


def test_of_several_generation_batches_in_an_update_each_counts_the_same(tmp_path):
    trainer = trained(
        with_objective(GRPOTrainer, "conspo", **SHARP),
        tmp_path,
        per_device_train_batch_size=6,
        gradient_accumulation_steps=4,
        steps_per_generation=2,
    )
    assert len(trainer.batches) == 2
    weights = trainer.gradients.weights[0]
    of_batches = [
        house_gradient(weights, rows_of(batch), correct, 6, "conspo", SHARP, START)
        for batch, correct in zip(trainer.batches, trainer.verdicts, strict=True)
    ]
    assert relative_error(trainer.gradients.updates[0], sum(of_batches) / 2) <= LIMIT


@pytest.mark.parametrize("changed", [{}, {"num_iterations": 2, "learning_rate": 0.01}])
def test_evaluation_and_checkpoints_are_those_of_trl(changed, tmp_path):
    prompts = trl_runs.Dataset.from_dict({"prompt": trl_runs.PROMPTS[:2]})
    trainer = trained(
        with_objective(GRPOTrainer, "conspo", **SHARP),
        tmp_path,
        eval_dataset=prompts,
        per_device_train_batch_size=6,
        per_device_eval_batch_size=6,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        max_steps=2,
        **changed,
    )
    evaluated = [logged for logged in trainer.state.log_history if "eval_reward" in logged]
    assert len(evaluated) == 2
    assert not any(name.startswith("eval_objective/") for name in evaluated[0])
    assert (tmp_path / "checkpoint-2" / "model.safetensors").exists()
    assert "conspo" in (tmp_path / "README.md").read_text()


def test_adapters_get_the_gradient_that_a_trainer_of_their_own_would_give_them(tmp_path):
    """LoRA is TRL's: its advantages are those of the whole model, which the adapters start as."""
    from peft import LoraConfig

    runs = []
    for adapters in ({}, {"peft_config": LoraConfig(target_modules=["q_proj"], r=2)}):
        trainer = trained(
            with_objective(GRPOTrainer, "conspo", **SHARP),
            tmp_path,
            per_device_train_batch_size=24,
            **adapters,
        )
        runs.append(trainer)
    rows = [rows_of(trainer.batches[0]) for trainer in runs]
    assert [r.tolist() for _, r in rows[0]] == [r.tolist() for _, r in rows[1]]
    advantages = [trainer.batches[0]["advantages"] for trainer in runs]
    torch.testing.assert_close(*advantages, rtol=1e-5, atol=1e-6)
    trained_ones = [name for name, p in runs[1].model.named_parameters() if p.requires_grad]
    assert trained_ones
    assert all("lora" in name for name in trained_ones)


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
    trl_runs.on_two_processes(tmp_path, given)
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
