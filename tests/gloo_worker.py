"""Run as one of several gloo workers: `gloo_worker.py TASK RANK SIZE FOLDER`.

`gradient` writes the float64 gradient of this worker's share of a fixed batch after the sum over
workers; `train` runs a few training steps and writes the rows and the final weights.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tiny_models import random_model

from conspo_study.config import ConSPOOptions, GRPOOptions, RunConfig, parse_config
from conspo_study.objective import GroupBatch, Progress, Totals, objective_named
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.train import train
from conspo_study.update.gradient import accumulate_gradient
from conspo_study.update.world import World

GROUPS = [
    [((3, 4), (5, 6, 7), True), ((3, 4), (8,), False), ((3, 4), (9, 9), False)],
    [((5,), (1, 2), False), ((5,), (6, 7, 8, 9, 1), True)],
    [((7, 7, 7), (4,), True), ((7, 7, 7), (5, 5), True), ((7, 7, 7), (6, 1, 1), False)],
]
"""Ragged groups that do not divide evenly over two workers."""
OPTIONS = {"conspo": ConSPOOptions(tau=0.3, margin=0.2), "grpo": GRPOOptions()}


def gradient(world: World, name: str) -> torch.Tensor:
    """The summed gradient of this batch, as one float64 vector."""
    mine = [row for group in GROUPS[world.rank :: world.size] for row in group]
    sizes = [len(group) for group in GROUPS[world.rank :: world.size]]
    counts = world.sum([len(sizes), len(mine), sum(len(r) for _, r, _ in mine)])
    totals = Totals(*map(int, counts))
    model = random_model("Llama").double()

    def loss_of(logprobs):
        batch = GroupBatch.of(
            logprobs,
            logprobs.detach() - 0.1,
            [len(response) for _, response, _ in mine],
            sizes,
            [correct for _, _, correct in mine],
            totals,
        )
        return objective_named(name)(batch, OPTIONS[name], Progress(1, 2)).loss

    if mine:
        accumulate_gradient(
            lambda p, r: response_logprobs(model, p, r),
            [prompt for prompt, _, _ in mine],
            [response for _, response, _ in mine],
            loss_of,
            budget=12,
        )
    parameters = list(model.parameters())
    world.sum_gradients(parameters)
    return torch.cat([p.grad.reshape(-1) for p in parameters])


class RowsOutlet:
    """Keeps the rows of training steps."""

    def __init__(self):
        self.rows = []

    def step_rows(self, rows):
        self.rows += rows

    def credits(self, seed, step, rows):
        pass

    def evaluation(self, rows):
        pass

    def untrained(self, seed):
        return None

    def incident(self, incident):
        raise AssertionError(incident)

    def totals(self, totals):
        pass

    def report(self, step, latest):
        pass


def train_some(world: World, folder: Path, config: RunConfig, policy: Path) -> None:
    """Train and leave `rows.json` and `weights.safetensors` in `folder`."""
    outlet = RowsOutlet()
    checkpoints = folder / "checkpoints"
    train(config, [0], outlet, policy_folder=policy, checkpoints=checkpoints, world=world)
    if world.rank == 0:
        (folder / "rows.json").write_text(json.dumps(outlet.rows))
        last = checkpoints / f"checkpoint_{config.train.steps:05d}"
        (last / "seed-0" / "model.safetensors").rename(folder / "weights.safetensors")


if __name__ == "__main__":
    task, rank, size, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{path}/rendezvous",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=60),
    )
    here = World(rank, size)
    if task == "gradient":
        result = {name: gradient(here, name) for name in OPTIONS}
        save_file(result, path / f"gradient-{rank}.safetensors")
    else:
        settings = json.loads((path / "config.json").read_text())
        train_some(here, path, parse_config(settings["config"]), Path(settings["policy"]))
    dist.destroy_process_group()
