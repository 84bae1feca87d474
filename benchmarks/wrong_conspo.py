"""Measures the gradient errors of the usual wrong ways to write ConSPO into a trainer.

    python benchmarks/wrong_conspo.py [--runs 10] [--prompts 8] [--taus 10 0.1] [--json out.json]

Batches of P prompts x 8 responses of the embedded model on its own problems, verified, groups with
and without contrast together. The exact gradient is autograd through the loss of whole groups, in
float64, with respect to all parameters. For each way the table has the relative error
|g - g*| / |g*| and the cosine of g and g*, as medians over batches with their quartiles. An
optimiser that divides by the size of the gradient, as Adam does, does not see a wrong factor: where
the cosine is 1, only the norm is wrong.

Everything is linear in token weights w_t: each way gives weights, and g = -sum_t w_t grad log pi_t.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from harness import Spread, parser, write
from step_job import last_boxed
from torch import Tensor

from conspo_study.config import ConSPOOptions
from conspo_study.config.stages import PolicyConfig
from conspo_study.data.arithmetic import CHAIN, demonstrations
from conspo_study.integrations import credits, signal_groups
from conspo_study.integrations.groups import arrange
from conspo_study.objective import GroupBatch, Progress, objective_of, token_weights
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.warm_start import warm_start
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine

SIZE = 8
LIMIT = 44
MICRO_BATCHES = (4, 8, 16, 32)
UPDATES = 4
LEARNING_RATES = (3e-4, 3e-3)
"""Of Adam: the default of studies, and ten times that."""
PENALTY = 0.2
"""Of the longest response, in units of the reward of a correct one."""
PROGRESS = Progress(step=10, steps=80)


@dataclass(frozen=True)
class Batch:
    """Sampled responses, group after group: one entry each."""

    prompts: list[list[int]]
    responses: list[list[int]]
    correct: list[bool]
    group: list[int]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each response."""
        return [len(response) for response in self.responses]

    @property
    def rows(self) -> int:
        """B, all of them."""
        return len(self.responses)


class Case(NamedTuple):
    """What a way is given."""

    batch: Batch
    logprobs_T: Tensor
    """Of the trainer, constant."""
    coarse_T: Tensor
    """Of the same weights in bfloat16, as a sampling engine has them."""
    options: ConSPOOptions
    rng: random.Random

    @property
    def scores_B(self) -> Tensor:
        """Mean log-probability of each response."""
        return means(self.logprobs_T, self.batch.lengths)


Way = Callable[[Case], Tensor]
"""Weights w_t = d objective / d log pi_t of all tokens, as a wrong trainer has them."""


def exact(
    case: Case, rows: Sequence[int] | None = None, group: Sequence[int] | None = None
) -> Tensor:
    """ConSPO of the given responses, all by default, as if they were the whole step."""
    batch, spans = case.batch, torch.split(torch.arange(len(case.logprobs_T)), case.batch.lengths)
    chosen = list(range(batch.rows)) if rows is None else list(rows)
    ids = batch.group if group is None else group
    plan = arrange([batch.correct[r] for r in chosen], [ids[r] for r in chosen], case.options)
    weights_T = torch.zeros_like(case.logprobs_T)
    if plan.rows:
        live = [chosen[place] for place in plan.rows]
        tokens = torch.cat([spans[row] for row in live])
        logprobs_T, lengths = case.logprobs_T[tokens], [batch.lengths[row] for row in live]
        groups = GroupBatch.of(logprobs_T, logprobs_T, lengths, plan.sizes, plan.correct)
        found = token_weights(groups, objective_of(ConSPOOptions), case.options, PROGRESS)
        weights_T[tokens] = -found.weights_T
    return weights_T


def by_credits(
    case: Case,
    scores_B: Tensor | None = None,
    correct: Sequence[bool] | None = None,
    *,
    token_mean: bool = False,
    all_groups: bool = False,
) -> Tensor:
    """The right way by default: A_i = c_i B / Q, frozen, under a mean over rollouts."""
    batch = case.batch
    verdicts = batch.correct if correct is None else correct
    scores_B = case.scores_B if scores_B is None else scores_B
    credits_B = credits(scores_B, verdicts, batch.group, case.options, PROGRESS)
    groups = signal_groups(verdicts, batch.group, case.options)
    advantages_B = credits_B * batch.rows / (len(set(batch.group)) if all_groups else groups)
    lengths_B = torch.tensor(batch.lengths, dtype=torch.float64)
    divisor_B = lengths_B.sum() if token_mean else batch.rows * lengths_B
    return torch.repeat_interleave(advantages_B / divisor_B, lengths_B.long())


def in_micro_batches(size: int, shuffled: bool, case: Case) -> Tensor:
    """ConSPO as the loss of each micro-batch, and their mean."""
    order = list(range(case.batch.rows))
    if shuffled:
        case.rng.shuffle(order)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    return torch.stack([exact(case, part) for part in parts]).sum(0) / len(parts)


def one_prompt_twice(case: Case) -> Tensor:
    """Two groups of the batch have one id, as groups named by their prompt's text do when a batch
    has the prompt twice. Taken are the two that have contrast first."""
    batch = case.batch
    mixed = [g for g in sorted(set(batch.group)) if len(set(verdicts_of(batch, g))) == 2]
    merged = [mixed[0] if g == mixed[1] else g for g in batch.group]
    return exact(case, group=merged)


def by_sign(case: Case) -> Tensor:
    """Correct is what has a positive advantage, where the reward has a small length penalty, too.

    Rewards of 0 and 1 alone have the right signs. Any other part gives signs to groups that are all
    correct or all wrong.
    """
    batch, longest = case.batch, max(case.batch.lengths)
    pairs = zip(batch.correct, batch.lengths, strict=True)
    rewards = [float(correct) - PENALTY * length / longest for correct, length in pairs]
    own = {g: members(batch, rewards, g) for g in set(batch.group)}
    mean = {g: sum(values) / len(values) for g, values in own.items()}
    signs = [r > mean[g] for r, g in zip(rewards, batch.group, strict=True)]
    return by_credits(case, correct=signs)


WAYS: dict[str, Way] = {
    "credits before the update": by_credits,
    **{
        f"a loss per micro-batch of {size}, shuffled": partial(in_micro_batches, size, True)
        for size in MICRO_BATCHES
    },
    f"a loss per micro-batch of {SIZE // 2}, in order": partial(in_micro_batches, SIZE // 2, False),
    "a token mean with A = c B / Q": partial(by_credits, token_mean=True),
    "one prompt twice, groups by text": one_prompt_twice,
    "verdicts by the sign of the advantage, length penalty": by_sign,
    "scores of a bfloat16 sampler": lambda case: by_credits(
        case, means(case.coarse_T, case.batch.lengths)
    ),
    "divided by all groups": partial(by_credits, all_groups=True),
}
"""The first one is right; it is here to show that the measure finds nothing where nothing is."""


def means(values_T: Tensor, lengths: Sequence[int]) -> Tensor:
    """Mean of each response's tokens."""
    return torch.stack([part.mean() for part in torch.split(values_T, list(lengths))])


def members(batch: Batch, values: Sequence[float], group: int) -> list[float]:
    """The values of a group."""
    return [value for value, g in zip(values, batch.group, strict=True) if g == group]


def verdicts_of(batch: Batch, group: int) -> list[bool]:
    """The verdicts of a group."""
    return [correct for correct, g in zip(batch.correct, batch.group, strict=True) if g == group]


def sample(model: Any, tokenizer: Any, prompts: int, run: int) -> Batch:
    """Draw a batch; run: a number of its own for each."""
    problems = [CHAIN.training_problem(0, run * prompts + index) for index in range(prompts)]
    tokens = [tokenizer(problem.text).input_ids for problem in problems]
    seeds = [run * prompts + index for index in range(prompts)]
    engine = TransformersEngine(model, tokenizer)
    groups = engine.generate(tokens, SIZE, Sampling(1.0, LIMIT), seeds)
    rows = [
        (prompt, list(rollout.tokens), last_boxed(rollout.text, problem.answer), index)
        for index, (prompt, problem, group) in enumerate(zip(tokens, problems, groups, strict=True))
        for rollout in group
    ]
    return Batch(*(list(column) for column in zip(*rows, strict=True)))


def gradient(model: Any, batch: Batch, weights_T: Tensor) -> Tensor:
    """-sum of weights times gradients, of all parameters together."""
    loss = -(weights_T * response_logprobs(model, batch.prompts, batch.responses)).sum()
    found = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([part.flatten() for part in found])


def compared(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Relative error and cosine."""
    cosine = torch.dot(found, truth) / (found.norm() * truth.norm())
    return {"error": float((found - truth).norm() / truth.norm()), "cosine": float(cosine)}


def at_once(model: Any, batch: Batch, tau: float, run: int) -> dict[str, dict[str, float]]:
    """Every way on one batch, before any update."""
    with torch.no_grad():
        logprobs_T = response_logprobs(model, batch.prompts, batch.responses)
        coarse = copy.deepcopy(model).bfloat16()
        coarse_T = response_logprobs(coarse, batch.prompts, batch.responses).double()
    options = ConSPOOptions(tau=tau)
    case = Case(batch, logprobs_T, coarse_T, options, random.Random(run))
    truth = gradient(model, batch, exact(case))
    return {name: compared(gradient(model, batch, way(case)), truth) for name, way in WAYS.items()}


def over_updates(model: Any, batch: Batch, tau: float, rate: float) -> dict[str, dict[str, float]]:
    """Credits of before the first update against live ones, at each of several updates by Adam."""
    model = copy.deepcopy(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.95))
    empty = torch.empty(0)
    case = Case(batch, empty, empty, ConSPOOptions(tau=tau), random.Random(0))
    rows, frozen_T = {}, empty
    for update in range(1, UPDATES + 1):
        with torch.no_grad():
            case = case._replace(
                logprobs_T=response_logprobs(model, batch.prompts, batch.responses)
            )
        live_T = exact(case)
        frozen_T = live_T if update == 1 else frozen_T
        truth = gradient(model, batch, live_T)
        if update > 1:
            name = f"update {update} with the first one's credits, Adam {rate:g}"
            rows[name] = compared(gradient(model, batch, frozen_T), truth)
        start = 0
        for parameter in model.parameters():
            parameter.grad = truth[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        optimiser.step()
    return rows


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=10)
    options.add_argument("--prompts", type=int, default=8)
    options.add_argument("--taus", type=float, nargs="+", default=[10.0, 0.1])
    arguments = options.parse_args()
    torch.set_num_threads(1)
    sampler, tokenizer = load_policy(PolicyConfig(), warm_start(demonstrations))
    model = copy.deepcopy(sampler).double()
    batches = [sample(sampler, tokenizer, arguments.prompts, run) for run in range(arguments.runs)]
    table: dict[str, dict[str, dict[str, Spread]]] = {}
    for tau in arguments.taus:
        found: dict[str, list[dict[str, float]]] = {}
        for run, batch in enumerate(batches):
            rows = at_once(model, batch, tau, run)
            for rate in LEARNING_RATES:
                rows |= over_updates(model, batch, tau, rate)
            for name, row in rows.items():
                found.setdefault(name, []).append(row)
        table[f"{tau:g}"] = {
            name: {key: Spread.of([row[key] for row in runs]) for key in ("error", "cosine")}
            for name, runs in found.items()
        }
        print(f"\ntau {tau:g}{'':50}{'relative error':>24}{'cosine':>22}")
        for name, row in table[f"{tau:g}"].items():
            print(f"{name:55}{row['error'].text(100, 1):>22} %{row['cosine'].text():>22}")
    correct = Spread.of([sum(batch.correct) / batch.rows for batch in batches])
    print(f"\n{len(batches)} batches of {arguments.prompts} x {SIZE}, correct {correct.text()}")
    write(arguments.json, {"taus": table, "correct": correct})


if __name__ == "__main__":
    main()
