"""Runs of small released models on one GPU, as configurations: an hour or less for a trial of two
seeds on a GPU of 80 GB, by the plan's arithmetic.

    conspo plan margin_sweep --preset lab/qwen2.5-0.5b-gsm8k --gpu-memory 24

None of them has been run on a GPU yet. What depends on the size of the GPU is memory alone, but for
models of which it does not hold three seeds, the most that a packaged study runs: there adapters
are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from conspo_study.config import RunConfig, with_overrides
from conspo_study.definition.paper_runs import PUBLISHED_OBJECTIVE

LARGEST = 80
"""GiB of the GPU that a preset is for unless another is named."""
LEARNING_RATE = 2e-6
ADAPTERS: Mapping[str, Any] = MappingProxyType(
    {
        "policy.lora_rank": 32,
        "policy.lora_alpha": 64.0,
        # Adapters learn at about ten times the rate of whole weights.
        "update.learning_rate": 10 * LEARNING_RATE,
    }
)
"""What is trained where whole weights of three seeds do not fit."""
SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        **PUBLISHED_OBJECTIVE,
        "data.template": "boxed",
        "data.chat": "on",
        "data.on_overlap": "drop",
        "policy.precision": "bfloat16",
        "policy.gradient_checkpointing": True,
        "rollout.engine": "vllm",
        "rollout.vllm_colocated": True,
        "rollout.vllm_dtype": "bfloat16",
        "rollout.prompts_per_step": 32,
        "rollout.group_size": 8,
        "update.learning_rate": LEARNING_RATE,
        "update.warmup_steps": 10,
        "evaluation.greedy": False,
        "evaluation.samples": 4,
        "evaluation.temperature": 0.6,
        "evaluation.top_p": 0.95,
        "evaluation.every": 25,
        "reward.workers": 2,
        "train.gpus_per_worker": 1,
        "train.cpus_per_worker": 4,
        "train.checkpoint_every": 25,
    }
)
"""What all of them share."""
GSM8K: Mapping[str, Any] = MappingProxyType(
    {
        "data.train": "gsm8k-train",
        "data.max_prompt_tokens": 512,
        "evaluation.sets": ("gsm8k",),
        "evaluation.problems_per_set": 300,
        "rollout.max_new_tokens": 512,
        "evaluation.max_new_tokens": 512,
    }
)
MATH: Mapping[str, Any] = MappingProxyType(
    {
        "data.train": "math-train",
        "data.max_prompt_tokens": 1024,
        "evaluation.sets": ("math500",),
        "evaluation.problems_per_set": 200,
        "rollout.max_new_tokens": 1024,
        "evaluation.max_new_tokens": 1024,
    }
)


@dataclass(frozen=True, slots=True)
class LabRun:
    """A model on a training set."""

    model: str
    """Name on the hub."""
    problems: Mapping[str, Any]
    """Settings of the problem sets and response limits."""
    steps: int
    whole_from: int = 24
    """GiB of the smallest GPU on which the whole model is trained; below it, adapters."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this model alone."""

    def config(self, gpu_memory: float = LARGEST) -> RunConfig:
        """The whole configuration, for a GPU of so many GiB."""
        share, tokens = next(
            (share, tokens) for least, share, tokens in _ENGINES if gpu_memory >= least
        )
        # A GPU has a little less than its name says: 22.5 GiB of 24, 39.6 of 40.
        whole = gpu_memory >= 0.9 * self.whole_from
        return with_overrides(
            RunConfig(),
            {
                **SETTINGS,
                **self.problems,
                "policy.model": self.model,
                "train.steps": self.steps,
                "rollout.vllm_gpu_memory": share,
                "update.micro_batch_tokens": tokens,
                **({} if whole else ADAPTERS),
                **self.more,
            },
        )


_ENGINES = ((72, 0.25, 16_384), (36, 0.25, 8192), (0, 0.28, 4096))
"""Of GPUs from so many GiB: the engine's fraction, and tokens of a micro-batch."""

LAB_RUNS: Mapping[str, LabRun] = MappingProxyType(
    {
        "lab/smollm2-360m-gsm8k": LabRun("HuggingFaceTB/SmolLM2-360M-Instruct", GSM8K, 150),
        "lab/qwen2.5-0.5b-gsm8k": LabRun("Qwen/Qwen2.5-0.5B-Instruct", GSM8K, 150, whole_from=40),
        "lab/qwen3-0.6b-math": LabRun(
            "Qwen/Qwen3-0.6B",
            MATH,
            100,
            whole_from=40,
            more=MappingProxyType({"data.chat_options": {"enable_thinking": False}}),
        ),
        "lab/llama-3.2-1b-gsm8k": LabRun(
            "meta-llama/Llama-3.2-1B-Instruct", GSM8K, 120, whole_from=80
        ),
        "lab/qwen2.5-1.5b-math": LabRun("Qwen/Qwen2.5-1.5B-Instruct", MATH, 75, whole_from=80),
    }
)
"""Presets by name, smallest model first."""
