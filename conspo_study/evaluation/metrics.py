"""avg@k, pass@k, maj@k and greedy accuracy from evaluation rows.

A row with an undecided verdict (the check timed out or died, or the gold answer is malformed) says
nothing about the policy. It is left out of every metric and counted in `undecided`, so no metric is
computed from a guess, and a reader can see how many rows it rests on. With fewer than k decided
samples of a problem, avg@k averages the decided ones; pass@k and maj@k, which are defined on k
samples, leave the problem out. A metric that no problem supports is absent, not 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from conspo_study.records import GREEDY, EvalRow, Verdict
from conspo_study.statistics.accuracy import majority_correct, pass_at_k


def evaluation_metrics(rows: Iterable[EvalRow], k: int | Callable[[str], int]) -> dict[str, float]:
    """Metrics of one (seed, step) by name, each a mean over the problems of a set.

    k: samples per problem, or a function from the name of a set to them. Names:
    `eval/<set>/avg@<k>`, `pass@<k>`, `maj@<k>`, `greedy` and `undecided`, the number of rows that
    were left out; for a graded reward also `reward@<k>`, the mean reward of the sampled responses.
    Raises ValueError when rows of several seeds or steps are mixed or a response appears twice.
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
    sampled: dict[str, list[EvalRow]] = defaultdict(list)
    greedy: list[EvalRow] = []
    undecided: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: row.sample):
        if not Verdict(row.verdict).decided:
            undecided[row.verdict] += 1
        elif row.sample == GREEDY:
            greedy.append(row)
        else:
            sampled[row.problem_id].append(row)
    full = [members[:k] for members in sampled.values() if len(members) >= k]
    values = {
        f"avg@{k}": [fmean(map(_correct, members)) for members in sampled.values()],
        f"pass@{k}": [
            pass_at_k(len(members), sum(map(_correct, members)), k)
            for members in sampled.values()
            if len(members) >= k
        ],
        f"maj@{k}": [
            majority_correct([row.answer for row in members], [_correct(row) for row in members])
            for members in full
        ],
        "greedy": [float(_correct(row)) for row in greedy],
    }
    graded = [
        fmean(row.reward for row in members if row.reward is not None)
        for members in sampled.values()
        if any(row.reward is not None for row in members)
    ]
    values[f"reward@{k}"] = graded
    means = {name: fmean(numbers) for name, numbers in values.items() if numbers}
    return {**means, "undecided": float(undecided.total())}


def _correct(row: EvalRow) -> bool:
    return row.verdict == Verdict.CORRECT
