"""Metrics of sampled responses, before any group is formed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from conspo_study.records import FinishStatus, Judgement, Mean, Rollout, Verdict

Pair = tuple[Rollout, Judgement]


def rollout_metrics(
    rollouts: Sequence[Rollout], judgements: Sequence[Judgement]
) -> dict[str, Mean]:
    """Means over all responses of a step, in parts.

    `reward` is over decided verdicts; lengths are in tokens; `entropy` is the mean of
    -log pi(o_t) over sampled tokens, an unbiased estimate of the policy's entropy in nats.
    """
    pairs = list(zip(rollouts, judgements, strict=True))
    decided = [pair for pair in pairs if pair[1].verdict.decided]
    tokens = sum(len(rollout.tokens) for rollout in rollouts)
    surprise = -sum(sum(rollout.logprobs) for rollout in rollouts)
    return {
        "reward": _mean(decided, _is_correct),
        "undecided_fraction": _mean(pairs, lambda pair: not pair[1].verdict.decided),
        "no_answer_fraction": _mean(pairs, lambda pair: pair[1].verdict is Verdict.NO_ANSWER),
        "truncated_fraction": _mean(pairs, lambda pair: pair[0].status is FinishStatus.TRUNCATED),
        "response_length": _mean(pairs, _length),
        "response_length_correct": _mean(filter(_is_correct, decided), _length),
        "response_length_wrong": _mean((p for p in decided if not _is_correct(p)), _length),
        "entropy": Mean(surprise, tokens),
    }


def _is_correct(pair: Pair) -> bool:
    return pair[1].verdict is Verdict.CORRECT


def _length(pair: Pair) -> int:
    return len(pair[0].tokens)


def _mean(pairs: Iterable[Pair], value: Callable[[Pair], float]) -> Mean:
    values = [float(value(pair)) for pair in pairs]
    return Mean(sum(values), len(values))
