"""GPU memory of a vLLM engine: what it may take, and the responses that its cache holds at once."""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.config import RunConfig
from conspo_study.forecast.known_models import Shape
from conspo_study.forecast.memory.items import Item
from conspo_study.forecast.responses import MEAN_LENGTH, PROMPT_TOKENS, draws
from conspo_study.text import size_text

ENGINE_BYTES = 2_500_000_000
"""GPU memory of an engine beside weights and cache: CUDA context, graphs and workspaces. What of it
an engine keeps while it sleeps is counted in full (assumed)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine's GPU memory, on each of its GPUs."""

    bytes: float
    """What it may take."""
    weights: float
    cache: float
    """What is left for keys and values; negative if weights alone are too many."""
    tokens: int
    """Of the cache."""
    longest: int
    """Tokens of the longest prompt with the longest response, which the cache must hold."""
    length: int
    """Assumed tokens of a prompt with its response, in training."""
    wanted: int
    """Most responses that the engine is asked for at once."""

    @property
    def at_once(self) -> int:
        """Responses of assumed length in the cache together."""
        return max(0, self.tokens // self.length)

    def line(self) -> str:
        """For people."""
        return (
            f"the engine's {size_text(self.bytes)} hold {size_text(self.weights)} of weights and "
            f"a cache of {self.tokens:,} tokens: {min(self.at_once, self.wanted):,} of "
            f"{self.wanted:,} responses at once, of {self.length:,} tokens with their prompts "
            "(assumed)"
        )


def asleep(run: RunConfig) -> list[Item]:
    """What an engine that shares the worker's GPU keeps of it while the trainer computes."""
    if not run.rollout.vllm_colocated or run.rollout.engine != "vllm":
        return []
    return [Item("sleeping engine", ENGINE_BYTES, "context, graphs and workspaces (assumed)")]


def engine_weights(run: RunConfig, shape: Shape) -> tuple[float, str]:
    """Bytes of an engine's weights on each of its GPUs, and their arithmetic."""
    width, gpus = _width(run), max(1, run.rollout.vllm_gpus)
    over = f" / {gpus} GPUs" if gpus > 1 else ""
    text = f"{width} B x {shape.parameters / 1e6:,.4g} M parameters{over}"
    return width * shape.parameters / gpus, text


def engine_of(run: RunConfig, shape: Shape, gpu_bytes: float) -> Engine | None:
    """The engine on GPUs of this size; None if the run has none on GPUs."""
    rollout = run.rollout
    if rollout.engine != "vllm" or not run.train.gpus_per_worker:
        return None
    gpus = min(max(1, rollout.vllm_gpus), shape.kv_heads)
    weights, _ = engine_weights(run, shape)
    most = rollout.vllm_gpu_memory * gpu_bytes
    cache = most - weights - ENGINE_BYTES
    position = 2 * _width(run) * shape.layers * shape.kv_heads * shape.head_dim / gpus
    longest = max(rollout.max_new_tokens, run.evaluation.max_new_tokens)
    mean = MEAN_LENGTH.get(rollout.max_new_tokens, rollout.max_new_tokens)
    asked = max(-(-draw.responses // rollout.vllm_engines) for draw in draws(run))
    return Engine(
        bytes=most,
        weights=weights,
        cache=cache,
        tokens=max(0, int(cache / position)),
        longest=run.data.max_prompt_tokens + longest,
        length=mean + min(PROMPT_TOKENS, run.data.max_prompt_tokens),
        wanted=min(asked, rollout.batch_rows),
    )


def _width(run: RunConfig) -> int:
    """Bytes of a weight, a key or a value in an engine."""
    return 4 if run.sampling_dtype == "float32" else 2
