"""Configuration: every mistake is named, with its fix, before anything runs."""

import json
import subprocess
import sys

import pytest
from field_docs import field_docs

from conspo_study.config import (
    ConfigError,
    ConSPOOptions,
    GRPOOptions,
    RunConfig,
    config_hash,
    flatten,
    parse_assignments,
    parse_config,
    with_overrides,
)


def problems(overrides):
    with pytest.raises(ConfigError) as caught:
        with_overrides(RunConfig(), overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"objective.tua": 1}, "objective.tua: unknown setting (did you mean objective.tau?)"),
        ({"group_size": 8}, "group_size: unknown setting (did you mean rollout.group_size?)"),
        ({"rollout.groupsize": 8}, "did you mean rollout.group_size?"),
        ({"objective.tau": 0}, "objective.tau = 0: should be greater than 0"),
        ({"objective.tau": -1}, "objective.tau = -1: should be greater than 0"),
        ({"objective.alpha": 0}, "objective.alpha = 0: should be greater than 0"),
        ({"objective.margin": -0.1}, "objective.margin = -0.1: should be greater than or equal"),
        ({"rollout.group_size": 1}, "rollout.group_size = 1: should be greater than or equal to 2"),
        ({"rollout.max_new_tokens": 0}, "rollout.max_new_tokens = 0"),
        ({"rollout.top_p": 0.9}, "rollout.top_p: unknown setting"),
        ({"update.learning_rate": "fast"}, "update.learning_rate = 'fast'"),
        ({"update.learning_rate": float("nan")}, "finite"),
        ({"objective.name": "conspoo"}, "unknown objective 'conspoo'; known: "),
        ({"objective.name": "grpo", "objective.tau": 1}, "objective.tau: unknown setting"),
        ({"train.workers": 3}, "not a multiple of train.workers 3"),
        ({"rollout.top_k": 20}, "rollout.top_k: unknown setting"),
        ({"rollout.engine": "vlm"}, "rollout.engine = 'vlm'"),
        ({"rollout.ahead": True, "rollout.refill_rounds": 1}, "set refill_rounds=0 or ahead=false"),
        ({"rollout.vllm_colocated": True, "rollout.vllm_gpus": 1}, "set vllm_gpus=0"),
        ({"rollout.engine": "vllm", "rollout.vllm_gpus": 1}, "need train.gpus_per_worker=1"),
        ({"rollout.engine": "vllm", "train.gpus_per_worker": 1}, "vllm_colocated=true (the w"),
        ({"policy.attention": "flash_attention_2"}, "set policy.attention=sdpa"),
        ({"policy.attention": "flash"}, "should be 'sdpa' or 'eager'"),
        (
            {"train.gpus_per_worker": 0.5, "train.workers": 2},
            "set train.gpus_per_worker=1, or train.workers=1 and rollout.vllm_gpus=0",
        ),
        (
            {
                "rollout.engine": "vllm",
                "rollout.vllm_colocated": True,
                "train.gpus_per_worker": 0.5,
            },
            "set rollout.vllm_gpu_memory below 0.5",
        ),
        ({"train.gpus_per_worker": 2}, "less than or equal to 1"),
        ({"data.template": "solve it"}, "must contain {problem}"),
        ({"evaluation.sets": ["chain/easy", "chain/easy"]}, "each once"),
        ({"evaluation.tracked": ["chain/hardest"]}, "chain/hardest"),
        ({"evaluation.final_problems": 95}, "fewer than the 96 of problems_per_set: raise it"),
    ],
)
def test_a_bad_setting_is_named_with_its_fix(overrides, message):
    assert any(message in line for line in problems(overrides)), problems(overrides)


def test_all_problems_are_listed_at_once():
    found = problems({"objective.tau": 0, "rollout.group_size": 1, "update.learning_rat": 1})
    assert len(found) == 3


@pytest.mark.parametrize("objective", [ConSPOOptions(tau=0.1), GRPOOptions(clip_high=0.28)])
def test_json_round_trip_keeps_every_setting(objective):
    config = RunConfig(objective=objective)
    again = parse_config(json.loads(config.model_dump_json()))
    assert again == config
    assert type(again.objective) is type(objective)
    assert config_hash(again) == config_hash(config)


def test_hash_ignores_key_order_and_sees_every_setting():
    config = RunConfig()
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    changed = {
        "objective.tau": 9.0,
        "update.grad_clip": 0.5,
        "train.steps": 81,
        "data.template": "{problem} ",
    }
    hashes = {config_hash(with_overrides(config, {k: v})) for k, v in changed.items()}
    assert len(hashes | {config_hash(config)}) == len(changed) + 1


def test_the_hash_of_the_defaults_is_stable_between_processes():
    code = "from conspo_study.config import *; print(config_hash(RunConfig()))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert runs == {config_hash(RunConfig()) + "\n"}


def test_assignments_are_json_or_text():
    assert parse_assignments(["a.b=0.5", "a.c=chain", "a.d=[1, 2]", "a.e=x=y", "a.f=true"]) == {
        "a.b": 0.5,
        "a.c": "chain",
        "a.d": [1, 2],
        "a.e": "x=y",
        "a.f": True,
    }
    with pytest.raises(ConfigError, match=r"'nonsense' is not of the form stage.field=value"):
        parse_assignments(["nonsense"])


def test_another_objective_starts_from_its_own_defaults():
    config = with_overrides(
        RunConfig(objective=ConSPOOptions(tau=0.1)),
        {"objective.name": "grpo", "objective.clip_high": 0.3},
    )
    assert config.objective == GRPOOptions(clip_high=0.3)


def test_every_setting_is_documented():
    for stage in RunConfig.model_fields:
        own = type(getattr(RunConfig(), stage))
        assert own.model_fields.keys() <= field_docs(own).keys(), stage


@pytest.mark.parametrize(("given", "written"), [(0, "0"), (1.0, "1"), (0.25, "0.25")])
def test_whole_gpus_are_written_as_they_were_before_there_were_shares(given, written):
    config = with_overrides(RunConfig(), {"train.gpus_per_worker": given})
    assert f'"gpus_per_worker":{written},' in config.model_dump_json()
    assert json.dumps(config.model_dump(mode="json")["train"]["gpus_per_worker"]) == written
    assert parse_config(json.loads(config.model_dump_json())) == config


def test_the_dtype_of_a_cpu_is_written_as_it_was_before_there_was_an_automatic_one():
    config = RunConfig()
    assert config.rollout.vllm_dtype == "auto"
    assert flatten(config)["rollout.vllm_dtype"] == "float32"
    on_gpu = {"train.gpus_per_worker": 1, "policy.precision": "bfloat16", "rollout.engine": "vllm"}
    on_gpu["rollout.vllm_colocated"] = True
    moved = with_overrides(config, on_gpu)
    assert (moved.rollout.vllm_dtype, moved.sampling_dtype) == ("auto", "bfloat16")
    assert flatten(moved)["rollout.vllm_dtype"] == "auto"
    exact = with_overrides(config, on_gpu | {"rollout.vllm_dtype": "float32"})
    assert exact.sampling_dtype == "float32" and parse_config(exact.model_dump()) == exact


def test_flatten_and_overrides_are_inverse():
    config = RunConfig()
    flat = flatten(config)
    assert with_overrides(config, flat) == config
    assert flat["objective.tau"] == 10.0


def test_a_model_is_not_divided_over_a_single_worker():
    with pytest.raises(ConfigError, match="divides the model over workers, but"):
        with_overrides(RunConfig(), {"train.sharding": "fsdp"})
    with_overrides(RunConfig(), {"train.sharding": "fsdp", "train.workers": 2})
