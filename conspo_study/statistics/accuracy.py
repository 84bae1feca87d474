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


def vote_classes(
    answers: Sequence[str], correct: Sequence[bool], keys: Sequence[str] = ()
) -> list[int | None]:
    """The class of each answer to one problem, by first appearance; None for an empty answer.

    Two answers are equal if both were found correct, since each then equals the gold answer, if
    they have the same key, or, without keys, the same text up to spaces around it. keys: canonical
    forms of the answers, empty where unknown; by default all are.
    """
    texts = [answer.strip() for answer in answers]
    pairs = list(zip(texts, keys or [""] * len(texts), strict=True))
    key_of = {text: key for text, key in pairs if key}
    keyed = [(text, key or key_of.get(text, "")) for text, key in pairs]
    names = [(key, "" if key else text) for text, key in keyed]
    gold = {name for name, right in zip(names, correct, strict=True) if right}
    numbers: dict[tuple[str, str] | None, int] = {}
    return [
        numbers.setdefault(None if name in gold else name, len(numbers)) if text else None
        for name, text in zip(names, texts, strict=True)
    ]


def majority_correct(votes: Sequence[int | None], correct: Sequence[bool]) -> float:
    """Expected correctness of the class with most votes, ties broken uniformly at random.

    votes: as of `vote_classes`. A response without an answer does not vote, as it proposes nothing
    that could win; without any vote the result is 0. A class in which some answers were judged
    correct and some not counts as the mean of its verdicts.
    """
    judged: dict[int, list[bool]] = defaultdict(list)
    for vote, right in zip(votes, correct, strict=True):
        if vote is not None:
            judged[vote].append(right)
    if not judged:
        return 0.0
    most = max(map(len, judged.values()))
    return fmean(fmean(verdicts) for verdicts in judged.values() if len(verdicts) == most)
