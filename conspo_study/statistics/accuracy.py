"""pass@k and maj@k of one problem, from its n sampled responses."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that k of n responses, drawn without replacement, include one of the c correct.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. (2021), in exact integers.
    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    total = math.comb(n, k)
    return (total - math.comb(n - c, k)) / total


def majority_correct(answers: Sequence[str], correct: Sequence[bool]) -> float:
    """Expected correctness of the most frequent answer, ties broken uniformly at random.

    Answers vote by their text; empty ones do not vote, and without any vote the result is 0. An
    answer that was judged both correct and wrong counts as the mean of its verdicts.
    """
    votes: dict[str, list[bool]] = defaultdict(list)
    for answer, right in zip(answers, correct, strict=True):
        if answer.strip():
            votes[answer.strip()].append(right)
    if not votes:
        return 0.0
    most = max(len(judged) for judged in votes.values())
    return fmean(fmean(judged) for judged in votes.values() if len(judged) == most)
