"""The configuration of a run's length, its processes, and the records that it keeps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator

from conspo_study.config.stage import Stage


class TrainConfig(Stage):
    """Length of training, its processes, and the records that it keeps."""

    steps: int = Field(80, ge=1)
    """Training steps of a run, each on a new rollout batch."""
    workers: int = Field(1, ge=1)
    """Data-parallel worker processes per trial."""
    cpus_per_worker: int = Field(1, ge=1)
    """CPU cores reserved for each worker; also its number of threads."""
    gpus_per_worker: float = Field(0, ge=0, le=1)
    """GPUs reserved for each worker, 0 or 1, or the share of one that trials of a small model take:
    with 0.25 four of them run on each GPU. Nothing keeps them from using more of its memory."""
    sharding: Literal["replicate", "fsdp"] = "replicate"
    """Distribution of weights, gradients and optimiser state over workers. `replicate`: each worker
    holds all. `fsdp`: each holds a shard (FSDP2) and gathers a layer while it computes."""
    checkpoint_every: int = Field(20, ge=1)
    """Training steps between checkpoints; the last step always writes one."""
    report_every: int = Field(5, ge=1)
    """Training steps between progress reports."""
    store_rollouts_every: int = Field(10, ge=0)
    """Training steps between records of some sampled groups, for reading, from the first step on;
    0: never."""
    store_rollouts_groups: int = Field(2, ge=1)
    """Groups recorded at such a step for each seed: those of its first prompts, discarded or
    not."""
    store_rollouts_mb: float = Field(32.0, gt=0)
    """Maximum size of recorded groups per trial, in MB. Each such step has an equal share and
    records fewer groups if they do not fit."""
    max_steps_without_contrast: int = Field(40, ge=1)
    """Consecutive steps without any group to learn from after which a seed has collapsed; before
    the first optimiser step the trial fails. Steps on which all answers are correct do not
    count."""

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_gpus_are_whole_numbers(cls, given: float) -> float:
        return int(given) if given in (0, 1) else given

    @field_serializer("gpus_per_worker")
    def _gpus_as_they_are(self, given: float) -> Any:
        return given  # and not 0.0 for 0, which would be another hash
