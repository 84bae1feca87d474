"""The memory of a worker, from the configuration and the model's sizes."""

from __future__ import annotations

from conspo_study.config import RunConfig
from conspo_study.forecast.known_models import Shape
from conspo_study.forecast.memory.engine import asleep
from conspo_study.forecast.memory.items import IN_MEMORY, ON_GPU, PROCESS_BYTES, Item, Memory
from conspo_study.forecast.memory.sampling import sampling, sending
from conspo_study.forecast.memory.updating import updating
from conspo_study.forecast.shapes import read_shape, trained_parameters

HOST_ENGINE_BYTES = 4_000_000_000
"""Main memory of a vLLM process on a GPU, whose weights are never there (assumed)."""


def estimate_memory(run: RunConfig, seeds: int, gpu_bytes: int | None = None) -> Memory | None:
    """Memory of each worker of a trial; None if the model's sizes cannot be read.

    gpu_bytes: size of a GPU, of which a vLLM engine that shares it takes its fraction; None:
    unknown, and the engine is named without a size.
    """
    shape = read_shape(run.policy)
    if shape is None:
        return None
    shards = run.train.workers if run.train.sharding == "fsdp" else 1
    over = f" / {shards} shards" if shards > 1 else ""
    count = f"{shape.parameters / 1e6:,.4g} M parameters"
    trained = trained_parameters(run.policy) or shape.parameters
    learned = f"{trained / 1e6:,.4g} M trained"
    on_gpu = run.train.gpus_per_worker > 0
    gradients = Item("gradients", 4 * trained / shards, f"4 B x {learned}{over}")
    beside = asleep(run)
    adapters = [_adapters(trained, seeds)] if run.policy.lora_rank else []
    return Memory(
        ON_GPU if on_gpu else IN_MEMORY,
        standing=(
            Item("process", PROCESS_BYTES, "without a policy"),
            Item(
                "weights",
                4 * shape.parameters * seeds / shards,
                f"4 B x {count} x {seeds} seeds{over}",
            ),
            *adapters,
            *_reference(run, seeds, 4 * shape.parameters / shards, f"4 B x {count}", over),
            Item("AdamW", 8 * trained * seeds / shards, f"8 B x {learned} x {seeds} seeds{over}"),
        ),
        updating=(gradients, *updating(run, shape, shards, f"{count}{over}"), *beside),
        stepping=(
            gradients,
            # On a CPU AdamW goes through the weights one by one.
            *([_square_roots(trained, shards, f"{learned}{over}")] if on_gpu else []),
            *beside,
        ),
        sampling=tuple(sampling(run, shape, shards, count, gpu_bytes)),
        sending=tuple(sending(run, shape, shards, count)),
        host=_host(run, shape, count) if on_gpu else (),
    )


def _adapters(trained: int, seeds: int) -> Item:
    return Item("adapters", 4 * trained * seeds, f"4 B x {trained / 1e6:,.4g} M x {seeds} seeds")


def _reference(
    run: RunConfig, seeds: int, policy_bytes: float, count: str, over: str
) -> list[Item]:
    """Frozen copies of the initial policies that `update.reference_kl` refers to; with adapters the
    model itself, without them, is the reference."""
    if not run.update.reference_kl or run.policy.lora_rank:
        return []
    copies = seeds if run.policy.warm_start_seed == "seed" else 1
    times = f" x {copies} policies" if copies > 1 else ""
    return [Item("reference policy", policy_bytes * copies, f"{count}{times}{over}")]


def _square_roots(trained: int, shards: int, learned: str) -> Item:
    return Item("square roots of AdamW, of all weights at once", 4 * trained / shards, learned)


def _host(run: RunConfig, shape: Shape, count: str) -> tuple[Item, ...]:
    """Main memory beside a GPU: models are loaded on the CPU, one seed after the other."""
    items = [
        Item("process", PROCESS_BYTES, "without a policy"),
        Item("the model while it is loaded", 4 * shape.parameters, f"4 B x {count}"),
    ]
    if run.rollout.engine == "vllm":
        engines = run.rollout.vllm_engines * max(1, run.rollout.vllm_gpus)
        items.append(
            Item(
                "engine processes",
                engines * HOST_ENGINE_BYTES,
                f"{size_of_each(engines)} (assumed)",
            )
        )
    return tuple(items)


def size_of_each(engines: int) -> str:
    """`2 x 4 GB`."""
    return f"{engines} x {HOST_ENGINE_BYTES / 1e9:g} GB"
