"""avg@k, pass@k, maj@k and greedy accuracy from evaluation rows.

Without a verdict (the check timed out or died, a reward function could not say) a response counts
as wrong, in every metric: were it left out, a policy could raise its accuracy by answers that are
never decided. How much rests on that is told beside it: `.../decided` is the metric with such
responses left out, and `undecided` their number. avg@k lies below the accuracy that all verdicts
would give, or is equal to it; studies select by it.

A gold answer that cannot be read is the problem's fault. The problem is left out of every metric,
unless a response to it was found correct: then the gold answer can be read, and a response that
lacks its verdict is as undecided as any other.

With fewer than k samples of a problem, avg@k averages those there are; pass@k and maj@k, which are
defined on k samples, leave the problem out. A metric that no problem supports is absent, not 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from conspo_study.records import GREEDY, EvalRow, Verdict, decided_name
from conspo_study.statistics.accuracy import majority_correct, pass_at_k, vote_classes

_ByProblem = Mapping[str, Sequence[EvalRow]]
"""Rows by problem, in the order of samples."""


def evaluation_metrics(rows: Iterable[EvalRow], k: int | Callable[[str], int]) -> dict[str, float]:
    """Metrics of one (seed, step) by name, each a mean over the problems of a set.

    k: samples per problem, or a function from the name of a set to them. Names:
    `eval/<set>/avg@<k>`, `pass@<k>`, `maj@<k>`, `greedy` and `undecided`, the number of responses
    without a verdict; for a graded reward also `reward@<k>`, the mean reward of the sampled
    responses, where one without a verdict counts as 0 or as the worst of the set, if that is less.
    `avg@<k>/decided`, `reward@<k>/decided` and `greedy/decided` are there where responses that
    count as wrong have no verdict. Raises ValueError when rows of several seeds or steps are mixed
    or a response appears twice.
    """
    by_set: dict[str, list[EvalRow]] = defaultdict(list)
    keys: set[tuple[str, str, int]] = set()
    runs: set[tuple[int, int]] = set()
    for row in rows:
        key = (row.problem_set, row.problem_id, row.sample)
        if key in keys:
            raise ValueError(f"sample {row.sample} of problem {row.problem_id!r} appears twice")
        keys.add(key)
        runs.add((row.seed, row.step))
        by_set[row.problem_set].append(row)
    if len(runs) > 1:
        raise ValueError(f"rows of several (seed, step) are mixed: {sorted(runs)}")
    return {
        f"eval/{name}/{metric}": value
        for name, members in sorted(by_set.items())
        for metric, value in _set_metrics(members, k(name) if callable(k) else k).items()
    }


def _set_metrics(rows: Sequence[EvalRow], k: int) -> dict[str, float]:
    sampled = _by_problem(row for row in rows if row.sample != GREEDY)
    greedy = _by_problem(row for row in rows if row.sample == GREEDY)
    full = [members for members in sampled.values() if len(members) >= k]
    values = {
        f"avg@{k}": _accuracies(sampled),
        f"pass@{k}": [pass_at_k(len(m), sum(map(_correct, m)), k) for m in full],
        f"maj@{k}": [_majority(members, k) for members in full],
        "greedy": _accuracies(greedy),
        f"reward@{k}": _rewards(sampled),
    }
    for name, of_problems, measure in (
        (f"avg@{k}", sampled, _accuracies),
        (f"reward@{k}", sampled, _rewards),
        ("greedy", greedy, _accuracies),
    ):
        decided = {problem: list(filter(_decided, m)) for problem, m in of_problems.items()}
        if decided != of_problems:
            values[decided_name(name)] = measure({p: m for p, m in decided.items() if m})
    means = {name: fmean(numbers) for name, numbers in values.items() if numbers}
    return {**means, "undecided": float(sum(not _decided(row) for row in rows))}


def _by_problem(rows: Iterable[EvalRow]) -> dict[str, list[EvalRow]]:
    """The rows of the problems whose gold answer can be read."""
    found: dict[str, list[EvalRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.sample):
        found[row.problem_id].append(row)
    return {
        problem: members
        for problem, members in found.items()
        if any(map(_correct, members)) or all(row.verdict != Verdict.GOLD_BAD for row in members)
    }


def _accuracies(of_problems: _ByProblem) -> list[float]:
    return [fmean(map(_correct, members)) for members in of_problems.values()]


def _rewards(of_problems: _ByProblem) -> list[float]:
    """The mean reward of each problem; nothing for a set without graded rewards."""
    known = [row.reward for rows in of_problems.values() for row in rows if row.reward is not None]
    if not known:
        return []
    worst = min(0.0, *known)
    rewards = [
        [row.reward if _decided(row) else worst for row in members]
        for members in of_problems.values()
    ]
    found = [[reward for reward in own if reward is not None] for own in rewards]
    return [fmean(own) for own in found if own]


def _majority(members: Sequence[EvalRow], k: int) -> float:
    correct = [_correct(row) for row in members]
    votes: Sequence[int | None] = [row.vote for row in members]
    if all(vote is None for vote in votes):
        votes = vote_classes([row.answer for row in members], correct)
    return majority_correct(votes[:k], correct[:k])


def _correct(row: EvalRow) -> bool:
    return row.verdict == Verdict.CORRECT


def _decided(row: EvalRow) -> bool:
    return Verdict(row.verdict).decided
