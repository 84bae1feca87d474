"""Named starting configurations; every setting can still be changed with `--set`."""

from __future__ import annotations

from conspo_study.config import RunConfig, with_overrides
from conspo_study.config.synonyms import nearest
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

_EXAMPLES = """Sara has 15 pens and finds 8 more. How many pens does Sara have?
15 + 8 = 23
\\boxed{23}

Leo has 4 bags with 6 balls each. How many balls does Leo have?
4 * 6 = 24
\\boxed{24}

"""

SMOLLM2 = with_overrides(
    EMBEDDED,
    {
        "policy.model": "smollm2",
        "data.train": "word_problems",
        # Examples instead of a chat: asked in words, the model never boxes, and nothing is trained.
        "data.chat": "off",
        "data.template": _EXAMPLES + "{problem}\n",
        "data.max_prompt_tokens": 160,
        "rollout.prompts_per_step": 4,
        "rollout.group_size": 8,
        "rollout.max_new_tokens": 24,
        "update.learning_rate": 1e-5,
        "update.micro_batch_tokens": 2048,
        "evaluation.sets": ("word_problems/one_step", "word_problems/two_steps"),
        "evaluation.tracked": ("word_problems/one_step",),
        "evaluation.every": 10,
        "evaluation.problems_per_set": 48,
        "evaluation.samples": 2,
        "evaluation.max_new_tokens": 24,
        "train.steps": 20,
        "train.checkpoint_every": 10,
        "train.report_every": 1,
    },
)
"""A released model of 135 million parameters on generated word problems: learns on a CPU."""

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


def preset_for(name: str, gpu_memory: float | None = None) -> RunConfig:
    """A preset for a GPU of so many GiB, by default the one that it is written for. Raises
    ValueError for an unknown name, with those that there are."""
    if name not in PRESETS:
        known = ", ".join(sorted(PRESETS))
        raise ValueError(f"unknown preset {name!r}{nearest(name, PRESETS)}; known: {known}")
    if gpu_memory is not None and (run := LAB_RUNS.get(name)) is not None:
        return run.config(gpu_memory)
    return PRESETS[name]
