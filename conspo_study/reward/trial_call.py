"""Calls custom reward functions on a few responses before training starts."""

from __future__ import annotations

from collections.abc import Sequence

from conspo_study.config import RewardConfig
from conspo_study.plugins import PluginError
from conspo_study.records import Answered, Problem, Verdict
from conspo_study.reward.judge import make_judge
from conspo_study.reward.pool import VerifierUnavailable


def try_reward(config: RewardConfig, asked: Sequence[tuple[Problem, str]]) -> str | None:
    r"""Reward made-up responses to pairs `(problem, prompt)`: an empty text, some words, and the
    gold answer in a box.

    Returns a notice if some responses cannot be decided, else None. Raises PluginError with the
    function's error if none can.
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
    undecided = [judgement for judgement in judgements if not judgement.verdict.decided]
    if not undecided:
        return None
    kinds = sorted({judgement.verdict for judgement in undecided})
    why = f": {failed}" if failed else f" ({', '.join(kinds)})"
    total, decided = len(answered), len(answered) - len(undecided)
    if decided:
        return f"{name} decides {decided} of {total} test responses{why}"
    advice = ""
    if Verdict.TIMEOUT in kinds:
        advice = f"; raise reward.deadline_s, which is {config.deadline_s:g} seconds per call"
    elif Verdict.KILLED in kinds:
        advice = (
            f"; raise reward.memory_mb, which is {config.memory_mb} MiB beyond the size at start-up"
        )
    raise PluginError(f"reward.name: {name} decides none of {total} test responses{why}{advice}")
