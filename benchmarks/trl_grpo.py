"""One side of `full_step.py`: TRL's GRPOTrainer on a job, in an environment of its own.

    .venv-trl/bin/python benchmarks/trl_grpo.py job.json

Everything that the job leaves open is TRL's default: `model.generate` samples, all responses are
scored in one padded batch, and nothing is scored twice. A step is what happens between the
trainer's `on_step_begin` and `on_step_end`: sampling, rewards, update.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from step_job import RULES, Job, Told
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Clock(TrainerCallback):
    """Times the steps."""

    def __init__(self, told: Told) -> None:
        self._told, self._start = told, 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._told.seconds.append(time.perf_counter() - self._start)
        self._told.trained.append(1.0)


def trained(job: Job) -> Told:
    """Do the job."""
    told = Told()
    rule = RULES[job.rule]

    def reward(
        completions: list[str], completion_ids: list[list[int]], answer: list[str], **_: Any
    ) -> list[float]:
        rewards = [float(rule(*pair)) for pair in zip(completions, answer, strict=True)]
        told.rewards.append(sum(rewards) / len(rewards))
        told.tokens.append(sum(map(len, completion_ids)))
        return rewards

    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=job.prompts_per_step * job.group_size,
            num_generations=job.group_size,
            max_completion_length=job.limit,
            max_steps=job.warm_up + job.steps,
            temperature=job.temperature,
            loss_type="grpo",
            beta=0.0,
            learning_rate=job.learning_rate,
            lr_scheduler_type="constant",
            adam_beta1=job.beta1,
            adam_beta2=job.beta2,
            adam_epsilon=1e-8,
            weight_decay=0.0,
            max_grad_norm=job.grad_clip,
            gradient_checkpointing=False,
            shuffle_dataset=False,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1_000_000,
        )
        rows = [{"prompt": prompt, "answer": answer} for prompt, answer in job.problems]
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32),
            processing_class=AutoTokenizer.from_pretrained(job.model),
            reward_funcs=reward,
            args=settings,
            train_dataset=Dataset.from_list(rows),
            callbacks=[Clock(told)],
        )
        trainer.train()
    return told


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(trained(Job.read(Path(sys.argv[1]))).line())
