"""Work as one of several gloo workers, which are forks of a test's process.

`gradient` writes the float64 gradient of this worker's share of a fixed batch after the sum over
workers; `sharded` the same of a model that is divided over the workers, how its weights compare
with the whole ones, and what updates of it do; `gather` exchanges items and malformed messages;
`train` runs a few training steps and writes the rows.
"""

import json
import multiprocessing
from dataclasses import astuple
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from exact_models import exact_model
from safetensors.torch import save_file
from tiny_models import random_model
from training_runs import Recorder
from transformers import AutoModelForCausalLM
from update_cases import model_and_groups, settings_of, update_on

from conspo_study.config import (
    ConSPOOptions,
    GRPOOptions,
    RunConfig,
    parse_config,
    with_overrides,
)
from conspo_study.definition.presets import QUICK
from conspo_study.objective import GroupBatch, Progress, Totals, objective_named, token_weights
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.sharding import full_state, save_sharded_policy, shard, whole_weights
from conspo_study.records import GREEDY, EvalRow, FinishStatus, Verdict
from conspo_study.training.loop import train
from conspo_study.training.policy_update import PolicyUpdate
from conspo_study.update import world as world_module
from conspo_study.update.checkpoint import load_run, save_run
from conspo_study.update.gradient import MicroBatchedPolicy
from conspo_study.update.micro_batches import Budget
from conspo_study.update.shards import load_weights, whole
from conspo_study.update.step import Updater
from conspo_study.update.world import World

GROUPS = [
    [((3, 4), (5, 6, 7), True), ((3, 4), (8,), False), ((3, 4), (9, 9), False)],
    [((5,), (1, 2), False), ((5,), (6, 7, 8, 9, 1), True)],
    [((7, 7, 7), (4,), True), ((7, 7, 7), (5, 5), True), ((7, 7, 7), (6, 1, 1), False)],
]
"""Ragged groups that do not divide evenly over two workers."""
OPTIONS = {"conspo": ConSPOOptions(tau=0.3, margin=0.2), "grpo": GRPOOptions()}


UPDATES = [
    *(("conspo", "trainer", spread) for spread in ((3, 4), (7, 0), (1, 6))),
    *((name, old, (2, 5)) for name, old in (("disco", "trainer"), ("grpo", "auto"))),
    *(("conspo regularized", "trainer", spread) for spread in ((3, 4), (7, 0))),
]
"""Objective, whose log-probabilities ratios refer to, and groups of each of two workers."""


def gradient(world: World, name: str, budget: int = 12, idle: int | None = None) -> torch.Tensor:
    """The summed gradient of this batch, as one float64 vector; worker `idle` has none of it."""
    working = [rank for rank in range(world.size) if rank != idle]
    groups = GROUPS[working.index(world.rank) :: len(working)] if world.rank != idle else []
    mine = [row for group in groups for row in group]
    sizes = [len(group) for group in groups]
    counts = world.sum([len(sizes), len(mine), sum(len(r) for _, r, _ in mine)])
    totals = Totals(*map(int, counts))
    model = exact_model("Llama", tie_word_embeddings=True)
    if world.sharded:
        shard(model, world.size)

    parameters = list(model.parameters())
    policy = MicroBatchedPolicy(
        partial(response_logprobs, model), parameters, Budget(budget), world
    )
    responses = [response for _, response, _ in mine]
    scores = policy.score([prompt for prompt, _, _ in mine], responses)
    weights_T = scores.logprobs_T
    if mine:
        batch = GroupBatch.of(
            scores.logprobs_T,
            scores.logprobs_T - 0.1,
            [len(response) for response in responses],
            sizes,
            [correct for _, _, correct in mine],
            totals,
        )
        options, progress = OPTIONS[name], Progress(1, 2)
        weights_T = token_weights(batch, objective_named(name), options, progress).weights_T
    policy.backward(scores, weights_T)
    world.sum_gradients(parameters)
    return torch.cat([whole(p.grad).reshape(-1) for p in parameters])


def resumed(world: World, folder: Path) -> bool:
    """Whether a sharded model, written and read again, goes on as if it had not been."""
    config = with_overrides(QUICK, settings_of("conspo"))
    _, groups = model_and_groups()

    def start(seed=0):
        model = exact_model("Llama", seed=seed)
        shard(model, world.size)
        return model, Updater(model, config.update, world)

    def go_on(model, updater):
        mine = groups[world.rank :: world.size]
        PolicyUpdate(config, model, updater).run(mine, Progress(2, 9), seed=0)
        return {name: tensor.clone() for name, tensor in full_state(model)}

    model, updater = start()
    written = go_on(model, updater)
    save = partial(save_sharded_policy, model, embedded_tokenizer(), world.rank, world.size)
    counters = save_run(folder / "seed-0", save, updater)
    world.gather(None)  # all have written
    again = start(seed=5)
    load_run(folder / "seed-0", partial(load_weights, again[0]), again[1], counters)
    read = {name: tensor.clone() for name, tensor in full_state(again[0])}
    loaded = AutoModelForCausalLM.from_pretrained(folder / "seed-0", dtype=torch.float64)
    pairs = [(written, read), (written, loaded.state_dict())]
    pairs.append((go_on(model, updater), go_on(*again)))
    moved = any(not torch.equal(pairs[-1][0][name], written[name]) for name in written)
    return moved and all(torch.equal(a[name], b[name]) for a, b in pairs for name in a)


def sharded(world: World, folder: Path) -> None:
    """Leave `gradient-<name>`, `idle-<name>` and the weights after updates in `folder`, and the
    metrics of updates."""
    tensors = {}
    for name in OPTIONS:
        tensors[f"gradient-{name}"] = gradient(world, name)
        tensors[f"at once-{name}"] = gradient(world, name, budget=1000)
        tensors[f"idle-{name}"] = gradient(world, name, idle=1)
    metrics = []
    for number, (name, old, held) in enumerate(UPDATES):
        settings = settings_of(name, old) | {"update.micro_batch_tokens": 16}
        found, _, tensors[f"update-{number}"] = update_on(world, held, settings)
        metrics.append(found)
    model = random_model("Llama", tie_word_embeddings=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    shard(model, world.size, "bfloat16")
    tokens = torch.tensor([[1, 5, 9, 4]])
    with whole_weights(model), torch.inference_mode():
        # Not collective: the other worker does nothing meanwhile.
        dtype = model(tokens).logits.dtype if world.rank == 0 else torch.bfloat16
    held = sum(p.to_local().numel() for p in model.parameters())
    facts = {
        "metrics": metrics,
        "state": all(torch.equal(before[name], tensor) for name, tensor in full_state(model)),
        "names": sorted(name for name, _ in full_state(model)) == sorted(before),
        "resumed": resumed(world, folder),
        "share": held / sum(p.numel() for p in model.parameters()),
        "dtypes": [str(dtype), str(next(model.parameters()).dtype)],
    }
    (folder / f"facts-{world.rank}.json").write_text(json.dumps(facts))
    save_file(tensors, folder / f"sharded-{world.rank}.safetensors")


class Uneventful(Recorder):
    """A recorder of a run in which nothing fails."""

    def incident(self, incident):
        raise AssertionError(incident)


ITEMS = [
    {
        "long": ("≤" * 3_000, (0.1,) * 2_000),
        "a": (1, -0.0, 5e-324, 0.1 + 0.2),
        0.5: [None, True, "\ud800 \x00 é"],
    },
    [EvalRow(0, 20, "set", "p", GREEDY, Verdict.WRONG, "x", 7, FinishStatus.STOPPED, 0.1, None)],
]
"""What the two workers tell each other."""
MALFORMED = [
    b"{",
    b"\xff",
    b"[" * 100_000,
    b'{"os.system": ["true"]}',
    b'{"Mean": [1]}',
    b'{"Mean": [1, 2], "Peak": [1]}',
    b'{"tuple": 5}',
    b'{"dict": [1]}',
    b'{"dict": [[], 1]}',
    b'{"Verdict": ["perhaps"]}',
    b'{"q": ["AAA="]}',
    b'{"d": ["\xc3\xa9"]}',
    b'{"d": [1]}',
    b"0" * 2_000,
]
"""What the second worker sends; the last is longer than is allowed here."""


def gather(world: World, folder: Path) -> None:
    """Exchange items, then receive malformed messages, and leave what came of it."""
    found: list[object] = [repr(world.gather(ITEMS[world.rank]))]
    encoded = world_module.encoded
    world_module.MOST_BYTES = 200_000
    for message in MALFORMED:
        if world.rank == 1:
            world_module.encoded = lambda _, sent=message: sent
        if message is MALFORMED[-1]:
            world_module.MOST_BYTES = 1_000
        try:
            found.append(world.gather(None))
        except RuntimeError as error:
            found.append(str(error))
    world_module.encoded, world_module.MOST_BYTES = encoded, 1_000
    found.append(world.gather(world.rank))
    (folder / f"gathered-{world.rank}.json").write_text(json.dumps(found))


def train_some(world: World, folder: Path, config: RunConfig, policy: Path) -> None:
    """Train and leave `rows.json`, `kept.json` and `read.json` beside `checkpoints`."""
    found = Uneventful(folder)
    checkpoints = found.checkpoints
    train(config, [0], found, policy_folder=policy, checkpoints=checkpoints, world=world)
    if world.rank == 0:
        (folder / "rows.json").write_text(json.dumps(found.rows))
        (folder / "kept.json").write_text(json.dumps([astuple(row) for row in found.kept]))
        untrained = [astuple(row) for row in found.evaluations if row.step == 0]
        asked = [astuple(row) for rows in found.asked for row in rows]
        (folder / "read.json").write_text(json.dumps([untrained, asked]))


def run_workers(task: str, size: int, folder: Path, patience_s: float = 600.0) -> None:
    """Let `size` workers do a task; raises AssertionError unless all come to its end."""
    # A fresh process would import for most of its time.
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=work, args=(task, rank, size, folder)) for rank in range(size)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(patience_s)
    assert [worker.exitcode for worker in workers] == [0] * size


def work(task: str, rank: int, size: int, folder: Path) -> None:
    """Do a task as worker `rank`."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=300),
    )
    here = World(rank, size)
    if task == "gradient":
        result = {name: gradient(here, name) for name in OPTIONS}
        save_file(result, folder / f"gradient-{rank}.safetensors")
    elif task == "gather":
        gather(here, folder)
    elif task == "sharded":
        sharded(World(rank, size, sharded=True), folder)
    else:
        settings = json.loads((folder / "config.json").read_text())
        config = parse_config(settings["config"])
        here = World(rank, size, sharded=size > 1 and config.train.sharding == "fsdp")
        train_some(here, folder, config, Path(settings["policy"]))
    dist.destroy_process_group()
