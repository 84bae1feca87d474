"""Asks a pool of math-verify processes about pairs of gold answer and answer."""

from conspo_study.records import Verdict


def verdicts(pool, pairs, deadline_s):
    """The verdict on each pair."""
    replies = pool.ask([{"gold": gold, "answer": answer} for gold, answer in pairs], deadline_s)
    return [reply if isinstance(reply, Verdict) else Verdict(reply["verdict"]) for reply in replies]
