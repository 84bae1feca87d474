"""Times vLLM against the transformers engine on the embedded model, run by run in turn.

    .venv-vllm/bin/python benchmarks/engines.py [--runs 7] [--json results.json]

Both sample 16 responses to each of 8 prompts at temperature 1 from the warm-started model, on one
thread; vLLM does so in a process of its own, as in training. Also told: seconds until vLLM has
started, seconds to send it changed weights, and how far its log-probabilities are from the
trainer's.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import ray
import torch

from conspo_study.config import RunConfig, with_overrides
from conspo_study.data.arithmetic import demonstrations, training_problem
from conspo_study.engines import rollout_engines
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.warm_start import warm_start
from conspo_study.policy.weights import named_weights
from conspo_study.rollout.engine import PolicyWeights, RolloutEngine, Sampling

PROMPTS, SAMPLES, LIMIT = 8, 16, 44


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(address="local", num_cpus=2, log_to_driver=False)
    config = with_overrides(RunConfig(), {"rollout.engine": "vllm"})
    model, tokenizer = load_policy(config.policy, warm_start(demonstrations))
    problems = [training_problem(0, index) for index in range(PROMPTS)]
    prompts = [tokenizer(problem.text).input_ids for problem in problems]
    updates = 0
    weights = PolicyWeights("seed 0", lambda: updates, lambda: named_weights(model))

    def sample(engine: RolloutEngine, run: int) -> tuple[float, int, float]:
        """Seconds, tokens, and the largest difference to the trainer's log-probabilities."""
        seeds = [run * PROMPTS + index for index in range(PROMPTS)]
        start = time.perf_counter()
        groups = engine.generate(prompts, SAMPLES, Sampling(1.0, LIMIT), seeds)
        seconds = time.perf_counter() - start
        rollouts = [rollout for group in groups for rollout in group]
        repeated = [prompt for prompt in prompts for _ in range(SAMPLES)]
        with torch.no_grad():
            trainer = response_logprobs(model, repeated, [r.tokens for r in rollouts])
        sampler = torch.tensor([p for r in rollouts for p in r.logprobs])
        return seconds, len(sampler), float((trainer - sampler).abs().max())

    plain = with_overrides(config, {"rollout.engine": "transformers"})
    with (
        tempfile.TemporaryDirectory() as folder,
        rollout_engines(config, Path(folder)) as vllm_of,
        rollout_engines(plain, Path(folder)) as transformers_of,
    ):
        vllm = vllm_of(model, tokenizer, weights)
        own = transformers_of(model, tokenizer, weights)
        start, _, _ = sample(vllm, 0)
        sample(own, 0)
        rates: dict[str, list[float]] = {"vllm": [], "transformers": []}
        syncs, errors = [], []
        for run in range(1, arguments.runs + 1):
            for name, engine in (("vllm", vllm), ("transformers", own)):
                seconds, tokens, error = sample(engine, run)
                rates[name].append(tokens / seconds)
                if name == "vllm":
                    errors.append(error)
            updates += 1
            began = time.perf_counter()
            vllm.generate(prompts[:1], 1, Sampling(1.0, 1), [0])
            syncs.append(time.perf_counter() - began)
    found = {
        "start_s": start,
        "send_weights_s": median(syncs),
        "vllm_tokens_per_s": median(rates["vllm"]),
        "transformers_tokens_per_s": median(rates["transformers"]),
        "largest_difference_nats": max(errors),
    }
    for name, value in found.items():
        print(f"{name:28} {value:.4g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
