"""Memory and time of log-probabilities in chunks of the vocabulary's logits, against all at once.

    python benchmarks/logprob_memory.py [--runs 5] [--tokens 512 1024 2048] [--json results.json]

Scores responses with a model of one small layer and a vocabulary of 50,000 and of 150,000, forward
and backward, on one thread. Every run is a process of its own, so that its peak is its own; the
ways take turns. Memory is what a run needed beyond the loaded model. Read the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conspo_study.policy import logprobs
from conspo_study.policy.logprobs import response_logprobs

VOCABULARIES = (50_000, 150_000)
HIDDEN, PROMPT, RESPONSE = 64, 8, 128
MIB = 2**20


def all_at_once(model: Any, prompts: list[list[int]], responses: list[list[int]]) -> torch.Tensor:
    """The definition: logits of all tokens, then their log-softmax."""
    tokens_BL = torch.tensor([p + r for p, r in zip(prompts, responses, strict=True)])
    logits_BLV = model(tokens_BL).logits[:, PROMPT - 1 : -1]
    logp_BLV = torch.log_softmax(logits_BLV.float(), dim=-1)
    return logp_BLV.gather(-1, tokens_BL[:, PROMPT:, None]).flatten()


def measure(way: str, vocabulary: int, tokens: int) -> dict[str, float]:
    """Seconds of one forward and backward pass, after one of a single response, and the MiB at its
    peak beyond what the first had left."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    model = LlamaForCausalLM(config)
    score: Callable[..., torch.Tensor] = all_at_once
    if way != "all at once":
        logprobs.CHUNK_ELEMENTS = int(way)
        score = response_logprobs

    def run(rows: int) -> None:
        prompts = torch.randint(vocabulary, (rows, PROMPT)).tolist()
        responses = torch.randint(vocabulary, (rows, RESPONSE)).tolist()
        score(model, prompts, responses).sum().backward()

    run(1)
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    start = time.perf_counter()
    run(tokens // RESPONSE)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "mib": (peak * 1024 - held) / MIB}


def in_a_process(way: str, vocabulary: int, tokens: int) -> dict[str, float]:
    """`measure` where nothing else has used memory."""
    arguments = ["--measure", way, str(vocabulary), str(tokens)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        check=True,
        # Freed memory goes back at once, so that a peak is of what is alive.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--chunks", type=int, nargs="+", default=[logprobs.CHUNK_ELEMENTS])
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, vocabulary, tokens = arguments.measure
        print(json.dumps(measure(way, int(vocabulary), int(tokens))))
        return
    ways = ["all at once", *map(str, arguments.chunks)]
    table: list[dict[str, Any]] = []
    print(f"{'vocabulary':>10} {'tokens':>6}  {'logits at once':14} {'MiB':>7} {'s':>7}  ratios")
    for vocabulary in VOCABULARIES:
        for tokens in arguments.tokens:
            runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
            for _ in range(arguments.runs):
                for way in ways:
                    runs[way].append(in_a_process(way, vocabulary, tokens))
            base = {
                key: median(run[key] for run in runs["all at once"]) for key in ("mib", "seconds")
            }
            for way in ways:
                mib, seconds = (median(run[key] for run in runs[way]) for key in ("mib", "seconds"))
                row = {"vocabulary": vocabulary, "tokens": tokens, "way": way, "mib": mib}
                row |= {"seconds": seconds, "memory_ratio": mib / base["mib"]}
                row |= {"time_ratio": seconds / base["seconds"]}
                table.append(row)
                print(
                    f"{vocabulary:10,} {tokens:6,}  {way:14} {mib:7.0f} {seconds:7.2f}  "
                    f"memory {row['memory_ratio']:.2f}  time {row['time_ratio']:.2f}"
                )
    if arguments.json:
        result = {"torch": torch.__version__, "runs": arguments.runs, "table": table}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
