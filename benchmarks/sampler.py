"""Times the rollout engine against `model.generate` on the embedded model, run by run in turn.

    python benchmarks/sampler.py [--runs 15] [--json results.json]

Both sample 16 responses to each of 8 prompts at temperature 1 from the warm-started model, on one
thread. Seeds, and hence response lengths, change from run to run; the number to read is the ratio
of tokens per second.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from conspo_study.config.stages import PolicyConfig
from conspo_study.data.arithmetic import demonstrations, training_problem
from conspo_study.policy.load import load_policy
from conspo_study.policy.warm_start import warm_start
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine

PROMPTS, SAMPLES, LIMIT = 8, 16, 44


def run_engine(engine: TransformersEngine, prompts: list[list[int]], seed: int) -> int:
    """Sample with the engine; returns the number of response tokens."""
    seeds = [seed * PROMPTS + index for index in range(PROMPTS)]
    groups = engine.generate(prompts, SAMPLES, Sampling(1.0, LIMIT), seeds)
    return sum(len(rollout.tokens) for group in groups for rollout in group)


def run_generate(model: Any, tokenizer: Any, prompts: list[list[int]], seed: int) -> int:
    """Sample with `generate` and decode the text, as the engine does."""
    torch.manual_seed(seed)
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    output = model.generate(
        **batch, do_sample=True, top_k=0, num_return_sequences=SAMPLES, max_new_tokens=LIMIT
    )
    response = output[:, batch.input_ids.shape[1] :]
    tokenizer.batch_decode(response, skip_special_tokens=True)
    return int((response != tokenizer.pad_token_id).sum())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_policy(PolicyConfig(), warm_start(demonstrations))
    engine = TransformersEngine(model, tokenizer)

    seconds: dict[str, list[float]] = {"engine": [], "generate": []}
    speed: dict[str, list[float]] = {"engine": [], "generate": []}
    for seed in range(-2, arguments.runs):  # the first two runs warm up
        problems = [training_problem(0, abs(seed) * PROMPTS + i) for i in range(PROMPTS)]
        prompts = [tokenizer(problem.text).input_ids for problem in problems]
        for name in seconds:
            start = time.perf_counter()
            if name == "engine":
                tokens = run_engine(engine, prompts, abs(seed))
            else:
                tokens = run_generate(model, tokenizer, prompts, abs(seed))
            elapsed = time.perf_counter() - start
            if seed >= 0:
                seconds[name].append(elapsed)
                speed[name].append(tokens / elapsed)

    result: dict[str, Any] = {
        "torch": torch.__version__,
        "runs": arguments.runs,
        "seconds": {name: median(values) for name, values in seconds.items()},
        "tokens_per_second": {name: median(values) for name, values in speed.items()},
        "ratio": median(speed["engine"]) / median(speed["generate"]),
    }
    for name in seconds:
        print(
            f"{name:9s} {1e3 * result['seconds'][name]:7.1f} ms "
            f"{result['tokens_per_second'][name]:9.0f} tokens/s"
        )
    print(f"ratio     {result['ratio']:7.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
