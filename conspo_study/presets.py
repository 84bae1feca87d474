"""Named starting configurations; every setting can still be changed with `--set`."""

from __future__ import annotations

from conspo_study.config import RunConfig, with_overrides

EMBEDDED = with_overrides(
    RunConfig(),
    {
        # The margin can act only where tau is of the order of the score gaps (about 0.3 here).
        "objective.tau": 1.0,
        "objective.margin": 0.1,
        "objective.margin_unit": "tau",
        "evaluation.tracked": ("chain/hard",),
    },
)
"""The tiny model and the generated task: trains on one CPU core in seconds, downloads nothing."""

QUICK = with_overrides(
    EMBEDDED,
    {
        "policy.warm_start_steps": 60,
        "rollout.prompts_per_step": 4,
        "rollout.group_size": 4,
        "evaluation.every": 2,
        "evaluation.problems_per_set": 4,
        "evaluation.samples": 2,
        "train.steps": 4,
        "train.checkpoint_every": 2,
        "train.report_every": 1,
    },
)
"""Everything in miniature: shows that a setup works; its numbers mean nothing."""

PRESETS = {"embedded": EMBEDDED, "quick": QUICK}
