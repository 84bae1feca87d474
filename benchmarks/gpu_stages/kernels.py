"""Attention, a training step and sampling, of models with the shapes of released ones."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from conspo_study.config import RunConfig, with_overrides
from conspo_study.forecast.memory import estimate_memory
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.recompute import enable_recomputing
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.flops import ModelFlops, matmul_rate
from gpu_stages.place import GIB, Found, Place

LENGTHS = (1024, 2048, 4096, 8192)
LINEAR = 2.5
"""Largest ratio of memory at twice the length that is taken for linear growth."""
KERNELS = ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH")
PROMPT = 96
STEPS = ((2, 4096), (1, 8192), (1, 12288))
"""Rollouts and response tokens of a micro-batch."""
ESTIMATE = 1.15
"""Largest ratio of the measured peak to the plan's estimate."""


def attention(place: Place) -> Found:
    """Memory by length, and the kernels that take grouped queries."""
    found: dict[str, Any] = {}
    lengths = LENGTHS if place.gpu else (64, 128)
    for dtype in (torch.bfloat16, torch.float32):
        name = str(dtype).removeprefix("torch.")
        found[name] = {
            f"{length} tokens GiB": _attended(place, dtype, length) for length in lengths
        }
        for kernel in KERNELS:
            found[name][kernel] = _takes(place, dtype, getattr(SDPBackend, kernel))
    sizes = [found["bfloat16"][f"{length} tokens GiB"] for length in lengths[-2:]]
    wrong = []
    if place.gpu and not (None not in sizes and sizes[1] < LINEAR * sizes[0]):
        wrong.append(f"bfloat16 attention grows faster than its length: {sizes} GiB")
    return found, wrong


def _heads(place: Place, dtype: torch.dtype, length: int) -> list[torch.Tensor]:
    """Queries, keys and values, of 12 and 2 heads."""
    make = partial(torch.randn, device=place.device, dtype=dtype, requires_grad=True)
    return [make(2, heads, length, 128) for heads in (12, 2, 2)]


def _attended(place: Place, dtype: torch.dtype, length: int) -> float | None:
    """The peak of a pass and its gradient; None if there is not enough memory."""
    place.forget()
    try:
        query, key, value = _heads(place, dtype, length)
        scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=True
        ).sum().backward()
        place.wait()
    except torch.OutOfMemoryError:
        return None
    return place.peak_gib()


def _takes(place: Place, dtype: torch.dtype, kernel: SDPBackend) -> bool:
    try:
        with torch.no_grad(), sdpa_kernel([kernel]):
            scaled_dot_product_attention(*_heads(place, dtype, 64), is_causal=True, enable_gqa=True)
    except RuntimeError:
        return False
    return True


def step_1_5b(place: Place) -> Found:
    """Passes of micro-batches, and AdamW, of 1.5 billion parameters in bfloat16."""
    model = place.model("1.5b")
    enable_recomputing(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    describe(model, place.scratch / "1.5b")
    found: dict[str, Any] = {"parameters": parameters}
    wrong = []
    for rollouts, tokens in STEPS:
        length = tokens if place.gpu else tokens // 64
        place.forget()
        one = found[f"{rollouts} x {length}"] = _passes(place, model, rollouts, length)
        estimate = _estimated(place, rollouts, length) - 8 * parameters  # AdamW is not there yet
        one["estimated_gib"] = estimate / GIB
        if place.gpu and one["gib"] > ESTIMATE * one["estimated_gib"]:
            wrong.append(
                f"{rollouts} x {length}: {one['gib']:.1f} GiB at the peak, "
                f"{one['estimated_gib']:.1f} estimated"
            )
    found |= _optimised(place, model)
    return found, wrong


def describe(model: Any, folder: Path) -> None:
    """A folder of the model for the plan, which reads the sizes of weights, but not the weights."""
    model.config.save_pretrained(folder)
    header, end = {}, 0
    for name, parameter in model.named_parameters():
        start, end = end, end + 4 * parameter.numel()
        header[name] = {
            "dtype": "F32",
            "shape": list(parameter.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)  # without taking room on the disk


def _passes(place: Place, model: Any, rollouts: int, length: int) -> dict[str, float]:
    vocabulary = model.config.vocab_size
    prompts = [tuple([5] * PROMPT)] * rollouts
    responses = [tuple((7 * i + j) % vocabulary for j in range(length)) for i in range(rollouts)]

    def learn() -> None:
        model.zero_grad(set_to_none=True)
        response_logprobs(model, prompts, responses, 1.0, "bfloat16").sum().backward()

    @torch.no_grad()
    def score() -> None:
        response_logprobs(model, prompts, responses, 1.0, "bfloat16")

    seconds = place.seconds(learn, runs=2)
    rate = matmul_rate(place.device, torch.bfloat16, torch.get_num_threads())
    found = {
        "seconds": seconds,
        "tokens_per_s": rollouts * length / seconds,
        "mfu": ModelFlops.of(model).training(prompts, responses) / seconds / rate,
        "gib": place.peak_gib(),
    }
    return found | {"score_seconds": place.seconds(score, runs=2)}


def _estimated(place: Place, rollouts: int, length: int) -> float:
    """Bytes that the plan expects of the weights, AdamW and such a micro-batch."""
    run = with_overrides(
        RunConfig(),
        {
            "policy.model": str(place.scratch / "1.5b"),
            "policy.precision": "bfloat16",
            "policy.gradient_checkpointing": True,
            "data.max_prompt_tokens": PROMPT,
            "rollout.max_new_tokens": length,
            "update.micro_batch_tokens": rollouts * (PROMPT + length),
            "train.gpus_per_worker": 1,
        },
    )
    memory = estimate_memory(run, 1)
    assert memory is not None
    return sum(item.bytes for item in (*memory.standing, *memory.updating))


def _optimised(place: Place, model: Any) -> dict[str, Any]:
    """Seconds of AdamW's step, and memory beyond what stays."""
    found = {}
    for fused in (False, True):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=fused or None)
        optimizer.step()
        place.forget()
        before = place.held_gib()
        seconds = place.seconds(optimizer.step)
        found[f"AdamW, fused {fused}"] = {
            "seconds": seconds,
            "extra_gib": place.peak_gib() - before,
        }
        del optimizer
    return found


class Silent:
    """A tokenizer without an end and without words."""

    eos_token_id = None

    def batch_decode(self, rows: list[Any], **options: Any) -> list[str]:
        return [""] * len(rows)


def sampling(place: Place) -> Found:
    """The transformers engine; and what a generator for each row costs a decoding step."""
    found: dict[str, Any] = {}
    wrong = []
    prompts, tokens = [[5] * 64, [6] * 80] * 4, 256 if place.gpu else 8
    for shape in ("135m", "1.5b"):
        place.forget()
        model = place.model(shape)
        engine = TransformersEngine(model, Silent(), stop_ids=[], precision="bfloat16")

        def draw(engine: TransformersEngine = engine) -> Any:
            return engine.generate(prompts, 8, Sampling(1.0, tokens), list(range(8)))

        drawn = [len(response.tokens) for group in draw() for response in group]
        seconds = place.seconds(draw, runs=1)
        found[shape] = {"tokens_per_s": sum(drawn) / seconds, "gib": place.peak_gib()}
        if drawn != [tokens] * 64:
            wrong.append(f"{shape}: {len(drawn)} responses of {sorted(set(drawn))} tokens")
        del model, engine, draw
    vocabulary = 151936 if place.gpu else 512
    for rows in (128, 512):
        noise = torch.empty(rows, vocabulary, device=place.device)
        own = [torch.Generator(place.device).manual_seed(row) for row in range(rows)]

        def by_row(noise: torch.Tensor = noise, own: list[torch.Generator] = own) -> None:
            for row, generator in enumerate(own):
                noise[row].exponential_(generator=generator)

        at_once = place.seconds(noise.exponential_)
        found[f"{rows} rows ms"] = {
            "generators": 1e3 * place.seconds(by_row),
            "at_once": 1e3 * at_once,
        }
    return found, wrong
