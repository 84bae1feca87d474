r"""The paper's runs (arXiv 2605.12969, v3) as configurations, one for each model and training set.

    python studies/baselines.py --preset paper/qwen-1.5b --data-dir problems

`PaperRun.published` holds what the paper's text states. All other settings are ours: group size,
prompts per step and the optimiser's details are in tables that could not be read, and the prompt's
wording is not given. `--dry-run --all` marks every setting as one or the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from conspo_study.config import RunConfig, flatten, with_overrides
from conspo_study.data.benchmarks import BENCHMARKS, NAMED, PAPER_SETS
from conspo_study.definition.space import Value

PUBLISHED_OBJECTIVE: Mapping[str, Value] = MappingProxyType(
    {
        "objective.name": "conspo",
        "objective.tau": 10.0,
        "objective.margin": 0.01,
        "objective.margin_unit": "score",
        "objective.schedule": "cosine",
        "objective.alpha": 0.3,
    }
)
"""ConSPO as the paper runs it."""

PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        **PUBLISHED_OBJECTIVE,
        "update.learning_rate": 2e-6,
        "rollout.temperature": 1.0,
        "rollout.refill_rounds": 0,
        "evaluation.sets": PAPER_SETS,
        "evaluation.tracked": (),
        "evaluation.samples_of": {name: BENCHMARKS[name].samples for name in PAPER_SETS},
        "evaluation.every": 100,
        "evaluation.temperature": 0.6,
        "evaluation.top_p": 0.95,
    }
)
"""What the paper states for all its runs."""

PROMPTS_PER_STEP = 128

OURS: Mapping[str, Any] = MappingProxyType(
    {
        "rollout.group_size": 8,
        "rollout.prompts_per_step": PROMPTS_PER_STEP,
        "update.warmup_steps": 10,
        "data.template": "boxed",
        "data.max_prompt_tokens": 4096,
        # The training sets share problems with the benchmarks; what the paper did is not stated.
        "data.on_overlap": "drop",
        "evaluation.samples": 1,
        "evaluation.greedy": False,
        "evaluation.problems_per_set": 1000,
        "reward.workers": 4,
        # Eight GPUs, each for a worker and, in turn, for its engine.
        "rollout.engine": "vllm",
        "rollout.vllm_colocated": True,
        "rollout.vllm_gpu_memory": 0.4,
        "rollout.vllm_dtype": "bfloat16",
        "policy.precision": "bfloat16",
        "policy.gradient_checkpointing": True,
        "train.sharding": "fsdp",
        "train.workers": 8,
        "train.gpus_per_worker": 1,
        "train.cpus_per_worker": 8,
        "train.checkpoint_every": 50,
    }
)
"""Our choice where the paper's is unknown, for a node of eight GPUs."""


@dataclass(frozen=True, slots=True)
class PaperRun:
    """A model on a training set, as in the paper's tables."""

    tables: tuple[int, ...]
    """Numbers of the paper's tables with this run."""
    model: str
    """Name on the hub."""
    train: str = "deepscaler"
    """The training set."""
    epochs: int = 4
    """Passes over the training set."""
    limit: int = 8192
    """Response limit in tokens, in training and evaluation."""
    chat: str = "on"
    """`data.chat`; off for a base model, whose tokenizer may have a template all the same."""

    @property
    def steps(self) -> int:
        """Number of rollout batches that visit every problem `epochs` times, rounded up."""
        return math.ceil(self.epochs * NAMED[self.train].rows / PROMPTS_PER_STEP)

    @property
    def published(self) -> dict[str, Any]:
        """Settings that the paper states."""
        return {
            **PUBLISHED,
            "policy.model": self.model,
            "data.train": self.train,
            "rollout.max_new_tokens": self.limit,
            "evaluation.max_new_tokens": self.limit,
        }

    @property
    def config(self) -> RunConfig:
        """The whole configuration."""
        of_run = {"data.chat": self.chat, "train.steps": self.steps}
        return with_overrides(RunConfig(), {**OURS, **self.published, **of_run})

    def origins(self, config: RunConfig) -> dict[str, str]:
        """Origin of each setting of `config`, by path: `published`, or `ours` for our choices, for
        defaults, and for published settings that `config` changes."""
        stated, complete = self.published, flatten(self.config)
        origins = {
            path: "published" if path in stated and value == complete[path] else "ours"
            for path, value in flatten(config).items()
        }
        if config.train.steps == self.steps:
            origins["train.steps"] = f"ours; {self.epochs} epochs, published"
        return origins


PAPER_RUNS: Mapping[str, PaperRun] = MappingProxyType(
    {
        "paper/qwen-1.5b": PaperRun((1, 6), "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
        "paper/qwen-7b": PaperRun((2,), "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"),
        "paper/llama-8b": PaperRun((2,), "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"),
        "paper/qwen3-4b": PaperRun((3,), "Qwen/Qwen3-4B-Base", epochs=2, limit=4096, chat="off"),
        "paper/qwen-1.5b-dapo": PaperRun(
            (4,), "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", train="dapo-math-17k"
        ),
        "paper/llama-3b": PaperRun((5,), "meta-llama/Llama-3.2-3B-Instruct", limit=4096),
        "paper/qwen-32b": PaperRun((9,), "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", epochs=2),
    }
)
"""Presets by name, one for every model and training set in the paper's tables of results."""
