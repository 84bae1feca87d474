"""Settings, verdicts and groups of a batch that verl, slime or SkyRL has sampled.

These trainers have no place for an objective's settings, reward in numbers instead of verdicts, and
filter, pad and trim batches before anybody sees them. What they hand over is checked here, once for
all of them: a gradient that would not be the objective's is refused with a sentence that says why
and what to type, before a step is taken.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from conspo_study.config import ContrastiveOptions, ObjectiveOptions
from conspo_study.integrations.credits import credits, signal_groups
from conspo_study.integrations.settings import objective_options
from conspo_study.objective import Progress

VARIABLE = "CONSPO_OBJECTIVE"
"""Environment variable with the settings, where a trainer's own configuration has none."""
PERMISSIONS = {
    "several_updates": "take several optimiser steps on one batch, with the first one's credits",
    "partial_groups": "learn from groups that have lost rollouts to a filter or an empty response",
    "other_terms": "add a KL term or an entropy bonus to the objective",
    "sampler_logprobs": "take scores of the sampling engine for those of the trainer",
}
"""What `allow` can permit. Each changes the gradient; the pages of the integrations say how."""


@dataclass(frozen=True)
class DropIn:
    """The objective of a foreign run, and how to read its batches."""

    objective: ObjectiveOptions
    correct_above: float | None = None
    """A response is correct if its reward exceeds this; None: rewards are 0 and 1."""
    allow: frozenset[str] = frozenset()
    """Names of `PERMISSIONS`."""

    @classmethod
    def of(cls, given: Mapping[str, Any] | None, where: str) -> DropIn:
        """Read `{objective: conspo, tau: 0.5, correct_above: 0, allow: [...]}`; each may be absent.

        given: the settings in the trainer's configuration; None reads `CONSPO_OBJECTIVE`, the same
        as JSON, or the objective's name alone. where: their place, for messages.

        Raises ValueError for settings of another form, and what `objective_options` raises.
        """
        settings = dict(given if given is not None else _from_environment())
        name = settings.pop("objective", "conspo")
        threshold = settings.pop("correct_above", None)
        allow = settings.pop("allow", ())
        if not isinstance(name, str):
            raise ValueError(f"{where}.objective is {name!r}: give the objective's name")
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold is not None and not number:
            raise ValueError(f"{where}.correct_above is {threshold!r}: give a number or leave it")
        names = list(allow) if isinstance(allow, list | tuple) else [allow]
        for unknown in (one for one in names if one not in tuple(PERMISSIONS)):
            raise ValueError(
                f"{where}.allow has {unknown!r}; it can have: {', '.join(sorted(PERMISSIONS))}"
            )
        options = objective_options({"name": name, **settings})
        return cls(options, threshold, frozenset(names))

    @property
    def follows_progress(self) -> bool:
        """Whether the objective changes over training, as far as its options tell."""
        options = self.objective
        if isinstance(options, ContrastiveOptions):
            return options.schedule in ("cosine", "linear") and options.margin > 0
        return not type(options).__module__.startswith("conspo_study.")


class Refusal(NamedTuple):
    """A reason why a run would not follow the objective."""

    reason: str
    permission: str | None = None
    """The name in `allow` that accepts it; None if nothing does."""


class Responses(NamedTuple):
    """The responses of a sampled batch, in the trainer's order."""

    scores_B: Tensor
    """Mean token log-probability: (B,), float64."""
    lengths_B: Tensor
    """Tokens that the loss counts: (B,), int64; 0 for padding."""
    rewards_B: Tensor
    """Reward of the whole response: (B,), float64."""
    groups_B: Sequence[Hashable]
    """Id of the group."""

    @classmethod
    def of(
        cls, logprobs_BL: Tensor, mask_BL: Tensor, rewards_B: Tensor, groups_B: Sequence[Hashable]
    ) -> Responses:
        """Reduce padded token log-probabilities (B, L); what the mask leaves out is not read."""
        mask_BL = mask_BL.bool()
        lengths_B = mask_BL.sum(1)
        sums_B = torch.where(mask_BL, logprobs_BL.detach().double(), 0.0).sum(1)
        return cls(sums_B / lengths_B.clamp(min=1), lengths_B, rewards_B.double(), list(groups_B))


class Credited(NamedTuple):
    """Credits of a batch, ready to be scaled to the trainer's mean."""

    credits_B: Tensor
    """c_i: (B,), float64, 0 where the group has no contrast."""
    groups: int
    """Q, the groups with contrast."""


def credit(
    responses: Responses, size: int, drop_in: DropIn, progress: Progress, where: str
) -> Credited:
    """Check the groups of a batch and compute the credits of its responses.

    size: rollouts that were sampled for each prompt. A group whose responses are all empty is
    padding.

    Raises ValueError for groups that are not whole, empty responses among others, graded rewards
    without `correct_above`, and what `conspo_study.integrations.credits` raises.
    """
    sampled = responses.lengths_B > 0
    real = {g for g, some in zip(responses.groups_B, sampled.tolist(), strict=True) if some}
    refuse(_group_faults(responses, real, size), drop_in, where)
    correct_B = verdicts(responses.rewards_B, sampled, drop_in, where)
    given: dict[str, Any] = {"rewards": responses.rewards_B, "counted": sampled}
    groups_B, options = responses.groups_B, drop_in.objective
    credits_B = credits(responses.scores_B, correct_B, groups_B, options, progress, **given)
    return Credited(credits_B, signal_groups(correct_B, groups_B, options, **given))


def verdicts(rewards_B: Tensor, sampled_B: Tensor, drop_in: DropIn, where: str) -> Tensor:
    """Which responses are correct: (B,), bool.

    Raises ValueError for a reward of a sampled response that is neither 0 nor 1, unless
    `correct_above` says how to read it.
    """
    if drop_in.correct_above is not None:
        return rewards_B > drop_in.correct_above
    graded = (sampled_B & (rewards_B != 0) & (rewards_B != 1)).nonzero().flatten()
    if len(graded):
        row = int(graded[0])
        raise ValueError(
            f"row {row} has the reward {float(rewards_B[row]):g}, but {drop_in.objective.name} "
            "compares correct with wrong responses: say above which reward a response is correct, "
            f"{where}.correct_above=0.5, or reward with 0 and 1"
        )
    return rewards_B == 1


def refuse(refusals: Iterable[Refusal], drop_in: DropIn, where: str) -> None:
    """Raise ValueError listing every refusal that `allow` does not accept."""
    left = [refusal for refusal in refusals if refusal.permission not in drop_in.allow]
    if not left:
        return
    lines = []
    for reason, permission in left:
        way = f" (or accept it: {where}.allow=[{permission}])" if permission else ""
        lines.append(f"\n  {reason}{way}")
    raise ValueError(f"this run would not follow {drop_in.objective.name}:{''.join(lines)}")


def _group_faults(responses: Responses, real: set[Hashable], size: int) -> Iterable[Refusal]:
    if size < 2:
        yield Refusal(f"{size} rollout per prompt has nothing to be compared with: sample 8 or 16")
        return
    empty = [
        row
        for row, group in enumerate(responses.groups_B)
        if group in real and not responses.lengths_B[row]
    ]
    if empty:
        yield Refusal(
            f"row {empty[0]} of group {responses.groups_B[empty[0]]} has no token that the loss "
            "counts, so it has no score",
            "partial_groups",
        )
    counts = Counter(group for group in responses.groups_B if group in real)
    odd = [(group, count) for group, count in counts.items() if count != size]
    if odd:
        (group, count), more = odd[0], len(odd) - 1
        others = f", and {more} more groups do not either" if more else ""
        lost = count < size
        reason = (
            f"group {group} has {count} responses, not the {size} that were sampled{others}: "
            + (
                "a filter or a trim has broken it"
                if lost
                else "prompts share an id, or a response is in several rows"
            )
        )
        yield Refusal(reason, "partial_groups" if lost else None)


def _from_environment() -> Mapping[str, Any]:
    text = os.environ.get(VARIABLE, "").strip()
    if not text.startswith("{"):
        return {"objective": text} if text else {}
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{VARIABLE} is not JSON: {error}: {text[:200]}") from error
    assert isinstance(settings, dict)
    return settings
