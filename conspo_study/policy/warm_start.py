"""Supervised warm start of the embedded model.

The default warm start is part of the package; any other is trained once per machine and cached.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from conspo_study.policy.cache import cached_folder
from conspo_study.policy.embedded import (
    MODEL_SETTINGS,
    ROPE_THETA,
    SPLIT_PATTERN,
    VOCABULARY,
    embedded_tokenizer,
    untrained_model,
)
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.quiet import no_progress_bars
from conspo_study.policy.shipped import shipped_model, shipped_recipe

RECIPE: dict[str, Any] = {
    "revision": 1,  # increase with every change of the training below: caches are then not reused
    "batch": 64,
    "bucket": 8,
    "learning_rate": 5e-3,
    "betas": (0.9, 0.98),
    "weight_decay": 0.01,
    "warmup_steps": 50,
    "final_learning_rate": 0.05,
    "grad_clip": 1.0,
}
PROGRESS_EVERY = 20
_FINGERPRINT_PAIRS = 512

Demonstrations = Callable[[int, int], Iterable[tuple[str, str]]]
"""`(seed, count)` -> `count` pairs of prompt and response, in the order of training."""
OnProgress = Callable[[int, int, float], None]
"""Called with the step, the number of steps and the latest loss."""


def warm_start(
    demonstrations: Demonstrations,
    *,
    steps: int = 1200,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    on_notice: Callable[[str], None] = print,
) -> Path:
    """The folder of the warm-started model and its tokenizer, built now if not cached.

    A warm start other than the default is trained, which takes about a minute on one core for 1200
    steps. Concurrent calls are safe: one process trains and the others wait. A damaged cache entry
    is reported to `on_notice` and rebuilt.
    """
    recipe = fingerprint(demonstrations, steps, seed)

    def build(folder: Path) -> None:
        tokenizer = embedded_tokenizer()
        if recipe == shipped_recipe():
            model = shipped_model()
        else:
            model = train(tokenizer, demonstrations, steps, seed, on_progress)
        with no_progress_bars():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    # Both libraries affect the files and the rounding of training.
    versions = f"{torch.__version__} {transformers.__version__}"
    name = hashlib.sha256(f"{recipe} {versions}".encode()).hexdigest()[:16]
    return cached_folder(f"warm-start-{name}", build, on_notice)


def fingerprint(demonstrations: Demonstrations, steps: int, seed: int) -> str:
    """A short hash of everything that determines the warm start, except rounding."""
    determined_by = {
        "recipe": RECIPE,
        "model": MODEL_SETTINGS,
        "rope_theta": ROPE_THETA,
        "vocabulary": VOCABULARY,
        "split_pattern": SPLIT_PATTERN,
        "steps": steps,
        "seed": seed,
        # These pairs, a sample of both phases, represent the generator.
        "demonstrations": list(demonstrations(seed, _FINGERPRINT_PAIRS)),
    }
    return hashlib.sha256(json.dumps(determined_by, sort_keys=True).encode()).hexdigest()[:16]


def train(
    tokenizer: PreTrainedTokenizerFast,
    demonstrations: Demonstrations,
    steps: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> LlamaForCausalLM:
    """Train a newly initialised embedded model on the demonstrations' responses."""
    threads = torch.get_num_threads()
    # One thread is fastest at this size and makes the weights independent of the thread count.
    torch.set_num_threads(1)
    try:
        model = untrained_model(seed)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=RECIPE["learning_rate"],
            betas=RECIPE["betas"],
            weight_decay=RECIPE["weight_decay"],
            fused=True,
        )
        pairs = demonstrations(seed, steps * RECIPE["batch"])
        for step, (prompts, responses) in enumerate(_batches(tokenizer, pairs, seed)):
            for group in optimizer.param_groups:
                group["lr"] = RECIPE["learning_rate"] * _schedule(step, steps)
            loss = -response_logprobs(model, prompts, responses).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE["grad_clip"])
            optimizer.step()
            if on_progress and ((step + 1) % PROGRESS_EVERY == 0 or step + 1 == steps):
                on_progress(step + 1, steps, loss.item())
    finally:
        torch.set_num_threads(threads)
    return model.eval()


def _schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine decay to its final fraction."""
    warmup, floor = RECIPE["warmup_steps"], RECIPE["final_learning_rate"]
    if step < warmup:
        return float((step + 1) / warmup)
    progress = (step - warmup) / max(1, steps - warmup)
    return float(floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def _batches(
    tokenizer: PreTrainedTokenizerFast, pairs: Iterable[tuple[str, str]], seed: int
) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
    """Batches of prompts and responses of similar length, which need little padding.

    The loss is a mean over the tokens of a batch, so batches of short direct answers weigh as much
    as batches of long traces. That is part of the recipe: it makes guessing dominate.
    """
    rng = random.Random(seed)
    stream, batch = iter(pairs), RECIPE["batch"]
    while bucket := list(islice(stream, batch * RECIPE["bucket"])):
        prompts = tokenizer([prompt for prompt, _ in bucket]).input_ids
        responses = tokenizer(
            [response + tokenizer.eos_token for _, response in bucket], add_special_tokens=False
        ).input_ids
        order = sorted(range(len(bucket)), key=lambda i: len(prompts[i]) + len(responses[i]))
        starts = list(range(0, len(order), batch))
        rng.shuffle(starts)
        for start in starts:
            chosen = order[start : start + batch]
            yield [prompts[i] for i in chosen], [responses[i] for i in chosen]
