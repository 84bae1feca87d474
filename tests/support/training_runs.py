"""Training runs without Ray, and everything that came of them."""

import shutil

from tolerances import rounding, terms_of

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.policy.embedded import untrained_model
from conspo_study.training.loop import train

CONFIG = with_overrides(
    QUICK, {"train.steps": 4, "train.checkpoint_every": 2, "rollout.prompts_per_step": 4}
)


LARGEST_MISMATCH = rounding(terms_of(untrained_model(0), 40), 14.0)
"""Of sampler and trainer with the same weights, in nats: the rounding of the embedded model's
log-probabilities, of up to 14 nats, in rows of up to 40 tokens. Weights of a step ago give 0.1."""
TIMES = ("time/", "tokens_per_s", "peak_memory_gib", "mfu")


class Recorder:
    """An outlet that keeps everything, and a folder for the checkpoints."""

    def __init__(self, folder):
        self.checkpoints = folder / "checkpoints"
        self.rows, self.evaluations, self.reports = [], [], []
        self.incidents, self.total, self.credited, self.kept = [], {}, [], []
        self.collapsed, self.asked = {}, []

    def step_rows(self, rows):
        self.rows += rows

    def credits(self, seed, step, rows):
        self.credited.append((seed, step, len(rows)))

    def rollouts(self, seed, step, rows):
        assert {(row.seed, row.step) for row in rows} == {(seed, step)}
        self.kept += rows

    def evaluation(self, rows):
        self.evaluations += rows

    def problems(self, rows):
        self.asked.append(rows)

    def untrained(self, seed):
        return None

    def incident(self, incident):
        self.incidents.append((incident.type, incident.detail))

    def totals(self, totals):
        self.total = {total.type: (total.count, total.detail) for total in totals}

    def report(self, step, latest, collapsed):
        self.reports.append((step, {seed: dict(metrics) for seed, metrics in latest.items()}))
        self.collapsed = dict(collapsed)

    def checkpoint(self, step):
        return self.checkpoints / f"checkpoint_{step:05d}"


def run(folder, policy, config=CONFIG, seeds=(0, 1), resume_from=None, bars=None, until=None):
    """Train; `resume_from` is the only checkpoint that is there."""
    recorder = Recorder(folder)
    if resume_from is not None:
        shutil.copytree(resume_from, recorder.checkpoints / resume_from.name)
    train(
        config,
        seeds,
        recorder,
        policy_folder=policy,
        checkpoints=recorder.checkpoints,
        bars=bars,
        until=until,
    )
    return recorder


def untimed(row):
    return {key: value for key, value in row.items() if not key.startswith(TIMES)}
