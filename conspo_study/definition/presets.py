"""Named starting configurations; every setting can still be changed with `--set`."""

from __future__ import annotations

from conspo_study.config import RunConfig, with_overrides
from conspo_study.definition.lab_runs import LAB_RUNS
from conspo_study.definition.paper_runs import PAPER_RUNS, PUBLISHED_OBJECTIVE
from conspo_study.definition.space import Value

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
"""The embedded model and the generated task: trains on one CPU core in seconds, without a
download."""

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
"""Everything in miniature, to check that a setup works; its numbers mean nothing."""

_EXAMPLES = "1+2=?\n\\boxed{3}\n\n7-3=?\n\\boxed{4}\n\n4+5-2=?\n\\boxed{7}\n\n"

SMOLLM2 = with_overrides(
    EMBEDDED,
    {
        "policy.model": "smollm2",
        # Examples instead of a chat: asked in words, the model never boxes, and nothing is trained.
        "data.chat": "off",
        "data.template": _EXAMPLES + "{problem}",
        "rollout.prompts_per_step": 4,
        "rollout.group_size": 8,
        "rollout.max_new_tokens": 12,
        "update.learning_rate": 1e-6,
        "evaluation.sets": ("chain/hard",),
        "evaluation.problems_per_set": 2,
        "evaluation.samples": 2,
        "evaluation.max_new_tokens": 12,
        "train.steps": 1,
        "train.report_every": 1,
    },
)
"""One step of a released model of 135 million parameters, to check that real models load, answer
and train on this machine. The model guesses, and its numbers mean nothing."""

METHODS: dict[str, dict[str, Value]] = {
    "GRPO": {"objective.name": "grpo"},
    "DAPO": {"objective.name": "dapo"},
    "Dr. GRPO": {"objective.name": "dr_grpo"},
    "DisCO": {"objective.name": "disco"},
    "GMPO": {"objective.name": "gmpo"},
    "GSPO": {"objective.name": "gspo"},
    "CISPO": {"objective.name": "cispo"},
    "SAPO": {"objective.name": "sapo"},
    "ConSPO": dict(PUBLISHED_OBJECTIVE),
    "ConSPO, tau 1": {
        "objective.name": "conspo",
        "objective.tau": 1.0,
        "objective.schedule": "off",
    },
}
"""The paper's method and its baselines with their published settings, GSPO, and ConSPO at a
temperature that acts on scores of the embedded model's size."""

EQUAL_CONDITIONS: dict[str, Value] = {
    "update.mini_batches": 4,
    "rollout.refill_rounds": 0,
    "reward.overlong_cache": 0,
}
"""Settings for a comparison of methods: several steps per rollout batch, since with one all ratios
are 1 and the ratio-based methods collapse to two; no refilling and no length shaping."""

PRESETS = {
    "embedded": EMBEDDED,
    "quick": QUICK,
    "smollm2": SMOLLM2,
    **{name: run.config() for name, run in LAB_RUNS.items()},
    **{name: run.config for name, run in PAPER_RUNS.items()},
}


def preset_for(name: str, gpu_memory: float | None) -> RunConfig:
    """A preset for a GPU of so many GiB, by default the one that it is written for. Raises KeyError
    for an unknown name."""
    if gpu_memory is not None and (run := LAB_RUNS.get(name)) is not None:
        return run.config(gpu_memory)
    return PRESETS[name]
