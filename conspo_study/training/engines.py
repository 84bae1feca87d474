"""The generation engines of a training worker, as `rollout.engine` selects: started and ended.

With vLLM, all seeds of a trial share the worker's engine processes; the weights of a seed are sent
before it samples. They have to be sent after every update anyway: sharing costs one more transfer
when an evaluation comes between two steps, and saves a process for every seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.config import RunConfig
from conspo_study.policy.lengths import longest_sequence
from conspo_study.policy.stop import stop_ids
from conspo_study.policy.weights import architecture_folder
from conspo_study.processes.fork_client import SERVER
from conspo_study.rollout.engine import PolicyWeights, RolloutEngine
from conspo_study.rollout.engine_actor import EngineActor, own_gpus
from conspo_study.rollout.engine_pool import EnginePool, EngineProcess, WeightChannel
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.rollout.vllm_actor import VllmActor
from conspo_study.rollout.vllm_engine import VllmEngine
from conspo_study.rollout.weight_backends import BROADCAST, SHARED_GPU, SHARED_MEMORY

EngineFactory = Callable[[PreTrainedModel, PreTrainedTokenizerBase, PolicyWeights], RolloutEngine]
"""The engine of a policy, from its model, its tokenizer and its weights."""
_TOKENS_PER_PASS = 4096
"""Most prompt tokens that vLLM reads at once on a CPU, unless a single prompt is longer."""


@contextmanager
def rollout_engines(
    config: RunConfig,
    folder: Path,
    stops_of: Callable[[PreTrainedModel, PreTrainedTokenizerBase], Sequence[int]] = stop_ids,
) -> Iterator[EngineFactory]:
    """A factory of engines, one for each of the worker's policies; shared processes end with the
    block.

    folder: for the logs of engine processes. stops_of: the tokens that
    end a response, from a policy's model and tokenizer.
    """
    if config.rollout.engine == "transformers":
        yield lambda model, tokenizer, weights: TransformersEngine(
            model,
            tokenizer,
            config.rollout.batch_rows,
            updates=weights.updates,
            stop_ids=stops_of(model, tokenizer),
            precision=config.policy.precision,
            longest=_longest(model),
        )
        return
    pools: list[EnginePool] = []

    def build(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, weights: PolicyWeights
    ) -> RolloutEngine:
        if not pools:  # all models have the architecture of the first
            settings = vllm_settings(config, architecture_folder(model), _longest(model))
            pools.append(_vllm_pool(config, folder, settings))
        return VllmEngine(pools[0], weights, tokenizer, stops_of(model, tokenizer))

    try:
        yield build
    finally:
        for pool in pools:
            pool.close()


def vllm_settings(config: RunConfig, architecture: Path, longest: int | None) -> dict[str, Any]:
    """The settings for `VllmActor.start` and `VllmEngine`.

    architecture: the folder with the model's config.json. longest: the longest sequence, in
    tokens, that the model reads correctly; None for no limit.
    """
    rollout = config.rollout
    needed = config.data.max_prompt_tokens + max(
        rollout.max_new_tokens, config.evaluation.max_new_tokens
    )
    max_length = needed if longest is None else min(longest, needed)
    options: dict[str, Any] = {
        "dtype": config.sampling_dtype,
        "max_model_len": max_length,
        "max_num_seqs": rollout.batch_rows,
    }
    if config.train.gpus_per_worker:
        options |= {
            "gpu_memory_utilization": rollout.vllm_gpu_memory,
            "tensor_parallel_size": max(1, rollout.vllm_gpus),
            "enable_sleep_mode": rollout.vllm_colocated,
        }
    else:
        options |= {
            "enforce_eager": True,
            "kv_cache_memory_bytes": rollout.vllm_cache_mib << 20,
            # Without a GPU, vLLM cannot read a part of a prompt and keep its response's generator:
            # prompts are read whole, as many as fit into a pass.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(max_length, rollout.batch_rows, _TOKENS_PER_PASS),
        }
    return {
        "model": str(architecture),
        "max_length": max_length,
        "sleeps": rollout.vllm_colocated,
        "backend": _backend(config),
        "options": options,
    }


def _longest(model: PreTrainedModel) -> int | None:
    limit = longest_sequence(model.config)
    return None if limit is None else limit.tokens


def _backend(config: RunConfig) -> str:
    """The name of the receiving side of weights."""
    if not config.train.gpus_per_worker:
        return SHARED_MEMORY
    return SHARED_GPU if config.rollout.vllm_colocated else BROADCAST


def _vllm_pool(config: RunConfig, folder: Path, settings: Mapping[str, Any]) -> EnginePool:
    rollout = config.rollout

    def start(number: int) -> EngineProcess:
        environment = _environment(config, number)
        return EngineActor(VllmActor, folder / f"engine-{number}.log", environment)

    return EnginePool(
        start,
        settings,
        _channel(config),
        rollout.vllm_engines,
        rollout.vllm_deadline_s,
    )


def _environment(config: RunConfig, number: int) -> dict[str, str]:
    """Environment variables of engine process `number`."""
    variables = {
        # The engine's core runs in the actor's process: another one would have to be watched.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # Or all engines of a machine would bind themselves to the same cores.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(config.rollout.vllm_cpus),
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_NO_USAGE_STATS": "1",
        # A fresh process: in one that is forked, libraries have read their variables already.
        SERVER: "",
    }
    if config.train.gpus_per_worker:
        gpus, each = own_gpus(), config.rollout.vllm_gpus
        first = 1 + number * each  # the trainer has the first
        chosen = gpus[first : first + each] if each else gpus[:1]
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        # vLLM's choice of the model runner: the second one samples with a seed for each response
        # in one kernel, the first one in a loop over the rows.
    else:
        variables["VLLM_USE_V2_MODEL_RUNNER"] = "0"  # the second one needs kernels of a GPU
        # Compiling takes longer than it saves.
        variables["TORCHDYNAMO_DISABLE"] = "1"
    return variables


def _channel(config: RunConfig) -> WeightChannel:
    """The channel that takes weights from the trainer to the engines."""
    import torch

    dtype: torch.dtype = getattr(torch, config.sampling_dtype)
    if not config.train.gpus_per_worker:
        from conspo_study.rollout.weight_memory import SharedMemoryChannel

        return SharedMemoryChannel(dtype)
    from conspo_study.rollout import weight_gpu

    if config.rollout.vllm_colocated:
        return weight_gpu.SharedGpuChannel(dtype)
    return weight_gpu.BroadcastChannel(dtype, config.rollout.vllm_gpus)
