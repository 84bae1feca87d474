"""Times the objective layer alone: from log-probabilities to one weight per token.

    python benchmarks/objectives.py [--runs 7] [--sizes 64 512 4096 ...] [--json results.json]

Every registered objective with its defaults, and 0.1 for what has none, on made-up
log-probabilities: groups of 16 rollouts with contrast, responses of 4 to 44 tokens, a policy that
has moved by some hundredths of a nat from the one that sampled, float32. Timed are `GroupBatch.of`,
loss and gradient, as an optimiser step has them, and then what a step says of its batch whatever
the objective: the diagnostics. All ways take turns, on one thread. The numbers to read are
microseconds per rollout, and `growth`, those at the largest size over those at the size that is
nearest to a sixteenth of it: 1 is linear.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from harness import Spread, in_turn, parser, ratio, write
from torch import Tensor

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import GroupBatch, Progress, objective_named, token_weights
from conspo_study.objective.diagnostics import (
    grpo_identity_gap,
    mismatch_metrics,
    ratio_metrics,
    score_metrics,
)
from conspo_study.training.allocator import keep_freed_memory

GROUP, SHORTEST, LONGEST = 16, 4, 44
SIZES = (64, 512, 4096, 16384, 65536)
PROGRESS = Progress(step=10, steps=80)
MOVED = 0.03
"""Standard deviation of log pi_theta - log pi_old, in nats."""
APART = 16
"""Of the two sizes that `growth` compares, how many times the larger one is the smaller one."""


@dataclass(frozen=True)
class Inputs:
    """What an optimiser step knows before it asks for weights."""

    logprobs_T: Tensor
    old_T: Tensor
    lengths: list[int]
    correct: list[bool]

    @classmethod
    def of(cls, rollouts: int) -> Inputs:
        """rollouts: a multiple of the group size."""
        rng, generator = random.Random(rollouts), torch.Generator().manual_seed(rollouts)
        lengths = [rng.randint(SHORTEST, LONGEST) for _ in range(rollouts)]
        correct = [
            i % GROUP == 0 or (i % GROUP > 1 and rng.random() < 0.4) for i in range(rollouts)
        ]
        old_T = -torch.rand(sum(lengths), generator=generator)
        return cls(
            old_T + MOVED * torch.randn(len(old_T), generator=generator), old_T, lengths, correct
        )

    def batch(self, logprobs_T: Tensor) -> GroupBatch:
        """The batch that objectives read."""
        groups = [GROUP] * (len(self.lengths) // GROUP)
        return GroupBatch.of(
            logprobs_T,
            self.old_T,
            self.lengths,
            groups,
            self.correct,
            max_response_length=LONGEST,
        )


def options_of(name: str) -> Any:
    """The options of the objective `name` to be timed."""
    fields = OPTIONS[name].model_fields.items()
    return OPTIONS[name](name=name, **{key: 0.1 for key, field in fields if field.is_required()})


def objective_ways(inputs: Inputs) -> dict[str, Callable[[], Any]]:
    """By name of the objective, from log-probabilities to weights."""

    def weights(name: str) -> Any:
        batch = inputs.batch(inputs.logprobs_T)
        return token_weights(batch, objective_named(name), options_of(name), PROGRESS)

    return {name: partial(weights, name) for name in sorted(OPTIONS)}


def diagnostic_ways(inputs: Inputs) -> dict[str, Callable[[], Any]]:
    """By name, what a step measures of its batch. What a batch remembers is forgotten each time."""
    whole = inputs.batch(inputs.logprobs_T)
    return {
        "score_metrics": lambda: score_metrics(replace(whole)),
        "ratio_metrics": lambda: ratio_metrics(replace(whole)),
        "grpo_identity_gap": lambda: grpo_identity_gap(replace(whole)),
        "mismatch_metrics": lambda: mismatch_metrics(inputs.logprobs_T, inputs.old_T),
    }


def microseconds_per_rollout(
    action: Callable[[], Any], rollouts: int, at_least: int, _: int
) -> float:
    """Of `action` on a batch of so many rollouts, which is done again until there were `at_least`
    of them, so that the clock can tell."""
    times = max(1, at_least // rollouts)
    start = time.perf_counter()
    for _ in range(times):
        action()
    return 1e6 * (time.perf_counter() - start) / (times * rollouts)


def measured(
    ways_of: Callable[[Inputs], Mapping[str, Callable[[], Any]]],
    sizes: list[int],
    runs: int,
    at_least: int,
) -> dict[str, dict[int, list[float]]]:
    """By way and size, microseconds per rollout of each run; all ways and sizes take turns."""
    ways = {
        (name, size): partial(microseconds_per_rollout, action, size, at_least)
        for size in sizes
        for name, action in ways_of(Inputs.of(size)).items()
    }
    named = {f"{name}:{size}": way for (name, size), way in ways.items()}
    found = in_turn(named, runs)
    table: dict[str, dict[int, list[float]]] = {}
    for name, size in ways:
        table.setdefault(name, {})[size] = found[f"{name}:{size}"]
    return table


def growth(row: Mapping[int, list[float]]) -> Spread:
    """Cost per rollout at the largest size over that at one a sixteenth as large, or nearest."""
    largest = max(row)
    smaller = min(row, key=lambda size: abs(size * APART - largest))
    return ratio(row[largest], row[smaller])


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=7)
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rollouts of a batch")
    options.add_argument(
        "--at-least", type=int, default=4096, help="rollouts of a run: smaller batches are repeated"
    )
    arguments = options.parse_args()
    sizes = sorted(arguments.sizes)
    if any(size < GROUP or size % GROUP for size in sizes):
        options.error(f"--sizes: rollouts come in groups of {GROUP}")
    torch.set_num_threads(1)
    keep_freed_memory()
    result: dict[str, Any] = {"group_size": GROUP, "sizes": sizes, "unit": "us per rollout"}
    print(f"{'us per rollout':22s} {' '.join(f'{size:>22d}' for size in sizes)}  growth")
    for title, ways_of in (("objectives", objective_ways), ("diagnostics", diagnostic_ways)):
        result[title] = {}
        for name, row in measured(ways_of, sizes, arguments.runs, arguments.at_least).items():
            spreads = {size: Spread.of(values) for size, values in row.items()}
            grown = growth(row)
            result[title][name] = {"per_rollout": spreads, "growth": grown}
            cells = " ".join(f"{spread.text():>22s}" for spread in spreads.values())
            print(f"{name:22s} {cells}  {grown.text()}")
        print()
    write(arguments.json, result)


if __name__ == "__main__":
    main()
