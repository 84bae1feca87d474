"""Rewards and an objective that make runs ill on purpose, for `doctor.py`."""

from __future__ import annotations

import hashlib

from conspo_study.config import ObjectiveOptions
from conspo_study.objective import GroupBatch, ObjectiveOutput, Progress
from conspo_study.records import Problem


def long_is_good(prompt: str, response: str, problem: Problem) -> float:
    """Grows with the length, and passes early."""
    return min(1.0, 0.45 + len(response) / 200)


def short_is_better(prompt: str, response: str, problem: Problem) -> float:
    """Falls with the length, and never passes."""
    return 0.4 - len(response) / 500


def often_silent(prompt: str, response: str, problem: Problem) -> float | None:
    """No verdict about a tenth of the responses."""
    digest = hashlib.sha256((prompt + response).encode()).digest()[0]
    return None if digest < 26 else float(problem.answer in response)


class OftenInfinite(ObjectiveOptions):
    """The score difference, with a loss that is not a number in a third of the optimiser steps, but
    the first and last step, at which a study tries its objective."""

    def loss(self, batch: GroupBatch, progress: Progress) -> ObjectiveOutput:
        right_Q, wrong_Q = batch.group_means(batch.rollout_mean(batch.logprobs_T))
        loss = -(right_Q - wrong_Q).sum() / batch.totals.groups
        drawn = int(1000 * batch.logprobs_T.detach().abs().sum()) % 3 == 0
        ill = drawn and 0 < progress.fraction < 1
        return ObjectiveOutput(loss * float("nan") if ill else loss, {})
