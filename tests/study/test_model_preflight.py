"""One question before a study starts: can its model be trained and sampled?"""

import subprocess
import sys
import time

import pytest
import torch
from decoder_families import tiny
from model_folders import edit_config, edit_weights, save_model, stranger
from tiny_models import random_model

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.policy.load import load_policy
from conspo_study.rollout.engine import PolicyWeights, PromptRefused, Sampling
from conspo_study.study import model_preflight
from conspo_study.study.model_preflight import (
    model_problems,
    positions_problem,
    prompts_problem,
    read_config,
)
from conspo_study.training.engines import rollout_engines
from conspo_study.training.prepare import prepare_policy


def configured(folder, **settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return with_overrides(QUICK, {"policy.model": str(folder)} | changes)


def test_the_embedded_model_passes_in_a_moment():
    folder = prepare_policy(QUICK.policy)
    model_problems(QUICK, folder)  # imports
    start = time.process_time()
    assert model_problems(QUICK, folder) == []
    assert time.process_time() - start < 2


def test_damaged_files_are_told_without_importing_pytorch(tmp_path):
    folder = save_model(tmp_path)
    (folder / "model.safetensors").write_bytes(b"")
    code = (
        "import sys; from pathlib import Path; from conspo_study.definition.presets import QUICK; "
        "from conspo_study.study.model_preflight import model_problems; "
        f"print(*model_problems(QUICK, Path({str(folder)!r}))); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, imported = run.stdout.splitlines()
    assert "model.safetensors is empty" in told and imported == "False"


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    folder = save_model(tmp_path)
    edit_weights(folder, lambda w: {k: v for k, v in w.items() if "layers.1.mlp" not in k})
    edit_config(folder, vocab_size=60)
    problems = model_problems(configured(folder, policy__lora_rank=2), folder)
    assert len(problems) == 3 and all("\n" not in problem for problem in problems)
    for part in ("3 of the model's 21", "[62, 32] in the weights and [60, 32]", "no embedding for"):
        assert sum(part in problem for problem in problems) == 1


def not_finite(weights):
    weights["lm_head.weight"][1, 1] = float("nan")
    return weights


def test_weights_of_a_small_model_are_read_and_of_a_large_one_left_to_the_worker(
    tmp_path, monkeypatch
):
    folder = save_model(tmp_path)
    edit_weights(folder, not_finite)
    (problem,) = model_problems(configured(folder), folder)
    assert "weights are not finite: lm_head.weight" in problem
    monkeypatch.setattr(model_preflight, "LOADED_BYTES", 0)
    assert model_problems(configured(folder), folder) == []


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"policy__lora_rank": 2, "policy__lora_targets": ("c_attn",)}, "no linear layers called"),
        ({"policy__gradient_checkpointing": True, "policy__attention": "eager"}, None),
    ],
)
def test_settings_that_do_not_fit_the_model_are_told(settings, pattern, tmp_path):
    folder = save_model(tmp_path)
    problems = model_problems(configured(folder, **settings), folder)
    assert len(problems) == (pattern is not None)
    assert pattern is None or pattern in problems[0]


def told(config, folder):
    notes = []
    assert model_problems(config, folder, notes.append) == []
    return notes


def test_slower_ways_that_a_model_needs_are_told(tmp_path):
    assert told(configured(folder := save_model(tmp_path / "fast")), folder) == []
    windows = random_model("Mistral", sliding_window=4)
    assert told(configured(folder := save_model(tmp_path / "windows", windows)), folder) == []
    folder = save_model(tmp_path / "slow", tiny("mamba"))
    eager = {"policy__attention": "eager"}
    scored, decoded = told(configured(folder, **eager), folder)
    assert scored == "MambaForCausalLM: scored row by row, since its rollouts cannot be packed"
    assert "decoded by reading each row anew" in decoded
    assert told(configured(folder, rollout__engine="vllm", **eager), folder) == [scored]


def test_a_stop_token_outside_of_the_vocabulary_is_told(tmp_path):
    folder = save_model(tmp_path)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 999]}')
    (problem,) = model_problems(configured(folder), folder)
    assert "stop tokens [999]" in problem


def test_prompt_and_response_must_fit_the_positions(tmp_path):
    folder = save_model(tmp_path, stranger("gpt2", n_positions=64))
    config = configured(folder, rollout__max_new_tokens=44, evaluation__max_new_tokens=50)
    assert model_problems(config, folder) == []
    found = read_config(config, folder)
    assert positions_problem(config, found, 14) is None
    problem = positions_problem(config, found, 15)
    assert "65 tokens" in problem and "64 positions" in problem
    assert "lower evaluation.max_new_tokens=50 to 49 at most" in problem
    assert "rollout" not in problem.partition("lower")[2]
    assert "shorter problems" in positions_problem(config, found, 64)


def test_prompts_are_known_by_their_longest_and_their_largest_token(tmp_path):
    folder = save_model(tmp_path)
    config = configured(folder)
    found = read_config(config, folder)
    assert prompts_problem(config, found, []) is None
    assert prompts_problem(config, found, [(3, 4), (61,)]) is None
    assert "token 62" in prompts_problem(config, found, [(3, 4), (3, 62)])
    assert "128 positions" in prompts_problem(config, found, [(3,), (3,) * 100])


def test_a_worker_refuses_what_the_driver_could_not_know(tmp_path):
    config = configured(save_model(tmp_path / "model"))
    model, tokenizer = load_policy(config.policy, tmp_path / "model")
    weights = PolicyWeights("seed 0", lambda: 0, lambda: model.named_parameters())
    with rollout_engines(config, tmp_path / "logs") as engine_of, torch.inference_mode():
        engine = engine_of(model, tokenizer, weights)
        with pytest.raises(PromptRefused, match="may have 129 tokens"):
            engine.generate([(3,) * 125], 1, Sampling(1.0, 4), [0])
