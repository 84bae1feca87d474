"""The rules of the doctor: each names one thing that can go wrong with the training of a seed.

A rule reads smoothed metrics (`series`): medians over 5 steps, and what it looks for has to hold
for 5 of them in a row. A run of fewer than 9 steps has no findings but a collapse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conspo_study.doctor.series import HOLD, Metrics, Point, Smooth, at, lows, onset, peaks, smooth
from conspo_study.records import is_number


@dataclass(frozen=True, slots=True)
class Symptom:
    """What a rule found in one seed."""

    step: int
    """When it set in."""
    evidence: str
    """The numbers, for people."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can go wrong."""

    name: str
    advice: str
    """What usually helps."""
    find: Callable[[Metrics, Mapping[str, Any]], Symptom | None]
    """Its symptom in the steps of a seed, given the trial's configuration; None without one."""


MARGIN = "margin without effect"
"""Name of the one rule that is about a setting, and not about what became of the run."""
REWARD_FALL, FALL_LEAST = 0.75, 0.1
"""Of the highest share of correct responses so far, and below it: what is under both has fallen."""
SOLVED = 0.8
"""Share of correct responses above which a policy may well be certain."""
ENTROPY_SHARE, ENTROPY_LOW = 0.1, 0.02
"""Of the entropy in the beginning, and nats: below both it has collapsed, unless the task is
solved."""
ENTROPY_RISE, ENTROPY_MORE = 2.0, 0.05
"""Times the lowest entropy so far, and nats above it: beyond both it rises."""
FEW_GROUPS = 0.15
"""Share of groups with a contrast, below which most of what is sampled teaches nothing."""
LENGTH_DRIFT = 1.5
"""Times the length of responses when the reward was highest, or its inverse."""
TRUNCATED, UNDECIDED, NO_ANSWER = 0.1, 0.02, 0.2
"""Shares of responses."""
MISMATCH, MISMATCH_GROWTH, MISMATCH_MOST = 1e-3, 3.0, 0.02
"""Nats between sampler and trainer, times what it was in the beginning, and nats that are too many
from the beginning."""
TOKENS_CLIPPED = 0.3
"""Share of tokens that the clip takes out of the gradient."""
CLIPPED = {"score_clip_fraction": 0.5, "cap_hit": 0.1}
"""Share of rollouts that a trust region takes out of the gradient, and of tokens beyond a cap.
GSPO's `sequence_clip_fraction` is none of them: its band is so narrow that most rollouts leave it
after a few steps on a batch, in runs that learn as others do."""
MARGIN_EFFECT = 0.02
"""Largest change of a rollout's credit, below which the margin does nothing."""
SKIPPED = 0.2
"""Share of optimiser steps whose gradient was not finite."""


def reward_fall(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """The reward falls, and has not come back by the end."""
    points = _right(steps)
    best = {point.step: top for point, top in peaks(points)}

    def fallen(point: Point) -> bool:
        top = best[point.step].value
        return point.value < min(REWARD_FALL * top, top - FALL_LEAST)

    if not points or not fallen(points[-1]):
        return None
    since = len(points)
    while since and fallen(points[since - 1]):
        since -= 1
    first = onset(points[since:], fallen)
    if first is None:
        return None
    return _from_to("reward", best[first.step], points[-1], first.step)


def entropy_collapse(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """The policy has become certain before it is right."""
    points, right = smooth(steps, "entropy"), _right(steps)
    if not points:
        return None

    def certain(point: Point) -> bool:
        if point.value >= min(ENTROPY_LOW, ENTROPY_SHARE * points[0].value):
            return False
        share = at(right, point.step)
        return share is not None and share < SOLVED

    first = onset(points, certain)
    return None if first is None else _from_to("entropy", points[0], first, first.step)


def entropy_rise(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """The policy becomes uncertain again."""
    points = smooth(steps, "entropy")
    lowest = {point.step: low for point, low in lows(points)}

    def risen(point: Point) -> bool:
        low = lowest[point.step].value
        return point.value > max(ENTROPY_RISE * low, low + ENTROPY_MORE)

    first = onset(points, risen)
    return None if first is None else _from_to("entropy", lowest[first.step], first, first.step)


def dead_groups(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Few groups have both correct and wrong responses."""
    first = onset(smooth(steps, "valid_fraction"), lambda point: point.value < FEW_GROUPS)
    if first is None:
        return None
    kinds = (
        ("all correct", "all_correct_fraction"),
        ("all wrong", "all_wrong_fraction"),
        ("too small", "too_small_fraction"),
    )
    found = [
        (share, kind) for kind, name in kinds if (share := at(smooth(steps, name), first.step))
    ]
    most = f", {max(found)[0]:.0%} are {max(found)[1]}" if found else ""
    return Symptom(first.step, f"{first.value:.0%} of groups have a contrast{most}")


def length_drift(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Responses grow, or shrink, away from the length that earned most."""
    right, lengths = _right(steps), smooth(steps, "response_length")
    if not right or not lengths:
        return None
    best = max(right, key=lambda point: point.value)
    usual = at(lengths, best.step)
    later = tuple(point for point in lengths if point.step > best.step)
    if not usual:
        return None
    first = onset(later, lambda point: not 1 / LENGTH_DRIFT <= point.value / usual <= LENGTH_DRIFT)
    return (
        None
        if first is None
        else _from_to("response_length", Point(best.step, usual), first, first.step)
    )


def truncation(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Responses reach the limit of their length."""
    return _above(steps, TRUNCATED, "truncated_fraction")


def undecided(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Answers are never decided."""
    return _above(steps, UNDECIDED, "undecided_fraction")


def no_answer(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Responses have no answer in them."""
    return _above(steps, NO_ANSWER, "no_answer_fraction")


def mismatch_drift(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Sampler and trainer disagree more and more about the same tokens, or much from the start."""
    points = smooth(steps, "mismatch_kl")
    if not points:
        return None
    start = points[0]
    most = max(MISMATCH, min(MISMATCH_GROWTH * start.value, MISMATCH_MOST))
    first = onset(points, lambda one: one.value > most)
    return None if first is None else _from_to("mismatch_kl", start, first, first.step)


def clip_saturation(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """A clip takes a large part of the data out of the gradient."""
    found = [_above(steps, TOKENS_CLIPPED, "clip_fraction_high", "clip_fraction_low")]
    found += [_above(steps, most, name) for name, most in CLIPPED.items()]
    return min((one for one in found if one), key=lambda one: one.step, default=None)


def margin_without_effect(steps: Metrics, config: Mapping[str, Any]) -> Symptom | None:
    """A margin is set, has risen, and changes no credit."""
    objective, train = (config.get(stage) for stage in ("objective", "train"))
    if not isinstance(objective, Mapping) or not isinstance(train, Mapping):
        return None
    margin, schedule = objective.get("margin"), objective.get("schedule")
    alpha, steps_of_all = objective.get("alpha"), train.get("steps")
    if not is_number(margin) or margin <= 0 or schedule == "off":
        return None
    risen = 0.0
    if schedule != "constant" and is_number(alpha) and is_number(steps_of_all):
        risen = alpha * steps_of_all
    points = tuple(point for point in smooth(steps, "margin_effect") if point.step > risen)
    if len(points) < HOLD:
        return None
    most = max(points, key=lambda point: point.value)
    if most.value >= MARGIN_EFFECT:
        return None
    return Symptom(points[0].step, f"margin_effect at most {most.value:.2g}, at step {most.step}")


def skipped_steps(steps: Metrics, _: Mapping[str, Any]) -> Symptom | None:
    """Gradients are not finite."""
    return _above(steps, SKIPPED, "step_skipped")


RULES = (
    Rule(
        "reward fall",
        "fewer optimiser steps per rollout batch, a smaller learning rate, or a trust region",
        reward_fall,
    ),
    Rule(
        "entropy collapse",
        "a higher sampling temperature, larger groups, or a larger upper clip range",
        entropy_collapse,
    ),
    Rule("entropy rise", "a smaller learning rate, or fewer steps per rollout batch", entropy_rise),
    Rule(
        "dead groups",
        "problems of another difficulty, larger groups, or rollout.refill_rounds",
        dead_groups,
    ),
    Rule(
        "length drift",
        "a loss without a length bias (dapo, dr_grpo), or reward.overlong_cache",
        length_drift,
    ),
    Rule("truncation", "a larger rollout.max_new_tokens, or reward.overlong_cache", truncation),
    Rule("undecided answers", "a longer time limit or a simpler format of the answer", undecided),
    Rule("no answers", "examples of the answer's format in the prompt", no_answer),
    Rule(
        "mismatch drift",
        "update.old_logprobs=trainer with update.importance_cap, or a sampler in float32",
        mismatch_drift,
    ),
    Rule(
        "clip saturation",
        "a smaller learning rate, or fewer steps per rollout batch",
        clip_saturation,
    ),
    Rule(
        MARGIN,
        "a margin of the order of the score gaps, or objective.margin_unit=tau",
        margin_without_effect,
    ),
    Rule("skipped steps", "a smaller learning rate, or a float32 head", skipped_steps),
)
"""All rules that read training steps, in the order in which findings are told."""


def _right(steps: Metrics) -> Smooth:
    """The share of correct responses; the reward is it, unless it is an own one."""
    return smooth(steps, "correct_fraction") or smooth(steps, "reward")


def _above(steps: Metrics, most: float, *metrics: str) -> Symptom | None:
    points = smooth(steps, *metrics)
    first = onset(points, lambda point: point.value > most)
    if first is None:
        return None
    return Symptom(first.step, f"{' + '.join(metrics)} {first.value:.2g}, above {most:g}")


def _from_to(metric: str, before: Point, after: Point, step: int) -> Symptom:
    values = f"{before.value:.3g} at step {before.step}, {after.value:.3g} at step {after.step}"
    return Symptom(step, f"{metric} {values}")
