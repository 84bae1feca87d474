"""Times vLLM against the transformers engine on the embedded model, run by run in turn.

    .venv-vllm/bin/python benchmarks/engines.py [--runs 7] [--shapes 8x16 32x8] [--json FILE]

Both sample P prompts x G responses of at most 44 tokens at temperature 1 from the warm-started
model, on one thread each; vLLM does so in a process of its own, as in training. `early` and `full`
are those of `sampler.py`: with `full` no token ends a response, on both sides. The transformers
engine's process keeps freed memory, as a training worker does. The number to read is the ratio of
tokens per second. Also told: seconds until vLLM has started, seconds to send it changed weights and
sample a token, and how far its log-probabilities are from the trainer's.
"""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import harness
import ray
import torch
from sampler import LIMIT, NEVER, compared, sampled_by_engine

from conspo_study.config import RunConfig, with_overrides
from conspo_study.data.arithmetic import CHAIN, demonstrations
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.stop import stop_ids
from conspo_study.policy.warm_start import warm_start
from conspo_study.policy.weights import named_weights
from conspo_study.rollout.engine import PolicyWeights, RolloutEngine, Sampling
from conspo_study.training.allocator import keep_freed_memory
from conspo_study.training.engines import rollout_engines

SHAPES = ("8x16", "32x8")


def largest_difference(engine: RolloutEngine, model: Any, tokenizer: Any) -> float:
    """Nats between an engine's log-probabilities and the trainer's, over a batch."""
    problems = [CHAIN.training_problem(0, index) for index in range(8)]
    prompts = [tokenizer(problem.text).input_ids for problem in problems]
    groups = engine.generate(prompts, 16, Sampling(1.0, LIMIT), range(8))
    rollouts = [rollout for group in groups for rollout in group]
    repeated = [prompt for prompt in prompts for _ in range(16)]
    with torch.no_grad():
        trainer = response_logprobs(model, repeated, [r.tokens for r in rollouts])
    sampler = torch.tensor([p for r in rollouts for p in r.logprobs])
    return float((trainer - sampler).abs().max())


def both(model: Any, tokenizer: Any, ends: str, shapes: list[str], runs: int) -> dict[str, Any]:
    """Bring both engines up, compare them shape by shape, and print."""
    config = with_overrides(RunConfig(), {"rollout.engine": "vllm"})
    plain = with_overrides(config, {"rollout.engine": "transformers"})
    stops = stop_ids if ends == "early" else lambda *_: NEVER
    updates = 0
    weights = PolicyWeights("seed 0", lambda: updates, lambda: named_weights(model))
    with (
        tempfile.TemporaryDirectory() as folder,
        rollout_engines(config, Path(folder), stops) as vllm_of,
        rollout_engines(plain, Path(folder), stops) as transformers_of,
    ):
        began = time.perf_counter()
        engines = {name: of(model, tokenizer, weights) for name, of in
                   (("engine", transformers_of), ("vllm", vllm_of))}  # fmt: skip
        prompt = tokenizer(CHAIN.training_problem(0, 0).text).input_ids
        engines["vllm"].generate([prompt], 1, Sampling(1.0, 1), [0])
        started = time.perf_counter() - began
        ways = {name: partial(sampled_by_engine, engine) for name, engine in engines.items()}
        table = [compared(shape, ends, ways, tokenizer, runs) for shape in shapes]
        difference = largest_difference(engines["vllm"], model, tokenizer)
        sending = []
        for _ in range(runs):
            updates += 1
            began = time.perf_counter()
            engines["vllm"].generate([prompt], 1, Sampling(1.0, 1), [0])
            sending.append(time.perf_counter() - began)
    sent = harness.Spread.of(sending)
    print(
        f"{'':6} {ends:5} vLLM: start {started:.1f} s, weights and a token {sent.text(1e3, 1)} ms, "
        f"largest difference {difference:.1e} nats"
    )
    found = {"ends": ends, "table": table, "vllm_start_s": started}
    return found | {"send_weights_s": sent, "largest_difference_nats": difference}


def main() -> None:
    """Measure and print."""
    parser = harness.parser(__doc__, runs=7)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="prompts x responses to each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(address="local", num_cpus=2, log_to_driver=False)
    model, tokenizer = load_policy(RunConfig().policy, warm_start(demonstrations))
    print(f"{'shape':>6} {'ends':5} {'engine, k tokens/s':>22} {'vllm':>22}  ratio")
    found = [
        both(model, tokenizer, ends, list(arguments.shapes), arguments.runs)
        for ends in ("early", "full")
    ]
    harness.write(arguments.json, {"limit": LIMIT, "ends": found})


if __name__ == "__main__":
    main()
