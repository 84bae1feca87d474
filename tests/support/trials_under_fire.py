"""A trial for fault tests, the same without Ray, and everything it leaves."""

import json
import multiprocessing
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file

from conspo_study.cluster.failures import lasting_cause
from conspo_study.cluster.outlet import RayOutlet
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.config import parse_config, with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.results.kept import read_rollouts
from conspo_study.results.rows import read_eval_rows, read_steps
from conspo_study.training.loop import train

STEPS = 30
TIMED = ("time/", "tokens_per_s", "peak_memory", "mfu")
"""Metrics of the machine, not of the trial."""


def make_spec(results, **settings):
    """A trial of two seeds with six checkpoints and four evaluations."""
    config = with_overrides(
        QUICK,
        {
            "policy.warm_start_steps": 150,
            "train.steps": STEPS,
            "train.checkpoint_every": 5,
            "evaluation.every": 10,
            **settings,
        },
    )
    return TrialSpec(
        study="study",
        trial="t0000",
        config=config.model_dump(mode="json"),
        seeds=(0, 1),
        metric="eval/chain/hard/avg@2",
        direction="max",
        bars={},
        results=str(results),
    )


class PlainOutlet(RayOutlet):
    """The real one, except that reports go into a file."""

    def report(self, step, latest, collapsed):
        assert not collapsed
        with (self.spec.folder / "reports.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "seeds": latest}) + "\n")


def run_plain(spec, policy, prepare=lambda: None):
    """Run the trial here, without Ray; the cause of a lasting failure goes into a file."""
    spec.folder.mkdir(parents=True, exist_ok=True)
    config = parse_config(spec.config)
    prepare()
    try:
        train(
            config,
            spec.seeds,
            PlainOutlet(spec, config),
            policy_folder=policy,
            checkpoints=spec.run_folder,
        )
    except Exception as error:
        (spec.folder / "cause").write_text(lasting_cause(error) or f"none: {error!r}")


def start_plain(spec, policy, prepare=lambda: None):
    """`run_plain` in a fork of this process, which has imported everything."""
    process = multiprocessing.get_context("fork").Process(
        target=run_plain, args=(spec, policy, prepare)
    )
    process.start()
    return process


def what_it_left(spec):
    """Everything in a trial's folder that its definition determines: curves, responses, weights."""
    last = spec.run_folder / f"checkpoint_{STEPS:05d}"
    weights = {
        str(path.relative_to(last)): {
            name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()
        }
        for path in sorted(last.rglob("*.safetensors"))
    }
    assert len(weights) == 2 * len(spec.seeds)
    return {
        "steps": [untimed(row) for row in read_steps(spec.folder / "steps.jsonl")],
        "responses": read_eval_rows(spec.folder),
        "kept": read_rollouts(spec.folder),
        "weights": weights,
    }


def untimed(metrics):
    return {name: value for name, value in metrics.items() if not name.startswith(TIMED)}


def leftovers(spec):
    """Names of unfinished files."""
    return [path.name for path in Path(spec.results).rglob("*") if path.suffix in UNFINISHED]


UNFINISHED = {".tmp", ".partial"}


def request(spec, slow_s=0.0):
    """The line by which `trial_runner.py` runs a trial."""
    return json.dumps({"spec": asdict(spec), "slow_s": slow_s}) + "\n"
