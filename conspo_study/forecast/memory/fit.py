"""Whether a trial fits its GPUs, and which settings would make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conspo_study.config import ConfigError, RunConfig, with_overrides
from conspo_study.forecast.memory.engine import Engine, engine_of
from conspo_study.forecast.memory.estimate import estimate_memory
from conspo_study.forecast.memory.items import Memory
from conspo_study.forecast.memory.updating import scores_kept
from conspo_study.forecast.shapes import read_shape
from conspo_study.text import counted, setting_text, size_text

MARGIN = 0.08
"""Fraction of a GPU that has to stay free: fragments of PyTorch's allocator, other programs, and
what the estimate leaves out."""
GIB = 2**30
_LARGEST = 4
_FEWEST_TOKENS = 1024
_SHARES = (0.3, 0.2, 0.1)
_SHARDS = (2, 4, 8)


def room(run: RunConfig, gpu_bytes: int) -> float:
    """Bytes of a GPU that a worker and the engine beside it may take."""
    return (1 - MARGIN) * gpu_bytes * run.train.gpus_per_worker


def gpu_text(run: RunConfig, gpu_bytes: int) -> str:
    """`a GPU of 24 GiB (25.8 GB)`, or `0.25 of a GPU of ...`."""
    share = run.train.gpus_per_worker
    part = f"{share:g} of " if share < 1 else ""
    return f"{part}a GPU of {gpu_bytes / GIB:.3g} GiB ({size_text(gpu_bytes)})"


def fit_lines(run: RunConfig, memory: Memory, gpu_bytes: int | None) -> list[str]:
    """What the memory of a worker means for its GPU, for people."""
    if gpu_bytes is None:
        return [
            "compared with no GPU: there is none here, or on the cluster its size is unknown; "
            "--gpu-memory GIB names one"
        ]
    left = room(run, gpu_bytes) - memory.bytes
    free = MARGIN * gpu_bytes * run.train.gpus_per_worker
    verdict = f"{size_text(left)} to spare" if left >= 0 else f"{size_text(-left)} too much"
    lines = [
        f"on {gpu_text(run, gpu_bytes)}, of which {MARGIN:.0%} are to stay free "
        f"({size_text(free)}: fragments, other programs): {verdict}"
    ]
    if (engine := _engine(run, gpu_bytes)) is not None:
        lines.append(engine.line())
    return lines


def memory_problems(
    run: RunConfig, seeds: int, gpu_bytes: int | None, instead: str | None = None
) -> list[str]:
    """Why the workers of a trial, or their engines, cannot run on GPUs of this size, with what to
    type; nothing where sizes are unknown.

    instead: what to type where the number of seeds cannot be chosen; by default fewer of them.
    """
    if gpu_bytes is None or not run.train.gpus_per_worker:
        return []
    memory = estimate_memory(run, seeds, gpu_bytes)
    if memory is None:
        return []
    problems = []
    if memory.bytes > room(run, gpu_bytes) and _rows_that_fit(run, seeds, gpu_bytes) is None:
        when, items = memory.peak()
        largest = ", ".join(f"{size_text(i.bytes)} {i.name}" for i in items[:_LARGEST])
        problems.append(
            f"a worker of a trial with {counted(seeds, 'seed')} needs about "
            f"{size_text(memory.bytes)} of GPU memory {when} ({largest}), and of "
            f"{gpu_text(run, gpu_bytes)} it may take {size_text(room(run, gpu_bytes))}: "
            f"{_advice(run, seeds, gpu_bytes, instead)}"
        )
    engine = _engine(run, gpu_bytes)
    if engine is not None and engine.tokens < engine.longest:
        problems.append(
            f"a vLLM engine with rollout.vllm_gpu_memory={run.rollout.vllm_gpu_memory:g} may take "
            f"{size_text(engine.bytes)} of {gpu_text(run, gpu_bytes)}, and with "
            f"{size_text(engine.weights)} of weights its cache holds {engine.tokens:,} tokens; the "
            f"longest prompt with its response takes {engine.longest:,}: raise "
            "rollout.vllm_gpu_memory, or lower max_new_tokens of rollout and evaluation"
        )
    return problems


def memory_warnings(run: RunConfig, seeds: int, gpu_bytes: int | None) -> Iterator[str]:
    """What costs more memory or time than it has to."""
    shape = read_shape(run.policy)
    if shape is None or not run.train.gpus_per_worker:
        return
    if scores_kept(run, shape):
        mend = (
            "policy.attention=sdpa"
            if run.policy.attention == "eager"
            else "policy.precision=bfloat16"
        )
        yield (
            f"attention keeps {shape.heads} heads x L x L scores of a sequence of L tokens at "
            f"once, so memory grows with the square of the response limit: set {mend}"
        )
    if gpu_bytes is None:
        return
    memory = estimate_memory(run, seeds, gpu_bytes)
    if memory is not None and memory.bytes > room(run, gpu_bytes):
        rows = _rows_that_fit(run, seeds, gpu_bytes)
        if rows is not None:
            yield (
                f"sampling begins with {size_text(memory.bytes)} and decodes half as many rows "
                "whenever memory runs out; what fits from the start: "
                f"{_typed({'rollout.batch_rows': rows})}"
            )
    engine = _engine(run, gpu_bytes)
    if engine and 0 < engine.at_once < engine.wanted:
        told = (
            f"the engine's cache holds {engine.at_once:,} of the {engine.wanted:,} responses that "
            "it is asked for at once; the others wait"
        )
        if (larger := _larger_share(run, seeds, gpu_bytes)) is not None:
            more = _engine(with_overrides(run, larger), gpu_bytes)
            assert more is not None
            told += f": {_typed(larger)} fits, too, and holds {more.at_once:,}"
        yield told


def _rows_that_fit(run: RunConfig, seeds: int, gpu_bytes: int) -> int | None:
    """The most rows, of halves of the run's, with which the transformers engine fits, since it
    goes on with half of them when memory runs out; None if fewer rows do not help."""
    rows = run.rollout.batch_rows // 2
    while run.rollout.engine == "transformers" and rows >= run.rollout.group_size:
        if _is_enough(with_overrides(run, {"rollout.batch_rows": rows}), seeds, gpu_bytes):
            return rows
        rows //= 2
    return None


def _larger_share(run: RunConfig, seeds: int, gpu_bytes: int) -> dict[str, Any] | None:
    """The largest fraction of the GPU that fits, in steps of 0.05; None if the run's is."""
    for percent in range(90, 0, -5):
        share = percent / 100
        if share <= run.rollout.vllm_gpu_memory:
            break
        changes = {"rollout.vllm_gpu_memory": share}
        if share < run.train.gpus_per_worker and _is_enough(
            with_overrides(run, changes), seeds, gpu_bytes
        ):
            return changes
    return None


def _engine(run: RunConfig, gpu_bytes: int) -> Engine | None:
    shape = read_shape(run.policy)
    return None if shape is None else engine_of(run, shape, gpu_bytes)


def _advice(run: RunConfig, seeds: int, gpu_bytes: int, instead: str | None) -> str:
    """What makes a trial fit: each change that does so alone, or else several together."""

    def fits(changes: Mapping[str, Any], count: int) -> bool:
        try:
            changed = with_overrides(run, changes)
        except ConfigError:
            return False
        enough = _is_enough(changed, count, gpu_bytes)
        return enough or _rows_that_fit(changed, count, gpu_bytes) is not None

    def chosen(count: int) -> str:
        return instead or f"--seeds {','.join(map(str, range(count)))}"

    remedies = list(_remedies(run))
    fewer = next((count for count in range(seeds - 1, 0, -1) if fits({}, count)), 0)
    found: dict[tuple[str, ...], str] = {}
    for changes in remedies:  # of a kind the first, which changes least
        if tuple(changes) not in found and fits(changes, seeds):
            found[tuple(changes)] = _typed(changes)
    alone = [*([chosen(fewer)] if fewer else []), *found.values()]
    if alone:
        return f"{' or '.join(alone)} {'makes' if len(alone) == 1 else 'make'} it fit"
    for count in range(seeds, 0, -1):
        together: dict[str, Any] = {}
        for changes in remedies:
            # Several GPUs, or another thing to train, are no small change.
            if {"train.workers", "policy.lora_rank"} & changes.keys():
                continue
            together |= changes
            if fits(together, count):
                words = [chosen(count)] if count < seeds else []
                return f"{' '.join([*words, _typed(together)])} make it fit"
    return "no settings make it fit: use a larger GPU, or a smaller model"


def _is_enough(run: RunConfig, seeds: int, gpu_bytes: int) -> bool:
    """Whether a GPU has room for a worker, and the engine for its longest sequence."""
    memory, engine = estimate_memory(run, seeds, gpu_bytes), _engine(run, gpu_bytes)
    held = engine is None or engine.tokens >= engine.longest
    return held and memory is not None and memory.bytes <= room(run, gpu_bytes)


def _remedies(run: RunConfig) -> Iterator[dict[str, Any]]:
    """Changes that need less memory, those that change least first."""
    rollout = run.rollout
    if rollout.engine == "vllm" and rollout.vllm_colocated:
        shares = (share for share in _SHARES if share < rollout.vllm_gpu_memory)
        yield from ({"rollout.vllm_gpu_memory": share} for share in shares)
    if not run.policy.gradient_checkpointing:
        yield {"policy.gradient_checkpointing": True}
    longest = run.data.max_prompt_tokens + rollout.max_new_tokens
    if run.update.micro_batch_tokens > max(longest, _FEWEST_TOKENS):
        yield {"update.micro_batch_tokens": max(longest, _FEWEST_TOKENS)}
    if run.policy.precision == "float32":
        yield {"policy.precision": "bfloat16"}
    for workers in _SHARDS:
        if workers > run.train.workers and not run.policy.lora_rank:
            yield {"train.workers": workers, "train.sharding": "fsdp"}
    if run.train.gpus_per_worker < 1:
        yield {"train.gpus_per_worker": 1}
    if not run.policy.lora_rank and run.train.sharding == "replicate":
        yield {"policy.lora_rank": 32}


def _typed(changes: Mapping[str, Any]) -> str:
    return " ".join(f"--set {path}={setting_text(value)}" for path, value in changes.items())
