"""Memory of sampling, and of sending weights to the engines that sample."""

from __future__ import annotations

from conspo_study.config import RunConfig
from conspo_study.forecast.known_models import Shape
from conspo_study.forecast.memory.engine import asleep, engine_weights
from conspo_study.forecast.memory.items import Item
from conspo_study.forecast.memory.updating import SCORE_COPIES, scores_kept
from conspo_study.forecast.responses import Draw, draws
from conspo_study.forecast.shapes import adapted_matrices

SAMPLER_COPIES = 4
"""Tensors of the logits of one sampled token: logits, scaled, probabilities and their sums."""
_CHUNK_BYTES = 2 << 30
"""Copies of weights for an engine on a GPU that exist at once: a chunk, and the next in the
making."""


def sampling(
    run: RunConfig, shape: Shape, shards: int, count: str, gpu_bytes: int | None
) -> list[Item]:
    """Items while responses are drawn. count: the model's parameters, in words."""
    weights = whole_weights(run, shape, shards, count)
    if run.rollout.engine == "vllm":
        # An engine on a CPU or on GPUs of its own has its own memory.
        held = weights if shards > 1 else []
        return [*held, *_awake(run, gpu_bytes)]
    return [*_decoding(run, shape, shards), *weights]


def sending(run: RunConfig, shape: Shape, shards: int, count: str) -> list[Item]:
    """Items while vLLM engines on GPUs receive weights."""
    rollout = run.rollout
    if rollout.engine != "vllm" or not run.train.gpus_per_worker:
        return []
    items = whole_weights(run, shape, shards, count) if shards > 1 else []
    if run.policy.lora_rank:
        merged = max(rows * columns for rows, columns in adapted_matrices(run.policy))
        words = f"2 x 4 B x {merged / 1e6:,.4g} M of the largest adapted matrix and its change"
        items.append(Item("merged weights", 8 * merged, words))
    held = "bfloat16" if shards > 1 and run.policy.precision == "bfloat16" else "float32"
    if held != run.sampling_dtype or run.policy.lora_rank:
        width = 4 if run.sampling_dtype == "float32" else 2
        size = min(_CHUNK_BYTES, width * shape.parameters)
        items.append(Item("copies of weights", size, "two chunks in the engine's data type"))
    if rollout.vllm_colocated:
        items += [Item("the engine's weights", *engine_weights(run, shape)), *asleep(run)]
    return items


def whole_weights(run: RunConfig, shape: Shape, shards: int, count: str) -> list[Item]:
    """Weights in the compute type, beside the worker's own."""
    width = 2 if run.policy.precision == "bfloat16" else 4
    if shards > 1:
        return [Item("whole weights", width * shape.parameters, f"{width} B x {count}")]
    if width == 2:
        return [Item("cast weights", 2 * shape.parameters, f"2 B x {count}")]
    return []


def _awake(run: RunConfig, gpu_bytes: int | None) -> list[Item]:
    """The engine that shares the worker's GPU."""
    if not run.rollout.vllm_colocated:
        return []
    share = run.rollout.vllm_gpu_memory
    if gpu_bytes is None:
        words = f"{share:g} of the GPU, whose size is unknown: name it by --gpu-memory GIB"
        return [Item("engine", 0, words)]
    words = f"rollout.vllm_gpu_memory {share:g} x {gpu_bytes / 1e9:.3g} GB"
    return [Item("engine", share * gpu_bytes, words)]


def _decoding(run: RunConfig, shape: Shape, shards: int) -> list[Item]:
    """Items of the transformers engine, for the draw that needs most."""
    return max((_of_draw(draw, run, shape, shards) for draw in draws(run)), key=_total)


def _of_draw(draw: Draw, run: RunConfig, shape: Shape, shards: int) -> list[Item]:
    most, n = run.rollout.batch_rows, draw.samples
    rows = min(draw.responses, max(1, most // n) * n, most)
    prompts = min(draw.prompts, max(1, most // n))
    positions = run.data.max_prompt_tokens + draw.limit
    width = 2 if run.policy.precision == "bfloat16" else 4
    # Attention repeats the keys and values of one layer for all of its heads.
    heads = shape.layers * shape.kv_heads + shape.heads
    each = 2 * width * heads * shape.head_dim
    read = run.data.max_prompt_tokens
    scores = Item(
        "attention scores of the prompts",
        4 * SCORE_COPIES * prompts * shape.heads * read**2,
        f"4 B x {SCORE_COPIES} copies x {prompts:,} prompts x {shape.heads} heads x {read:,}^2",
    )
    return [
        Item(
            "keys and values",
            rows * positions * each,
            f"{rows:,} rows x {positions:,} positions x {each:,} B ({draw.name})",
        ),
        Item(
            "logits",
            SAMPLER_COPIES * 4 * rows * shape.vocabulary,
            f"{SAMPLER_COPIES} x 4 B x {rows:,} rows x {shape.vocabulary:,} tokens",
        ),
        *([scores] if scores_kept(run, shape) else []),
    ]


def _total(items: list[Item]) -> float:
    return sum(item.bytes for item in items)
