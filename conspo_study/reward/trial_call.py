"""A few calls of own reward functions, before anything is trained with them."""

from __future__ import annotations

from collections.abc import Sequence

from conspo_study.config import RewardConfig
from conspo_study.plugins import PluginError
from conspo_study.records import Answered, Problem, Verdict
from conspo_study.reward.judge import make_judge
from conspo_study.reward.pool import VerifierUnavailable


def try_reward(config: RewardConfig, asked: Sequence[tuple[Problem, str]]) -> str | None:
    r"""Reward made-up responses to a few problems, `(problem, prompt)`: nothing, some words, and
    the gold answer in a box.

    Returns what should be known of those that cannot be decided, if any. Raises PluginError when
    none can, with what the function failed with.
    """
    name = ", ".join(config.names)
    answered = [
        Answered(problem, prompt, response)
        for problem, prompt in asked
        for response in ("", "I do not know.", f"The answer is \\boxed{{{problem.answer}}}.")
    ]
    try:
        with make_judge(config) as judge:
            judgements = judge.judge(answered)
            failed = judge.last_error
    except VerifierUnavailable as error:
        raise PluginError(f"reward.name: {error}") from error
    lost = [one for one in judgements if not one.verdict.decided]
    if not lost:
        return None
    kinds = sorted({one.verdict for one in lost})
    why = f": {failed}" if failed else f" ({', '.join(kinds)})"
    if len(lost) < len(answered):
        return f"{name} decides {len(answered) - len(lost)} of {len(answered)} test responses{why}"
    advice = ""
    if Verdict.TIMEOUT in kinds:
        advice = f"; raise reward.deadline_s, which is {config.deadline_s:g} seconds for a call"
    elif Verdict.KILLED in kinds:
        advice = (
            f"; raise reward.memory_mb, which is {config.memory_mb} above the size at the start"
        )
    raise PluginError(
        f"reward.name: {name} decides none of {len(answered)} test responses{why}{advice}"
    )
