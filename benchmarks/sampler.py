"""Times the rollout engine against `model.generate` on the embedded model, run by run in turn.

    python benchmarks/sampler.py [--runs 15] [--shapes 8x16 32x8 96x8 1x16] [--json results.json]

Both sample P prompts x G responses of at most 44 tokens at temperature 1 from the warm-started
model, on one thread, and decode the text. `early` lets a response end at its end-of-sequence token,
as in training. `full` gives every response 44 tokens, on both sides alike: no token ends one, the
end-of-sequence token is drawn and continued like any other. `generate` then has no stopping test
to make, and neither side masks anything. The engine also returns the log-probability of every
token, `generate` does not. The process keeps freed memory, which serves both. Prompts and seeds,
and hence the lengths, change from run to run; the number to read is the ratio of tokens per second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from itertools import takewhile
from typing import Any
from unittest.mock import patch

import harness
import torch

from conspo_study.config.stages import PolicyConfig
from conspo_study.data.arithmetic import CHAIN, demonstrations
from conspo_study.policy.load import load_policy
from conspo_study.policy.warm_start import warm_start
from conspo_study.rollout.engine import RolloutEngine, Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.allocator import keep_freed_memory

SHAPES = ("8x16", "32x8", "96x8", "1x16")
LIMIT = 44
NEVER = ()
"""Stop tokens of an engine that stops at the limit alone."""

Prompts = list[list[int]]
Sampler = Callable[[Prompts, int, int], int]
"""Prompts, responses to each and a seed -> the number of response tokens, stop tokens included."""


def sampled_by_engine(engine: RolloutEngine, prompts: Prompts, samples: int, seed: int) -> int:
    """Sample with an engine."""
    seeds = [seed * len(prompts) + index for index in range(len(prompts))]
    groups = engine.generate(prompts, samples, Sampling(1.0, LIMIT), seeds)
    return sum(len(rollout.tokens) for group in groups for rollout in group)


def sampled_by_generate(
    model: Any, tokenizer: Any, full: bool, prompts: Prompts, samples: int, seed: int
) -> int:
    """Sample with `generate` and decode the text, as the engine does."""
    torch.manual_seed(seed)
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    settings = deepcopy(model.generation_config)
    settings.update(do_sample=True, top_k=0, num_return_sequences=samples, max_new_tokens=LIMIT)
    if full:
        settings.eos_token_id = None
    # The model's own configuration fills in what is None here.
    with torch.inference_mode(), patch.object(model, "generation_config", settings):
        output = model.generate(**batch)
    rows = output[:, batch.input_ids.shape[1] :].tolist()
    tokenizer.batch_decode(rows, skip_special_tokens=True)
    if full:
        return sum(map(len, rows))
    end = tokenizer.eos_token_id
    return sum(
        min(len(row), 1 + len(list(takewhile(lambda token: token != end, row)))) for row in rows
    )


def rate(sample: Sampler, tokenizer: Any, prompts: int, samples: int, run: int) -> float:
    """Tokens per second of one batch; run: a number of its own for each, from -1."""
    first = (run + 1) * prompts
    texts = [CHAIN.training_problem(0, first + index).text for index in range(prompts)]
    tokens = [tokenizer(text).input_ids for text in texts]
    start = time.perf_counter()
    count = sample(tokens, samples, run + 1)
    return count / (time.perf_counter() - start)


def compared(
    shape: str, ends: str, ways: Mapping[str, Sampler], tokenizer: Any, runs: int
) -> dict[str, Any]:
    """Time two ways in turn on a shape, print a line and return the row: rates, and the ratio of
    the first way's to the second's."""
    prompts, samples = map(int, shape.split("x"))
    rates = harness.in_turn(
        {name: partial(rate, way, tokenizer, prompts, samples) for name, way in ways.items()}, runs
    )
    first, second = ways
    spreads = {name: harness.Spread.of(rates[name]) for name in ways}
    ratio = harness.ratio(rates[first], rates[second])
    columns = "".join(f" {spreads[name].text(1e-3, 1):>22}" for name in ways)
    print(f"{shape:>6} {ends:5}{columns}  {ratio.text()}", flush=True)
    row = {"shape": shape, "ends": ends, "ratio": ratio}
    return row | {f"{name}_tokens_per_s": spreads[name] for name in ways}


def main() -> None:
    """Measure and print."""
    parser = harness.parser(__doc__, runs=15)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="prompts x responses to each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    model, tokenizer = load_policy(PolicyConfig(), warm_start(demonstrations))
    stops = {"early": None, "full": NEVER}
    table = []
    print(f"{'shape':>6} {'ends':5} {'engine, k tokens/s':>22} {'generate':>22}  ratio")
    for shape in arguments.shapes:
        for ends, stop_ids in stops.items():
            engine = TransformersEngine(model, tokenizer, stop_ids=stop_ids)
            ways: dict[str, Sampler] = {
                "engine": partial(sampled_by_engine, engine),
                "generate": partial(sampled_by_generate, model, tokenizer, stop_ids is not None),
            }
            table.append(compared(shape, ends, ways, tokenizer, arguments.runs))
    harness.write(arguments.json, {"limit": LIMIT, "table": table})


if __name__ == "__main__":
    main()
