"""The surroundings, and the whole training loop on the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from conspo_study.config import with_overrides
from conspo_study.definition.presets import EMBEDDED
from conspo_study.processes.fork_server import WITHOUT_RAY
from conspo_study.records import EvalRow
from conspo_study.training.loop import train
from conspo_study.training.prepare import prepare_policy
from gpu_stages.place import GIB, Found, Place

SETTINGS: dict[str, Any] = {
    "train.steps": 4,
    "train.checkpoint_every": 2,
    "evaluation.sets": ["chain/easy"],
    "evaluation.tracked": ["chain/easy"],
    "evaluation.problems_per_set": 8,
    "evaluation.samples": 2,
    "rollout.prompts_per_step": 8,
    "rollout.group_size": 8,
    "update.mini_batches": 2,
    "update.old_logprobs": "auto",
}
SAME = 1e-3
"""Largest difference of losses and gradient norms of the CPU and the GPU, relative to the larger of
them and 1: some thousand times the rounding of float32."""
BFLOAT16_NATS = 5e-3
"""Largest mean difference of a token's log-probabilities from trainer and sampler in bfloat16."""
TOLD = ("loss", "grad_norm", "mismatch_abs", "mismatch_max", "mfu")
TIMES = ("time/generate_s", "time/score_s", "time/backward_s", "time/optimizer_s")
CLOCK_FACTOR, CLOCK_SLACK_S = 1.5, 0.02


class Rows:
    """An outlet that keeps the rows of steps, and the incidents."""

    def __init__(self) -> None:
        self.steps: list[Mapping[str, Any]] = []
        self.incidents: list[str] = []

    def step_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.steps += rows

    def untrained(self, seed: int) -> None:
        return None

    def evaluated(self, seed: int, until: int) -> list[EvalRow]:
        return []

    def incident(self, incident: Any) -> None:
        self.incidents.append(f"{incident.type}: {incident.detail}")

    def _not_kept(self, *arguments: Any) -> None:
        pass

    credits = rollouts = problems = evaluation = totals = report = _not_kept


def trained(
    place: Place, settings: Mapping[str, Any], gpu: bool, checkpoints: Path | None = None
) -> list[dict[str, Any]]:
    """The rows of a run, on the GPU or the CPU."""
    of_device = {"train.gpus_per_worker": int(gpu)}
    config = with_overrides(EMBEDDED, {**SETTINGS, **of_device, **settings})
    rows = Rows()
    train(
        config,
        [1],
        rows,
        policy_folder=prepare_policy(config.policy),
        checkpoints=checkpoints or Path(tempfile.mkdtemp(dir=place.scratch)),
    )
    assert not rows.incidents, rows.incidents
    return [dict(row) for row in rows.steps]


def brief(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row.get(name) for name in TOLD} for row in rows]


def differences(name: str, a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> list:
    """What two runs do not agree on."""
    wrong = [] if len(a) == len(b) else [f"{name}: {len(a)} and {len(b)} steps"]
    for one, other in zip(a, b, strict=False):
        for metric in ("loss", "grad_norm"):
            x, y = one.get(metric), other.get(metric)
            if (x is None) != (y is None) or (
                x is not None and abs(x - y) > SAME * max(1.0, abs(x), abs(y))
            ):
                wrong.append(f"{name}: {metric} of step {one['step']} is {x} and {y}")
    return wrong


def environment(place: Place) -> Found:
    """Versions, and the GPU."""
    found: dict[str, Any] = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if place.gpu:
        gpu = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": gpu.name,
            "gib": gpu.total_memory / GIB,
            "cuda": torch.version.cuda,
            "nccl": ".".join(map(str, torch.cuda.nccl.version())),
        }
    return found, []


def fork_server(place: Place) -> Found:
    """Whether the modules that the fork server imports leave CUDA usable in its forks."""
    code = f"""
import importlib, os, torch
for name in {[name for name in WITHOUT_RAY if name != "pandas"]!r}:
    importlib.import_module(name)
initialised = torch.cuda.is_initialized()
child = os.fork()
if child == 0:
    os._exit(0 if float(torch.ones(2, device={place.device.type!r}).sum()) == 2 else 1)
print(int(initialised), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    if done.returncode:
        return {}, [done.stderr[-400:]]
    initialised, status = map(int, done.stdout.split())
    wrong = ["importing initialises CUDA"] if initialised else []
    wrong += [f"the fork ended with {status}"] if status else []
    return {"initialised": bool(initialised), "fork": status}, wrong


def trainer_float32(place: Place) -> Found:
    """CPU and GPU must agree; and a run that is resumed from its checkpoint of step 2."""
    checkpoints = place.scratch / "float32"
    cpu = trained(place, {}, gpu=False)
    gpu = trained(place, {}, gpu=place.gpu, checkpoints=checkpoints)
    shutil.rmtree(sorted(checkpoints.glob("checkpoint_*"))[-1])
    resumed = trained(place, {}, gpu=place.gpu, checkpoints=checkpoints)
    wrong = differences("CPU and GPU", cpu, gpu) + differences("resumed", gpu[2:], resumed)
    if not any(row.get("grad_norm") for row in cpu):
        wrong.append("there was nothing to learn from")
    return {"cpu": brief(cpu), "gpu": brief(gpu), "resumed": brief(resumed)}, wrong


def trainer_bfloat16(place: Place) -> Found:
    """Trainer and sampler must agree within bfloat16; also where activations are recomputed."""
    settings = {
        "plain": {"policy.precision": "bfloat16"},
        "recomputed": {
            "policy.precision": "bfloat16",
            "policy.gradient_checkpointing": True,
            "update.micro_batch_tokens": 256,
        },
    }
    found = {name: brief(trained(place, s, gpu=place.gpu)) for name, s in settings.items()}
    wrong = [
        f"{name}: trainer and sampler differ by {row['mismatch_abs']:.3g} nats"
        for name, rows in found.items()
        for row in rows
        if (row["mismatch_abs"] or 0.0) > BFLOAT16_NATS
    ]
    return found, wrong


def clock(place: Place) -> Found:
    """Times of stages must be those that they have when every kernel is waited for."""
    runs = {}
    for blocking in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-m", "gpu_stages.trainer", str(place.scratch), str(int(place.gpu))],
            capture_output=True,
            text=True,
            timeout=300,
            env={
                **os.environ,
                "CUDA_LAUNCH_BLOCKING": blocking,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        if done.returncode:
            return {}, [done.stderr[-400:]]
        runs[f"blocking {blocking}"] = json.loads(done.stdout.splitlines()[-1])
    free, blocked = runs.values()
    wrong = [
        f"{name}: {free[name]:.3f} s, and {blocked[name]:.3f} s with CUDA_LAUNCH_BLOCKING=1"
        for name in TIMES
        if place.gpu
        and not (
            blocked[name] / CLOCK_FACTOR - CLOCK_SLACK_S
            <= free[name]
            <= blocked[name] * CLOCK_FACTOR + CLOCK_SLACK_S
        )
    ]
    wrong += [f"mfu is {run['mfu']:.2f}" for run in runs.values() if run["mfu"] > 1]
    return runs, wrong


def last_times(place: Place) -> dict[str, float]:
    """Times of the last of a few steps."""
    row = trained(place, {"train.steps": 3}, gpu=place.gpu)[-1]
    return {name: row[name] for name in (*TIMES, "mfu")}


if __name__ == "__main__":
    print(json.dumps(last_times(Place(sys.argv[2] == "1", Path(sys.argv[1])))))
