"""Memory of the passes over a micro-batch: activations, logits, gathered or cast weights."""

from __future__ import annotations

from conspo_study.config import RunConfig
from conspo_study.forecast.known_models import Shape
from conspo_study.forecast.memory.items import Item
from conspo_study.policy.logits import CHUNK_ELEMENTS

CHUNK_COPIES = 4
"""Tensors of CHUNK_ELEMENTS at the peak. For a head with adapters or a bias: logits, their scaled
copy, log-softmax and gradient. For a plain head: logits, probabilities, and their casts."""
SCORE_COPIES = 4
"""Tensors of a layer's attention scores at the peak, without a kernel that avoids them: scores,
masked, their softmax and its gradient."""


def updating(run: RunConfig, shape: Shape, shards: int, count: str) -> list[Item]:
    """Items of an update but the gradients. count: the worker's parameters, in words."""
    width = 2 if run.policy.precision == "bfloat16" else 4
    tokens, longest = micro_batch(run)
    norms, products = shape.activations
    # In bfloat16 the norms keep their float32 input and output, and cast what they pass on.
    each = 4 * norms + 4 * products if width == 4 else 10 * norms // 3 + 2 * products
    table = shape.vocabulary * shape.hidden
    chunk = min(CHUNK_ELEMENTS, tokens * shape.vocabulary)
    recomputed = run.policy.gradient_checkpointing
    activations = Item(
        "activations",
        tokens * shape.layers * each,
        f"{tokens:,} tokens x {shape.layers} layers x {each:,} B",
    )
    if recomputed:
        kept = 4 * shape.hidden
        activations = Item(
            "activations",
            tokens * (shape.layers * kept + each),
            f"{tokens:,} tokens x ({shape.layers} layers x {kept:,} B + {each:,} B of one)",
        )
    items = [activations]
    if scores_kept(run, shape):
        layers = (0 if recomputed else shape.layers) + SCORE_COPIES
        items.append(
            Item(
                "attention scores",
                4 * layers * shape.heads * tokens * longest,
                f"4 B x {layers} copies x {shape.heads} heads x {tokens:,} x {longest:,} tokens",
            )
        )
    items.append(
        Item(
            "logits",
            CHUNK_COPIES * 4 * chunk,
            f"{CHUNK_COPIES} x 4 B x {chunk / 1e6:,.4g} M of a chunk",
        )
    )
    if not run.policy.lora_rank:  # adapters leave the embedding as it is
        items.append(
            Item(
                "embedding gradients in passing",
                2 * 4 * table,
                f"2 x 4 B x {shape.vocabulary:,} tokens x {shape.hidden:,}",
            )
        )
    if shards > 1:
        fetched = 2 * table + 2 * shape.layer_parameters
        items.append(
            Item(
                "fetched weights and their gradients",
                (width + 4) * fetched,
                f"{width + 4} B x {fetched / 1e6:,.4g} M of two layers, embedding and head",
            )
        )
    elif width == 2:
        items.append(Item("cast weights", 2 * shape.parameters, f"2 B x {count}"))
    return items


def micro_batch(run: RunConfig) -> tuple[int, int]:
    """Most tokens of a micro-batch, and of a sequence in it."""
    longest = run.data.max_prompt_tokens + run.rollout.max_new_tokens
    rollouts = run.rollout.prompts_per_step // run.train.workers * run.rollout.group_size
    return min(max(run.update.micro_batch_tokens, longest), rollouts * longest), longest


def scores_kept(run: RunConfig, shape: Shape) -> bool:
    """Whether attention computes all scores of a sequence at once, heads x length x length.

    PyTorch's kernels on GPUs that avoid it take grouped keys in 16-bit types alone; the plain
    implementation never avoids it.
    """
    if run.policy.attention == "eager":
        return True
    grouped = shape.heads != shape.kv_heads
    on_gpu = run.train.gpus_per_worker > 0
    return on_gpu and grouped and run.policy.precision == "float32"
