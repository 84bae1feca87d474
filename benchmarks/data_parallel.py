"""Times the steps of one trial on one worker and on two, through Ray Train on this machine.

    python benchmarks/data_parallel.py [--runs 2] [--wide 16384] [--json results.json]

The same trial each time, 32 prompts of 16 rollouts a step, run by a study's own command: one
worker, two workers with a replica each, two workers that share the model's state (fsdp). Every
worker has one thread. The ways take turns, and the numbers to read are seconds of a step, the
median over the steps of a trial, and the speed-up within a run. `trial` is the whole command, Ray's
start included.

--wide N measures a second model: the embedded one with N neurons in its layers' MLPs, the new ones
without effect at first, so that it answers as the embedded one does and has something to learn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from harness import Spread, in_turn, parser, ratio, write
from study_runs import ONE_TRIAL, prepare, run_study, starting_configuration, step_seconds

from conspo_study.policy.load import load_policy, save_policy
from conspo_study.training.prepare import prepare_policy

ALONE = "1 worker"
SHARDINGS = ("replicate", "fsdp")
SHAPE = ("rollout.prompts_per_step=32", "rollout.group_size=16", "train.steps=12")
BRIEF = (
    'evaluation.sets=["chain/hard"]',
    "evaluation.problems_per_set=4",
    "evaluation.samples=2",
    "evaluation.every=1000",
    "train.checkpoint_every=1000",
    "train.report_every=1000",
    "train.store_rollouts_every=0",
)
FIRST = 2
"""Steps at the start of a trial that are not counted: they allocate."""


@dataclass
class Trials:
    """A way to run the trial, and what its runs took."""

    settings: Sequence[str]
    folder: Path
    wall: list[float] = field(default_factory=list)

    def __call__(self, run: int) -> float:
        """Seconds per step of one trial."""
        done = run_study(
            ONE_TRIAL, self.folder / str(run), self.settings, ["--no-confirm", "--quiet"]
        )
        self.wall.append(done.wall_s)
        (trial,) = (done.folder / "trials").iterdir()
        (seconds,) = step_seconds(trial).values()
        return median(seconds[FIRST:])


def widened(settings: Sequence[str], neurons: int, folder: Path) -> tuple[str, int]:
    """The warm-started policy with so many neurons in every MLP, which computes the same function:
    the new ones' outputs weigh nothing. Returns its setting and its number of parameters."""
    policy = starting_configuration(settings).policy
    model, tokenizer = load_policy(policy, prepare_policy(policy))
    config = model.config.__class__.from_dict(
        {**model.config.to_dict(), "intermediate_size": neurons}
    )
    torch.manual_seed(0)
    wide = type(model)(config)
    known = model.state_dict()
    for name, tensor in wide.state_dict().items():
        old = known[name]
        if tensor.shape == old.shape:
            tensor.copy_(old)
        elif tensor.shape[0] != old.shape[0]:  # gate and up: neurons are rows
            tensor[: old.shape[0]] = old
        else:  # down: neurons are columns
            tensor.zero_()
            tensor[:, : old.shape[1]] = old
    save_policy(wide, tokenizer, folder)
    return f"policy.model={folder}", sum(one.numel() for one in wide.parameters())


def compare(
    title: str, settings: Sequence[str], shardings: Sequence[str], runs: int, folder: Path
) -> dict[str, Any]:
    """Measure one worker and two, print them, and return what is written of them."""
    ways = {ALONE: Trials([*settings, "train.workers=1"], folder / "alone")}
    for sharding in shardings:
        own = ["train.workers=2", f"train.sharding={sharding}"]
        ways[f"2 workers, {sharding}"] = Trials([*settings, *own], folder / sharding)
    actions: dict[str, Callable[[int], float]] = dict(ways)
    seconds = in_turn(actions, runs, warm_up=0)
    result: dict[str, Any] = {}
    print(title)
    for name, found in seconds.items():
        times, speed_up = Spread.of(found), ratio(seconds[ALONE], found)
        result[name] = {
            "step_s": times,
            "speed_up": speed_up,
            "trial_s": Spread.of(ways[name].wall),
        }
        print(
            f"  {name:22s} {times.text(1e3, 0):>18s} ms a step   speed-up {speed_up.text():18s} "
            f"trial {median(ways[name].wall):.0f} s",
            flush=True,
        )
    return result


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=2)
    options.add_argument("--wide", type=int, default=0, metavar="N", help="neurons of an MLP")
    options.add_argument(
        "--sharding", nargs="+", choices=SHARDINGS, default=SHARDINGS, help="of the two workers"
    )
    options.add_argument("--set", action="append", default=[], help="as of study scripts")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    settings = [*BRIEF, *SHAPE, *arguments.set]
    prepare(settings)
    with tempfile.TemporaryDirectory() as temporary:
        measure = partial(compare, shardings=arguments.sharding, runs=arguments.runs)
        result = {"embedded": measure("embedded", settings, folder=Path(temporary) / "embedded")}
        if arguments.wide:
            model, size = widened(settings, arguments.wide, Path(temporary) / "model")
            title = f"wide, {size / 1e6:.1f} M parameters"
            wide = measure(title, [*settings, model], folder=Path(temporary) / "wide")
            result["wide"] = {"parameters": size, **wide}
    write(arguments.json, result)


if __name__ == "__main__":
    main()
