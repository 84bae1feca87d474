"""One optimiser step: summed over workers, guarded, clipped, applied."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from conspo_study.config import UpdateConfig
from conspo_study.update.device import wait_for
from conspo_study.update.errors import DivergedError
from conspo_study.update.shards import own_part, whole
from conspo_study.update.world import World


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The outcome of an optimiser step."""

    grad_norm: float
    """Global norm before clipping; not finite when the step was skipped."""
    clipped: bool
    skipped: bool
    learning_rate: float
    sync_s: float = 0.0
    """Seconds spent on adding up the gradients of workers."""


class Updater:
    """AdamW over a model's parameters, the same on every worker."""

    def __init__(self, model: nn.Module, config: UpdateConfig, world: World):
        self.names, parameters = [], []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self.names.append(name)
                parameters.append(parameter)
        self.parameters: list[nn.Parameter] = parameters
        self.config = config
        self.world = world
        self.applied = 0
        """Optimiser steps taken so far; skipped ones do not count."""
        self.skipped_in_a_row = 0
        self.optimizer = torch.optim.AdamW(
            parameters,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )

    def step(self) -> StepOutcome:
        """Sum the gradients over workers and apply them.

        A non-finite value on any worker makes the sum non-finite on all, so that all of them skip
        the step together. Raises DivergedError after `max_skipped_steps` skipped in a row.
        """
        start = time.perf_counter()
        self.world.sum_gradients(self.parameters)
        wait_for(self.parameters[0].device)
        sync_s = time.perf_counter() - start
        norm = float(whole(nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip)))
        rate = self._learning_rate()
        skipped = not torch.isfinite(torch.tensor(norm))
        if skipped:
            self.skipped_in_a_row += 1
        else:
            self.skipped_in_a_row = 0
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.applied += 1
        self.optimizer.zero_grad(set_to_none=True)
        if self.skipped_in_a_row >= self.config.max_skipped_steps:
            raise DivergedError(
                f"the gradient was not finite in {self.skipped_in_a_row} consecutive "
                "steps; lower update.learning_rate or raise objective.tau"
            )
        return StepOutcome(norm, norm > self.config.grad_clip, skipped, rate, sync_s)

    def _learning_rate(self) -> float:
        warmup = self.config.warmup_steps
        fraction = min(1.0, (self.applied + 1) / warmup) if warmup else 1.0
        return self.config.learning_rate * fraction

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """The optimiser's state as named tensors, of sharded ones this worker's rows; empty before
        the first step."""
        tensors = {}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}/{name}"] = own_part(value)
        return tensors

    def load_state(self, tensors: dict[str, torch.Tensor], applied: int, skipped: int) -> None:
        """Restore what `state_tensors`, `applied` and `skipped_in_a_row` held.

        Raises ValueError when a parameter's state is missing or has another shape.
        """
        for name, parameter in zip(self.names, self.parameters, strict=True):
            state = {}
            for key in _state_keys(tensors):
                value = tensors.get(f"{key}/{name}")
                like = torch.tensor(0.0) if key == "step" else parameter
                if value is None or value.shape != own_part(like).shape:
                    raise ValueError(f"optimiser state {key!r} does not fit parameter {name!r}")
                state[key] = torch.empty_like(like, requires_grad=False)
                own_part(state[key]).copy_(value)
            if state:
                self.optimizer.state[parameter] = state
        self.applied, self.skipped_in_a_row = applied, skipped


def _state_keys(tensors: Iterable[str]) -> list[str]:
    return sorted({name.partition("/")[0] for name in tensors})
