"""Settings and environment of engine processes."""

import pytest
import torch
from tiny_models import random_model

from conspo_study.config import RunConfig, with_overrides
from conspo_study.policy.weights import architecture_folder
from conspo_study.rollout.weight_backends import BROADCAST, SHARED_GPU, SHARED_MEMORY
from conspo_study.rollout.weight_gpu import BroadcastChannel, SharedGpuChannel
from conspo_study.rollout.weight_memory import SharedMemoryChannel
from conspo_study.training import engines

ON_CPU = {"rollout.engine": "vllm"}
OWN = ON_CPU | {"train.gpus_per_worker": 1, "rollout.vllm_gpus": 2, "rollout.vllm_engines": 2}
SHARED = ON_CPU | {"train.gpus_per_worker": 1, "rollout.vllm_colocated": True}
BFLOAT16 = {"policy.precision": "bfloat16"}


def configured(*settings):
    return with_overrides(RunConfig(), {k: v for one in settings for k, v in one.items()})


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ([ON_CPU, BFLOAT16], "float32"),
        ([ON_CPU, {"rollout.vllm_dtype": "bfloat16"}], "bfloat16"),
        ([OWN], "float32"),
        ([OWN, BFLOAT16], "bfloat16"),
        ([SHARED, BFLOAT16, {"rollout.vllm_dtype": "float16"}], "float16"),
        ([BFLOAT16], "bfloat16"),
        ([BFLOAT16, {"rollout.vllm_dtype": "float16"}], "bfloat16"),  # that of another engine
    ],
)
def test_an_engine_on_a_gpu_computes_like_its_trainer(settings, dtype, tmp_path):
    config = configured(*settings)
    assert config.sampling_dtype == dtype
    if config.rollout.engine == "vllm":
        found = engines.vllm_settings(config, tmp_path, 640)
        assert found["options"]["dtype"] == dtype and found["model"] == str(tmp_path)
        assert engines._channel(config)._dtype is getattr(torch, dtype)


@pytest.mark.parametrize(
    ("settings", "backend", "channel"),
    [
        (ON_CPU, SHARED_MEMORY, SharedMemoryChannel),
        (OWN, BROADCAST, BroadcastChannel),
        (SHARED, SHARED_GPU, SharedGpuChannel),
    ],
)
def test_both_sides_of_a_transfer_are_of_one_kind(settings, backend, channel, tmp_path):
    config = configured(settings)
    assert engines.vllm_settings(config, tmp_path, None)["backend"] == backend
    assert type(engines._channel(config)) is channel


@pytest.mark.parametrize(
    ("settings", "gpus", "visible"),
    [
        (OWN, ["3", "0", "2", "1", "5"], ["0,2", "1,5"]),
        (SHARED, ["6"], ["6"]),
        (
            SHARED | {"train.gpus_per_worker": 0.5, "rollout.vllm_gpu_memory": 0.2},
            ["4"],
            ["4"],
        ),
    ],
)
def test_engines_see_their_gpus_and_the_trainer_s_only_if_they_share_it(
    settings, gpus, visible, monkeypatch
):
    monkeypatch.setattr(engines, "own_gpus", lambda: gpus)
    config = configured(settings)
    found = [engines._environment(config, number) for number in range(len(visible))]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in found] == visible
    # vLLM chooses the model runner, unless the environment of the study does.
    assert all("VLLM_USE_V2_MODEL_RUNNER" not in variables for variables in found)


def test_without_a_gpu_the_model_runner_is_the_one_for_cpus():
    variables = engines._environment(configured(ON_CPU), 0)
    assert variables["VLLM_USE_V2_MODEL_RUNNER"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in variables


def test_an_architecture_has_one_folder_whatever_its_weights(monkeypatch, tmp_path):
    """What vLLM has compiled for one engine then serves all of them."""
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path))
    first, again, other = (
        architecture_folder(random_model("Qwen2", seed, tie_word_embeddings=tied))
        for seed, tied in ((0, True), (1, True), (0, False))
    )
    assert first == again != other
    files = sorted(path.name for path in first.iterdir())
    assert files == ["config.json", "manifest.json"]
    assert '"Qwen2ForCausalLM"' in (first / "config.json").read_text()
