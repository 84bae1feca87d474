"""The configuration of the rollout stage."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.stage import Stage


class RolloutConfig(Stage):
    """How responses are sampled during training."""

    engine: Literal["transformers", "vllm"] = "transformers"
    """The generation engine: `transformers` samples with the model object that is trained; `vllm`
    runs engines in processes of their own, which are sent the weights."""
    prompts_per_step: int = Field(8, ge=1)
    """Prompts per rollout batch, over all workers."""
    group_size: int = Field(16, ge=2)
    """G, rollouts per prompt; a contrast needs at least two."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature. Log-probabilities everywhere are those at this temperature.
    Training always samples from the full distribution: truncating it (top-p, top-k) would make
    the policy's log-probabilities wrong."""
    max_new_tokens: int = Field(44, ge=1)
    """Response limit in tokens."""
    refill_rounds: int = Field(0, ge=0)
    """Up to this many further rounds of fresh prompts replace discarded groups; 0, as in the
    paper, discards without refilling."""
    ahead: bool = False
    """Whether the responses of a step are asked for before the update of the step before it, so
    that vLLM engines draw while the trainer computes. They are off-policy by that update:
    `staleness` and the mismatch metrics show it, and what ratios refer to is
    `update.old_logprobs`."""
    batch_rows: int = Field(512, ge=1)
    """Most sequences that the engine decodes at once."""
    vllm_engines: int = Field(1, ge=1)
    """vLLM engines of each training worker; prompts are spread over them."""
    vllm_cpus: int = Field(1, ge=1)
    """CPU cores reserved for each vLLM engine; without a GPU also its thread count."""
    vllm_gpus: int = Field(0, ge=0)
    """GPUs reserved for each vLLM engine, which splits the model over them."""
    vllm_colocated: bool = False
    """Whether the engine shares the GPU of its training worker and sleeps while that computes."""
    vllm_gpu_memory: float = Field(0.85, gt=0, le=1)
    """Share of its GPU's memory that a vLLM engine may use, weights included."""
    vllm_cache_mib: int = Field(256, ge=16)
    """Memory of a vLLM engine's key-value cache on a CPU, in MiB."""
    vllm_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format that vLLM computes in; the trainer keeps its own."""
    vllm_deadline_s: float = Field(600.0, gt=0)
    """Seconds without a sign of life (a start, a decoding step, loaded weights) after which a vLLM
    engine is taken for dead."""

    @model_validator(mode="after")
    def _a_group_fits_the_engine(self) -> Self:
        if self.group_size > self.batch_rows:
            raise ValueError(
                f"group_size {self.group_size} exceeds batch_rows {self.batch_rows}: "
                "a group is decoded together; raise batch_rows"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_refilled_ahead(self) -> Self:
        if self.ahead and self.refill_rounds:
            raise ValueError(
                "ahead draws responses before it is known which groups must be replaced, but "
                f"refill_rounds is {self.refill_rounds}: set refill_rounds=0 or ahead=false"
            )
        return self

    @model_validator(mode="after")
    def _a_colocated_engine_has_no_gpu_of_its_own(self) -> Self:
        if self.vllm_colocated and (self.vllm_gpus or self.vllm_engines > 1):
            raise ValueError(
                f"vllm_colocated engines have no GPU of their own and are one per worker, but "
                f"vllm_gpus is {self.vllm_gpus} and vllm_engines {self.vllm_engines}: set "
                "vllm_gpus=0 and vllm_engines=1, or vllm_colocated=false"
            )
        return self
