"""Reward shaping by length: DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13)."""


def overlong_penalty(length: int, limit: int, cache: int) -> float:
    """0 up to `limit - cache` tokens, then linear to -1 at `limit`, and -1 beyond.

    length: response tokens, `limit` + 1 for a truncated response. cache: tokens of the linear part.
    Groups are dropped by correctness, not by the shaped reward: an all-correct group whose members
    differ in length has no contrast to learn from.
    """
    start = limit - cache
    if length <= start:
        return 0.0
    return max(-1.0, (start - length) / cache)
