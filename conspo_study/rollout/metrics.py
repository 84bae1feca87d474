"""Metrics of all sampled responses, including discarded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from conspo_study.records import (
    FinishStatus,
    Judgement,
    Least,
    Mean,
    Part,
    Peak,
    Rollout,
    Spread,
    Verdict,
)

Pair = tuple[Rollout, Judgement]


def rollout_metrics(
    rollouts: Sequence[Rollout], judgements: Sequence[Judgement]
) -> dict[str, Part]:
    """Metrics of all responses of a step, as parts that can be added.

    `reward` and `reward_std` are over decided verdicts, before shaping. The built-in reward is 1
    for a correct response and 0 for any other; with a custom one, `correct_fraction` is the share
    that reaches its threshold. Lengths are in tokens. `entropy` is the mean of -log pi(o_t) over
    sampled tokens, an unbiased estimate of the policy's entropy in nats.
    """
    pairs = list(zip(rollouts, judgements, strict=True))
    decided = [pair for pair in pairs if pair[1].verdict.decided]
    rewards = [judgement.reward for _, judgement in decided]
    lengths = [len(rollout.tokens) for rollout in rollouts]
    surprise = -sum(sum(rollout.logprobs) for rollout in rollouts)
    parts: dict[str, Part] = {
        "reward": Mean(sum(rewards), len(rewards)),
        "reward_std": Spread(len(rewards), sum(rewards), sum(reward**2 for reward in rewards)),
        "undecided_fraction": _mean(pairs, lambda pair: not pair[1].verdict.decided),
        "no_answer_fraction": _mean(pairs, lambda pair: pair[1].verdict is Verdict.NO_ANSWER),
        "truncated_fraction": _mean(pairs, _is_truncated),
        "response_length": Mean(sum(lengths), len(lengths)),
        "response_length_stopped": _mean((p for p in pairs if not _is_truncated(p)), _length),
        "response_length_correct": _mean(filter(_is_correct, decided), _length),
        "response_length_wrong": _mean((p for p in decided if not _is_correct(p)), _length),
        "entropy": Mean(surprise, sum(lengths)),
    }
    if any(judgement.graded is not None for judgement in judgements):
        parts["correct_fraction"] = _mean(decided, _is_correct)
    if lengths:
        parts["response_length_min"] = Least(float(min(lengths)))
        parts["response_length_max"] = Peak(float(max(lengths)))
    return parts


def derived_metrics(row: Mapping[str, float], sampled: int | None) -> dict[str, float]:
    """Quotients of a step's metrics; undefined ones are omitted.

    row: the step's metrics. sampled: number of sampled groups, None without refilling.
    `kl_entropy_ratio` is `mismatch_kl` / `entropy`: the KL between sampler and trainer relative to
    the entropy. `refill_factor` is the number of groups sampled per group trained on.
    """
    ratios = {}
    if "mismatch_kl" in row and row["entropy"] > 0:
        ratios["kl_entropy_ratio"] = row["mismatch_kl"] / row["entropy"]
    if sampled is not None and "groups" in row:
        ratios["refill_factor"] = sampled / row["groups"]
    return ratios


def _is_correct(pair: Pair) -> bool:
    return pair[1].verdict is Verdict.CORRECT


def _is_truncated(pair: Pair) -> bool:
    return pair[0].status is FinishStatus.TRUNCATED


def _length(pair: Pair) -> int:
    return len(pair[0].tokens)


def _mean(pairs: Iterable[Pair], value: Callable[[Pair], float]) -> Mean:
    values = [float(value(pair)) for pair in pairs]
    return Mean(sum(values), len(values))
