"""The settings of a verl run that decide whether its gradient is the objective's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from conspo_study.integrations.foreign_batch import VARIABLE, DropIn, Refusal
from conspo_study.objective import Progress

NAME = "conspo"
"""Of the advantage estimator and of the policy loss."""
WHERE = "algorithm.conspo"
ACTOR = "actor_rollout_ref.actor"
MODES = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean")
"""Of `loss_agg_mode`: those whose weight of a token is known before micro-batches are formed."""
NORM = "seq-mean-token-sum-norm"
"""Known, too, with a `loss_scale_factor`."""


@dataclass(frozen=True)
class TrainerSettings:
    """What a step of the trainer does with advantages."""

    config: Any
    """The node `algorithm` of the trainer's configuration."""

    @property
    def drop_in(self) -> DropIn:
        """The objective. Raises ValueError for settings that are not understood."""
        from omegaconf import OmegaConf

        given = _select(self.config, ".conspo")
        plain = given if given is None else OmegaConf.to_container(given, resolve=True)
        if plain is not None and not isinstance(plain, dict):
            raise ValueError(f"{WHERE} is {plain!r}: give +{WHERE}.objective=NAME")
        return DropIn.of(plain, WHERE if plain is not None else VARIABLE)

    @property
    def loss_mode(self) -> str:
        """Name of the policy loss."""
        return str(self.of(f"{ACTOR}.policy_loss.loss_mode", "vanilla"))

    @property
    def aggregation(self) -> str:
        """`loss_agg_mode`: how losses of tokens become one."""
        return str(self.of(f"{ACTOR}.loss_agg_mode", "token-mean"))

    @property
    def loss_scale_factor(self) -> float | None:
        """The constant of `seq-mean-token-sum-norm`; None: the width of each micro-batch."""
        factor = self.of(f"{ACTOR}.loss_scale_factor", None)
        return None if factor is None else float(factor)

    @property
    def rollouts_per_prompt(self) -> int:
        """G, the responses sampled for each prompt."""
        return int(self.of("actor_rollout_ref.rollout.n", 1))

    @property
    def rollouts_per_update(self) -> int:
        """Rows of a mini-batch: `global_batch_size`, by which verl divides."""
        return int(self.of(f"{ACTOR}.ppo_mini_batch_size", 1)) * self.rollouts_per_prompt

    def updates(self, rows: int) -> int:
        """Optimiser steps that a batch of so many rows is used for."""
        passes = int(self.of(f"{ACTOR}.ppo_epochs", 1))
        return passes * max(1, rows // self.rollouts_per_update) * self._updates_per_sync

    def progress(self, drop_in: DropIn) -> Progress:
        """The trainer's global step, of its total: known to both generations of trainers.

        Raises ValueError where a rising margin needs it and the trainer does not tell it.
        """
        from verl.utils.skip.skip_manager import SkipManager

        step, steps = int(SkipManager.step), self._total_steps
        if step >= 1 and steps >= 1:
            return Progress(min(step, steps) - 1, steps)
        if drop_in.follows_progress:
            raise ValueError(
                f"{drop_in.objective.name} raises its margin over training, but this trainer does "
                f"not say where it is (step {step} of {steps}): set {WHERE}.schedule=constant"
            )
        return Progress(0, 1)

    def refusals(self, rows: int) -> Iterable[Refusal]:
        """Why a batch of so many rows would not be followed exactly."""
        if self.loss_mode != NAME:
            yield Refusal(
                f"the policy loss {self.loss_mode} multiplies by ratios and clips them: set "
                f"{ACTOR}.policy_loss.loss_mode={NAME}"
            )
        if self.aggregation == NORM and self.loss_scale_factor is None:
            yield Refusal(
                f"{NORM} divides by the width of each micro-batch: set {ACTOR}.loss_scale_factor, "
                f"or {ACTOR}.loss_agg_mode=seq-mean-token-mean"
            )
        elif self.aggregation not in (*MODES, NORM):
            yield Refusal(
                f"nothing is known of loss_agg_mode={self.aggregation}: set "
                f"{ACTOR}.loss_agg_mode=seq-mean-token-mean"
            )
        yield from self._other_terms()
        yield from self._other_policies()
        if (updates := self.updates(rows)) > 1:
            yield Refusal(
                f"each batch of {rows} responses is used for {updates} optimiser steps, and "
                "credits are those before the first: set ppo_epochs=1 and ppo_mini_batch_size="
                f"{rows // self.rollouts_per_prompt} (data.train_batch_size)",
                "several_updates",
            )

    def _other_terms(self) -> Iterable[Refusal]:
        for key, what in (
            (f"{ACTOR}.use_kl_loss", "adds a KL term to the loss"),
            ("algorithm.use_kl_in_reward", "subtracts a KL term from the rewards"),
            (f"{ACTOR}.entropy_coeff", "adds an entropy bonus to the loss"),
        ):
            if value := self.of(key, 0):
                off = "0" if key.endswith("coeff") else "false"
                yield Refusal(f"{key}={value} {what}: set {key}={off}", "other_terms")

    def _other_policies(self) -> Iterable[Refusal]:
        key = "algorithm.rollout_correction"
        if self.of(f"{key}.bypass_mode", False):
            yield Refusal(
                f"{key}.bypass_mode takes the sampler's log-probabilities for the trainer's: "
                f"set {key}.bypass_mode=false",
                "sampler_logprobs",
            )
        for part, what in (("rollout_is", "weights tokens"), ("rollout_rs", "rejects responses")):
            if value := self.of(f"{key}.{part}", None):
                yield Refusal(f"{key}.{part}={value} {what}: set {key}.{part}=null")

    def of(self, key: str, default: Any) -> Any:
        """A setting of the whole configuration, by its path from the root."""
        found = _select(self.config, f"..{key}")
        return default if found is None else found

    @property
    def _total_steps(self) -> int:
        steps = self.of("trainer.total_training_steps", None)
        if steps is None:  # the trainer notes it for the learning rate, in optimiser steps
            noted = int(self.of(f"{ACTOR}.optim.total_training_steps", -1))
            steps = noted // self._updates_per_sync
        return int(steps)

    @property
    def _updates_per_sync(self) -> int:
        """Optimiser steps of the asynchronous trainer between two of its global steps, all with
        log-probabilities of the policy before the first."""
        if not self.of("trainer.use_v1", True):
            return 1
        mode = self.of("trainer.v1.trainer_mode", "")
        return int(self.of(f"trainer.v1.{mode}.parameter_sync_step", 1)) if mode else 1


def has_the_rest(config: Any) -> bool:
    """Whether a node `algorithm` is part of a whole configuration."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not isinstance(config, DictConfig):
        return False
    try:
        return OmegaConf.select(config, f"..{ACTOR}") is not None
    except OmegaConfBaseException:  # there is nothing above it
        return False


def _select(config: Any, key: str) -> Any:
    from omegaconf import OmegaConf

    if not has_the_rest(config):
        raise ValueError(
            f"the estimator {NAME} reads loss_agg_mode and batch sizes next to `algorithm`, but "
            f"this trainer passes it a {type(config).__name__} without the rest: pass "
            "config.algorithm of the whole configuration, as verl's trainers do"
        )
    return OmegaConf.select(config, key)
