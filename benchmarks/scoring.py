"""Time and memory of scoring responses with gradients: ours, and with the logits of every token.

    python benchmarks/scoring.py [--runs 5] [--vocabularies 64 50000 150000] [--chunks N ...]
                                 [--hidden 128] [--layers 2] [--json results.json]

Forward and backward of the mean log-probability of 16 responses of 8 to 64 tokens behind prompts of
64, with a random Llama, on one thread. `shared`: two groups of 8 responses, each group with
one prompt; `own`: 16 prompts.

`ours` is what training does: one packed row, the head applied to response positions only, in chunks
of `CHUNK_ELEMENTS` logits, with a backward pass of its own that computes them again where there are
several. `--chunks` adds other sizes. `at once` is the same row and the same positions with
PyTorch's cross-entropy of all of them. `naive` is the definition: a padded row for each response,
logits of all its positions, their log-softmax. Numbers to read: the ratios to `naive`, and, for
what chunks cost and save, those to `at once`. Computing logits again adds a third to the products
of the head, so what chunks cost depends on the head's share of the model's products, which is
printed: nearly all of the default model's, a fifth with `--vocabularies 49152 --hidden 576 --layers
30 --chunks 8388608 --runs 2`, SmolLM2-135M's shape.

Time is taken with all ways in turn in one process that keeps freed memory, as training workers do,
which serves all of them. Memory is what a run needed beyond the loaded model and its gradient, in a
process of its own that gives freed memory back at once, so that its peak is of what is alive.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

import harness
import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from conspo_study.policy import logprobs
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import enable_packing, packed_hidden
from conspo_study.policy.packing import Packing, gathered
from conspo_study.training.allocator import keep_freed_memory
from conspo_study.update.resident import peak_resident_bytes

GROUPS, SAMPLES, PROMPT = 2, 8, 64
SHORTEST, LONGEST = 8, 64
MIB = 2**20

Score = Callable[[Any, list[list[int]], list[list[int]]], torch.Tensor]


class Rollouts(NamedTuple):
    """Prompts and their responses, one of each per rollout."""

    prompts: list[list[int]]
    responses: list[list[int]]


def naive(model: Any, prompts: list[list[int]], responses: list[list[int]]) -> torch.Tensor:
    """The definition: logits of all tokens in padded rows, then their log-softmax."""
    rows = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
    width = max(map(len, rows))
    # On the right, where a causal model does not see it, padding needs no mask.
    tokens_BL = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    logp_BLV = torch.log_softmax(model(tokens_BL, use_cache=False).logits[:, :-1], dim=-1)
    logp_BL = logp_BLV.gather(-1, tokens_BL[:, 1:, None])[..., 0]
    parts = [
        logp_L[len(prompt) - 1 : len(prompt) + len(response) - 1]
        for logp_L, prompt, response in zip(logp_BL, prompts, responses, strict=True)
    ]
    return torch.cat(parts)


def at_once(model: Any, prompts: list[list[int]], responses: list[list[int]]) -> torch.Tensor:
    """Packed, without chunks, and differentiated by PyTorch."""
    packing = Packing.of(prompts, responses, "cpu")
    hidden_ND = gathered(packed_hidden(model, packing), packing.predicting_N)
    target_N = torch.tensor(list(chain.from_iterable(responses)))
    logits_NV = model.get_output_embeddings()(hidden_ND)
    return -functional.cross_entropy(logits_NV, target_N, reduction="none")


def in_chunks(
    elements: int, model: Any, prompts: list[list[int]], responses: list[list[int]]
) -> torch.Tensor:
    """What training does, with chunks of that many logits."""
    with patch.object(logprobs, "CHUNK_ELEMENTS", elements):
        return response_logprobs(model, prompts, responses)


def score_named(way: str) -> Score:
    """`naive`, `at once`, or a number of logits."""
    named: dict[str, Score] = {"naive": naive, "at once": at_once}
    return named[way] if way in named else partial(in_chunks, int(way))


class Shape(NamedTuple):
    """Of a model."""

    vocabulary: int
    hidden: int = 128
    layers: int = 2


DEFAULT = Shape(vocabulary=64)


def random_llama(shape: Shape) -> Any:
    """A model that can be packed."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=3 * shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.hidden // 64,
            tie_word_embeddings=True,
        )
    )
    enable_packing(model)
    return model.eval()


def random_rollouts(vocabulary: int, shared: bool, count: int = GROUPS * SAMPLES) -> Rollouts:
    """Random tokens; the lengths are the same for every vocabulary."""
    rng = random.Random(0)
    lengths = [rng.randint(SHORTEST, LONGEST) for _ in range(count)]

    def tokens(length: int) -> list[int]:
        return [rng.randrange(vocabulary) for _ in range(length)]

    distinct = [tokens(PROMPT) for _ in range(count)]
    prompts = [distinct[i // SAMPLES] for i in range(count)] if shared else distinct
    return Rollouts(prompts, [tokens(length) for length in lengths])


def head_share(model: Any) -> float:
    """Of the products that a token costs, where it is read and predicts a response's."""
    linear = [m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear)]
    return float(model.get_output_embeddings().weight.numel() / sum(linear))


def seconds(score: Score, model: Any, rollouts: Rollouts, _: int = 0) -> float:
    """Of one forward and backward pass; leaves the gradient."""
    model.zero_grad(set_to_none=False)
    start = time.perf_counter()
    torch.autograd.backward(score(model, *rollouts).mean())
    return time.perf_counter() - start


def peak_mib(way: str, shape: Shape, shared: bool) -> float:
    """Of one forward and backward pass, beyond model, gradient and libraries."""
    model, score = random_llama(shape), score_named(way)
    seconds(score, model, random_rollouts(shape.vocabulary, shared, count=1))
    rollouts = random_rollouts(shape.vocabulary, shared)
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    seconds(score, model, rollouts)
    return (peak_resident_bytes() - held) / MIB


def timed(ways: list[str], shape: Shape, shared: bool, runs: int) -> dict[str, list[float]]:
    """Seconds of each way, run by run."""
    keep_freed_memory()
    model, rollouts = random_llama(shape), random_rollouts(shape.vocabulary, shared)
    scores = {way: partial(seconds, score_named(way), model, rollouts) for way in ways}
    return harness.in_turn(scores, runs)


def in_a_process(what: dict[str, Any], environment: dict[str, str]) -> Any:
    """`peak_mib` or `timed` where nothing else has used memory."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", json.dumps(what)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    return json.loads(done.stdout)


def measured(what: dict[str, Any]) -> Any:
    """In the process that was made for it."""
    torch.set_num_threads(1)
    what["shape"] = Shape(*what["shape"])
    return timed(**what) if "ways" in what else peak_mib(**what)


def compared(
    shape: Shape, shared: bool, chunks: list[int], runs: int, memory_runs: int
) -> list[dict[str, Any]]:
    """Measure and print all ways of one case."""
    case = {"shape": shape, "shared": shared}
    ways = {"ours": str(logprobs.CHUNK_ELEMENTS), "at once": "at once", "naive": "naive"}
    ways |= {f"{chunk:,}": str(chunk) for chunk in chunks}
    taken = in_a_process({"ways": list(ways.values()), "runs": runs, **case}, {})
    peaks = {
        name: median(
            in_a_process({"way": way, **case}, {"MALLOC_MMAP_THRESHOLD_": "65536"})
            for _ in range(memory_runs)
        )
        for name, way in ways.items()
    }
    table = []
    for name, way in ways.items():
        row: dict[str, Any] = {**shape._asdict(), "shared": shared, "way": name, "mib": peaks[name]}
        row["seconds"] = harness.Spread.of(taken[way])
        text = f"{shape.vocabulary:10,} {'shared' if shared else 'own':7} {name:12} "
        text += f"{row['seconds'].text(digits=3):>23} {peaks[name]:7.0f}"
        for base in ("naive", "at once"):
            row[f"time / {base}"] = harness.ratio(taken[way], taken[ways[base]])
            row[f"memory / {base}"] = peaks[name] / peaks[base]
            text += f"  {row[f'time / {base}'].text()} {row[f'memory / {base}']:5.2f}"
        print(text, flush=True)
        table.append(row)
    return table


def main() -> None:
    """Measure and print."""
    parser = harness.parser(__doc__, runs=5)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[64, 50_000, 150_000])
    parser.add_argument("--hidden", type=int, default=DEFAULT.hidden)
    parser.add_argument("--layers", type=int, default=DEFAULT.layers)
    parser.add_argument("--chunks", type=int, nargs="+", default=[], help="in logits")
    parser.add_argument("--memory-runs", type=int, default=1, help="whose median is told")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments.measure)))
        return
    print(f"{'vocabulary':>10} {'prompts':7} {'way':12} {'s':>23} {'MiB':>7}  ratios of time and")
    print(f"{'':63}  memory to naive, to at once")
    table: list[dict[str, Any]] = []
    for vocabulary in arguments.vocabularies:
        shape = Shape(vocabulary, arguments.hidden, arguments.layers)
        with torch.device("meta"):
            share = head_share(random_llama(shape))
        print(f"{vocabulary:10,} the head is {share:.0%} of a token's products")
        for shared in (True, False):
            runs = arguments.runs, arguments.memory_runs
            table += compared(shape, shared, arguments.chunks, *runs)
    harness.write(arguments.json, {"table": table})


if __name__ == "__main__":
    main()
