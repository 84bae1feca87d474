"""Sampling, verifying and recording responses to held-out problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from conspo_study.records import (
    GREEDY,
    Answered,
    EvalRow,
    Judgement,
    Problem,
    Rollout,
    Verdict,
    cut,
)
from conspo_study.statistics.accuracy import vote_classes

Sample = Callable[[Sequence[Problem]], Sequence[Sequence[Rollout]]]
"""Responses to each problem, in its order."""
Judge = Callable[[Sequence[Answered]], Sequence[Judgement]]
"""Judgements of responses."""


def evaluate(
    name: str,
    problems: Sequence[Problem],
    sample: Sample,
    greedy: Sample | None,
    judge: Judge,
    prompt_of: Callable[[Problem], str],
    *,
    seed: int,
    step: int,
    in_thought: bool = False,
) -> list[EvalRow]:
    """One row for every response to every problem of the set `name`, greedy ones included.

    prompt_of: the prompt of a problem, as rewards see it. in_thought: whether the prompts end
    inside a thought.
    """
    entries = [
        (problem, index, rollout)
        for problem, responses in zip(problems, sample(problems), strict=True)
        for index, rollout in enumerate(responses)
    ]
    if greedy is not None:
        entries += [
            (problem, GREEDY, rollout)
            for problem, (rollout,) in zip(problems, greedy(problems), strict=True)
        ]
    judgements = judge(
        [
            Answered(problem, prompt_of(problem), rollout.text, in_thought)
            for problem, _, rollout in entries
        ]
    )
    rows = [
        EvalRow(
            seed=seed,
            step=step,
            problem_set=name,
            problem_id=problem.id,
            sample=number,
            verdict=judgement.verdict.value,
            answer=judgement.answer,
            response_tokens=len(rollout.tokens),
            status=rollout.status.value,
            reward=judgement.graded if judgement.verdict.decided else None,
            response=cut(rollout.text),
        )
        for (problem, number, rollout), judgement in zip(entries, judgements, strict=True)
    ]
    return _with_votes(rows, [judgement.key for judgement in judgements])


def _with_votes(rows: Sequence[EvalRow], keys: Sequence[str]) -> list[EvalRow]:
    """The rows with their `vote`, where the keys of answers show more equal ones than the texts."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.sample != GREEDY:
            places[row.problem_id].append(place)
    voting = list(rows)
    for of_problem in places.values():
        answers = [rows[place].answer for place in of_problem]
        correct = [rows[place].verdict == Verdict.CORRECT for place in of_problem]
        votes = vote_classes(answers, correct, [keys[place] for place in of_problem])
        if votes != vote_classes(answers, correct):
            for place, vote in zip(of_problem, votes, strict=True):
                voting[place] = replace(rows[place], vote=vote)
    return voting
