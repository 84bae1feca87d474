"""Times scoring with gradients against nothing but the matrix products that it is made of.

    python benchmarks/matmul_floor.py [--runs 15] [--models embedded 135m] [--profile 20]
                                      [--json results.json]

`scored` is `response_logprobs` and its backward pass, on one thread. `products` are the products of
the model's linear layers alone, with the model's own weights and into memory that is there: for
every layer the output, the gradient of the input and that of the weight. Each token that must be
read counts once: a prompt once per group, the last token of a response not at all; the head sees
response positions only. `attention` adds the batched products of attention, two forward and four
backward, of the rollouts as they are padded. Whatever else a model does takes time on top of these
floors. Number to read: the ratio of `scored` to either.

`embedded`: 8 prompts x 16 responses sampled from the warm-started model. `135m`: a model of
SmolLM2-135M's shape with random weights, 2 prompts of 64 tokens x 8 responses of 32; 3 runs do.
`--profile` lists what the time goes into, by operation, for the named number of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import harness
import torch
from full_step import PROMPT_WORDS, SMOLLM2
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from conspo_study.config.stages import PolicyConfig
from conspo_study.data.arithmetic import CHAIN, demonstrations
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import enable_packing
from conspo_study.policy.packing import Packing
from conspo_study.policy.warm_start import warm_start
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.allocator import keep_freed_memory

Tokens = list[list[int]]
Product = Callable[[], Any]


class Case(NamedTuple):
    """A model, and prompts with responses, one of each per rollout."""

    model: Any
    prompts: Tokens
    responses: Tokens


def embedded_case() -> Case:
    """The warm-started model and what it answers."""
    model, tokenizer = load_policy(PolicyConfig(), warm_start(demonstrations))
    prompts = [tokenizer(CHAIN.training_problem(0, index).text).input_ids for index in range(8)]
    groups = TransformersEngine(model, tokenizer).generate(
        prompts, 16, Sampling(1.0, 44), range(len(prompts))
    )
    pairs = [(p, list(r.tokens)) for p, group in zip(prompts, groups, strict=True) for r in group]
    return Case(model, [p for p, _ in pairs], [r for _, r in pairs])


def random_case() -> Case:
    """A random model of SmolLM2-135M's shape, and random tokens."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMOLLM2)).eval()
    enable_packing(model)
    vocabulary = SMOLLM2["vocab_size"]
    prompts = torch.randint(vocabulary, (2, PROMPT_WORDS)).repeat_interleave(8, dim=0).tolist()
    return Case(model, prompts, torch.randint(vocabulary, (16, 32)).tolist())


CASES: dict[str, Callable[[], Case]] = {"embedded": embedded_case, "135m": random_case}


def linear_products(model: Any, packing: Packing) -> tuple[list[Product], float]:
    """The products of all linear layers, forward and backward, and their GFLOP."""
    head = model.get_output_embeddings()
    read, scored = len(packing.tokens_T), len(packing.predicting_N)
    buffers: dict[tuple[int, int], Tensor] = {}

    def buffer(rows: int, columns: int) -> Tensor:
        return buffers.setdefault((rows, columns), torch.randn(rows, columns))

    products: list[Product] = []
    flops = 0.0
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear)):
        weight_OI = layer.weight.detach()
        wide, deep = weight_OI.shape
        rows = scored if layer is head else read
        x_RI, y_RO, gradient_OI = (
            buffer(rows, deep),
            buffer(rows, wide),
            torch.empty_like(weight_OI),
        )
        into = torch.empty(rows, wide), torch.empty(rows, deep)
        products += [
            partial(torch.mm, x_RI, weight_OI.T, out=into[0]),
            partial(torch.mm, y_RO, weight_OI, out=into[1]),
            partial(torch.mm, y_RO.T, x_RI, out=gradient_OI),
        ]
        flops += 6.0 * rows * wide * deep
    return products, flops / 1e9


def attention_products(model: Any, packing: Packing) -> tuple[list[Product], float]:
    """The batched products of attention in all layers, forward and backward, and their GFLOP."""
    config = model.config
    heads, size = config.num_attention_heads, model.model.layers[0].self_attn.head_dim
    products: list[Product] = []
    flops = 0.0
    for index_BL in packing.rollouts:
        batch, length = len(index_BL) * heads, index_BL.shape[1]
        x_BLD = torch.randn(batch, length, size)
        weights_BLL = torch.randn(batch, length, length)
        onto_BLL, onto_BLD = torch.empty_like(weights_BLL), torch.empty_like(x_BLD)
        # Scores and the gradient of weights; then outputs, and gradients of values, queries, keys.
        square = partial(torch.bmm, x_BLD, x_BLD.mT, out=onto_BLL)
        thin = partial(torch.bmm, weights_BLL, x_BLD, out=onto_BLD)
        turned = partial(torch.bmm, weights_BLL.mT, x_BLD, out=onto_BLD)
        products += [square, square, thin, thin, turned, turned] * config.num_hidden_layers
        flops += 12.0 * batch * length**2 * size * config.num_hidden_layers
    return products, flops / 1e9


def run_products(products: list[Product], _: int) -> float:
    """Seconds of all of them."""
    start = time.perf_counter()
    for product in products:
        product()
    return time.perf_counter() - start


def run_scored(case: Case, _: int) -> float:
    """Seconds of the forward and backward pass."""
    case.model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    torch.autograd.backward(response_logprobs(*case).sum())
    return time.perf_counter() - start


def compared(name: str, runs: int, operations: int) -> dict[str, Any]:
    """Measure a case and print."""
    case = CASES[name]()
    packing = Packing.of(case.prompts, case.responses, "cpu")
    linear, linear_gflop = linear_products(case.model, packing)
    attention, attention_gflop = attention_products(case.model, packing)
    ways: dict[str, Callable[[int], float]] = {
        "products": partial(run_products, linear),
        "attention": partial(run_products, linear + attention),
        "scored": partial(run_scored, case),
    }
    taken = harness.in_turn(ways, runs, warm_up=2)
    gflop = {"products": linear_gflop, "attention": linear_gflop + attention_gflop}
    found: dict[str, Any] = {"tokens": len(packing.tokens_T), "gflop": gflop}
    print(f"{name}: {len(packing.tokens_T)} tokens, {len(packing.predicting_N)} scored")
    for way in ways:
        spread = harness.Spread.of(taken[way])
        text = f"  {way:10} {spread.text(1e3, 1):>24} ms"
        if way in gflop:
            ratio = harness.ratio(taken["scored"], taken[way])
            rate = gflop[way] / spread.median
            text += f"  {gflop[way]:7.2f} GFLOP {rate:6.1f} GFLOP/s  scored / it {ratio.text()}"
            found[f"scored / {way}"] = ratio
        found[way] = spread
        print(text, flush=True)
    if operations:
        with torch.profiler.profile() as profile:
            run_scored(case, 0)
        averages = profile.key_averages()
        print(averages.table(sort_by="self_cpu_time_total", row_limit=operations))
    return found


def main() -> None:
    """Measure and print."""
    parser = harness.parser(__doc__, runs=15)
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=["embedded"])
    parser.add_argument("--profile", type=int, default=0, help="operations to list")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = {name: compared(name, arguments.runs, arguments.profile) for name in arguments.models}
    harness.write(arguments.json, {"models": found})


if __name__ == "__main__":
    main()
