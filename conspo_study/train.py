"""The training loop: data -> rollouts -> verdicts -> objective -> update -> evaluation -> results.

A run is a pure function of (configuration, seed). The runs of a trial's seeds advance together, so
that every report carries all of them and no decision ever rests on one seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch

from conspo_study.config import RunConfig, config_hash
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import EvalRow
from conspo_study.reward.verifier import Verifier
from conspo_study.seed_run import SeedRun
from conspo_study.update.checkpoint import load_run, open_checkpoint, save_run, seal
from conspo_study.update.world import World

Metrics = dict[str, Any]


class Outlet(Protocol):
    """Where a trial's results go. Every worker calls `report`; only rank 0 calls the others."""

    def step_rows(self, rows: Sequence[Metrics]) -> None:
        """One row per seed after a training step."""

    def evaluation(self, rows: Sequence[EvalRow]) -> None:
        """All responses of one seed's evaluation."""

    def untrained(self, seed: int) -> list[EvalRow] | None:
        """The evaluation at step 0, if another trial of the same policy and seed has made it."""

    def stop_requested(self) -> bool:
        """Whether training should end at the step that was just reported."""

    def report(self, step: int, latest: dict[int, Metrics], checkpoint: Path | None) -> None:
        """The latest metrics by seed. A checkpoint folder must be taken before returning."""


def train(
    config: RunConfig,
    seeds: Sequence[int],
    outlet: Outlet,
    *,
    policy_folder: Path,
    world: World | None = None,
    resume_from: Path | None = None,
) -> None:
    """Train one policy per seed, from `policy_folder`, for `config.train.steps` steps.

    It ends early when the outlet asks for it. With `resume_from` it continues from that checkpoint
    and, on a CPU, ends bit for bit where an uninterrupted run would have ended. Raises
    CheckpointError when the checkpoint is damaged or another run's, DivergedError when gradients
    stay non-finite, FloatingPointError when the policy's logits are not numbers.
    """
    torch.set_num_threads(config.train.cpus_per_worker)
    world = world or World()
    main = world.rank == 0
    steps = config.train.steps
    identity = {"config_hash": config_hash(config), "seeds": list(seeds)}
    latest: dict[int, Metrics] = {seed: {} for seed in seeds}
    with Verifier(config.reward) as verifier, TemporaryDirectory(prefix="conspo-") as scratch:
        runs = [SeedRun(config, seed, policy_folder, verifier, world) for seed in seeds]

        def evaluate(step: int) -> None:
            for run in runs:
                known = outlet.untrained(run.seed) if main and step == 0 else None
                rows = world.gather(known)[0] or run.evaluate(step)
                # What this evaluation did not measure is out of date.
                kept = {k: v for k, v in latest[run.seed].items() if not k.startswith("eval/")}
                latest[run.seed] = kept | evaluation_metrics(rows, config.evaluation.samples)
                if main:
                    outlet.evaluation(rows)

        done = 0
        if resume_from is None:
            evaluate(done)
        else:
            state = open_checkpoint(resume_from, identity)
            done = state["step"]
            for run in runs:
                saved = state["runs"][str(run.seed)]
                load_run(resume_from / f"seed-{run.seed}", run.model, run.updater, saved)
                latest[run.seed] = saved["latest"]
        outlet.report(done, latest, None)

        for step in range(done + 1, steps + 1):
            rows = [{"seed": run.seed, "step": step, **run.train_step(step - 1)} for run in runs]
            for row in rows:
                latest[row["seed"]] |= row
            if main:
                outlet.step_rows(rows)
            evaluated = _due(step, config.evaluation.every, steps)
            saved = _due(step, config.train.checkpoint_every, steps)
            if evaluated:
                evaluate(step)
            if evaluated or saved or _due(step, config.train.report_every, steps):
                folder = Path(scratch) / f"step-{step:05d}" if main and saved else None
                if folder:
                    _save(folder, step, runs, latest, identity)
                outlet.report(step, latest, folder)
                if folder:
                    rmtree(folder)
                if world.gather(main and outlet.stop_requested())[0]:
                    return


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


def _save(
    folder: Path,
    step: int,
    runs: Sequence[SeedRun],
    latest: dict[int, Metrics],
    identity: dict[str, Any],
) -> None:
    saved = {}
    for run in runs:
        counters = save_run(folder / f"seed-{run.seed}", run.save_policy, run.updater)
        saved[str(run.seed)] = {**counters, "latest": latest[run.seed]}
    seal(folder, {"step": step, "runs": saved, **identity})
