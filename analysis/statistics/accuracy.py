"""avg@k, pass@k and maj@k of every problem for any k, from stored evaluation rows.

The definitions are those of the evaluation itself, on arrays: a million rows take about a second.
A response without a verdict counts as wrong. A problem whose gold answer cannot be read has no
value, unless a response to it was found correct. avg@k averages the samples there are; pass@k and
maj@k need k of them and are nan for a problem with fewer. Means leave out problems without a value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.scores import Floats
from conspo_study.records import GREEDY, Verdict
from conspo_study.statistics.accuracy import pass_at_k

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

KEYS = ("trial", "seed", "step", "problem_set", "problem_id")
"""Columns that identify a problem's samples; `trial` may be absent."""

_DECIDED = {verdict.value for verdict in Verdict if verdict.decided}


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The verdicts of the responses to each of N problems."""

    keys: pd.DataFrame
    """N rows: `KEYS`, in order of first appearance."""
    samples: Ints
    """[N]: n, samples that count; 0 where the gold answer cannot be read."""
    correct: Ints
    """[N]: c of them were correct."""
    undecided: Ints
    """[N]: samples without a verdict, those that do not count included."""
    votes: pd.DataFrame
    """Samples that count, by problem, then sample: `problem` (row of keys), `rank` (0, 1, ...
    within it), `answer` (a code, the same for equal ones; -1 for none), `right`."""

    @property
    def decided(self) -> Ints:
        """[N]: samples that count and have a verdict."""
        return np.where(self.samples > 0, self.samples - self.undecided, 0)

    def avg(self) -> Floats:
        """[N]: share of the samples that are correct: avg@k of k stored samples."""
        return self._share_of(self.samples)

    def avg_decided(self) -> Floats:
        """[N]: share of those with a verdict that are correct."""
        return self._share_of(self.decided)

    def _share_of(self, count: Ints) -> Floats:
        return np.where(count > 0, self.correct / np.maximum(count, 1), np.nan)

    def pass_at(self, k: int) -> Floats:
        """[N]: unbiased pass@k, 1 - C(n-c, k) / C(n, k) (Chen et al. 2021), in exact integers.

        Raises ValueError for k < 1.
        """
        _check(k)
        pairs, where = np.unique(
            np.stack([self.samples, self.correct]), axis=1, return_inverse=True
        )
        values = [pass_at_k(n, c, k) if n >= k else math.nan for n, c in pairs.T.tolist()]
        return np.array(values, dtype=float)[where.reshape(-1)]

    def maj_at(self, k: int) -> Floats:
        """[N]: expected correctness of the most frequent answer of the first k samples.

        Ties count as their mean; empty answers do not vote, and without any vote the result is 0.
        Raises ValueError for k < 1.
        """
        _check(k)
        full = self.samples >= k
        result = np.where(full, 0.0, np.nan)
        voting = self.votes["rank"].to_numpy() < k
        voting &= full[self.votes["problem"].to_numpy()] & (self.votes["answer"].to_numpy() >= 0)
        if not voting.any():
            return result
        cast = self.votes[voting]
        problem, answer = cast["problem"].to_numpy(), cast["answer"].to_numpy()
        ballots, where = np.unique(problem * (answer.max() + 1) + answer, return_inverse=True)
        count = np.bincount(where)
        right = np.bincount(where, weights=cast["right"]) / count
        owner = ballots // (answer.max() + 1)
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        most = np.repeat(np.maximum.reduceat(count, first), np.diff([*first, len(owner)]))
        top = count == most
        size = len(self.keys)
        shares = np.bincount(owner[top], weights=right[top], minlength=size)
        tied = np.bincount(owner[top], minlength=size)
        result[tied > 0] = shares[tied > 0] / tied[tied > 0]
        return result


def sampled_outcomes(rows: pd.DataFrame) -> Outcomes:
    """Outcomes of the sampled responses.

    rows: the fields of EvalRow and, if there are several trials, `trial`; without `vote`, answers
    are equal only where their texts are or both are correct. Raises ValueError for an unknown
    verdict, a missing column or a sample that appears twice.
    """
    return _outcomes(rows, greedy=False)


def greedy_outcomes(rows: pd.DataFrame) -> Outcomes:
    """Outcomes of the greedy responses, one to a problem: `avg` is greedy accuracy."""
    return _outcomes(rows, greedy=True)


def set_means(outcomes: Outcomes, values: Floats) -> pd.DataFrame:
    """Means over problems: `KEYS` without `problem_id`, `value` and `problems` behind it.

    values: [N], such as `outcomes.pass_at(4)`. A set none of whose problems has a value is absent.
    """
    known = np.isfinite(values)
    by = [name for name in outcomes.keys if name != "problem_id"]
    frame = outcomes.keys.loc[known, by].assign(value=values[known])
    grouped = frame.groupby(by, sort=False, observed=True)["value"]
    return grouped.agg(value="mean", problems="size").reset_index()


def _outcomes(rows: pd.DataFrame, greedy: bool) -> Outcomes:
    names = [name for name in KEYS if name in rows]
    missing = {*KEYS[1:], "sample", "verdict", "answer"} - set(rows.columns)
    if missing:
        raise ValueError(f"evaluation rows lack {', '.join(sorted(missing))}")
    rows = rows[(rows["sample"] == GREEDY) == greedy]
    problem = np.zeros(len(rows), dtype=np.int64)
    for name in names:
        codes, found = pd.factorize(rows[name])
        problem = pd.factorize(problem * max(len(found), 1) + codes)[0]
    sample = rows["sample"].to_numpy()
    order = np.lexsort((sample, problem))
    problem, sample = problem[order], sample[order]
    repeated = np.flatnonzero((np.diff(problem) == 0) & (np.diff(sample) == 0))
    if len(repeated):
        row = rows.iloc[order[repeated[0]]]
        raise ValueError(f"sample {row['sample']} of problem {row['problem_id']!r} appears twice")
    first = np.flatnonzero(np.diff(problem, prepend=-1))
    decided, right, unreadable = (flags[order] for flags in _judged(rows["verdict"]))
    size = len(first)
    correct = np.bincount(problem[right], minlength=size)
    counts = (np.bincount(problem[unreadable], minlength=size) == 0) | (correct > 0)
    counting = counts[problem]
    owner = problem[counting]
    n = np.bincount(owner, minlength=size)
    votes = pd.DataFrame(
        {
            "problem": owner,
            "rank": np.arange(len(owner)) - np.repeat(np.cumsum(n) - n, n),
            "answer": _classes(rows.iloc[order], problem, right)[counting],
            "right": right[counting],
        }
    )
    return Outcomes(
        keys=rows[names].iloc[order[first]].reset_index(drop=True),
        samples=n,
        correct=correct,
        undecided=np.bincount(problem[~decided], minlength=size),
        votes=votes,
    )


def _judged(verdicts: pd.Series[str]) -> tuple[Flags, Flags, Flags]:
    """Per row: verdict is decided, is `correct`, is `gold_bad`."""
    codes, found = pd.factorize(verdicts)
    unknown = [str(name) for name in found if name not in set(Verdict)]
    if unknown or (codes < 0).any():
        raise ValueError(
            f"evaluation rows have {f'the verdict {unknown[0]!r}' if unknown else 'no verdict'}; "
            f"known: {', '.join(Verdict)}"
        )
    decided = np.array([name in _DECIDED for name in found], dtype=bool)
    right, unreadable = (
        np.array([name == verdict for name in found], dtype=bool)
        for verdict in (Verdict.CORRECT, Verdict.GOLD_BAD)
    )
    return decided[codes], right[codes], unreadable[codes]


def _classes(rows: pd.DataFrame, problem: Ints, right: Flags) -> Ints:
    """A code per row, the same for equal answers to a problem; -1 for no answer.

    By the stored votes of a problem that has some; else by text, where all right answers are equal.
    """
    texts = _answers(rows["answer"])
    numbers = rows["vote"] if "vote" in rows else pd.Series(np.nan, index=rows.index)
    votes = pd.factorize(numbers)[0]
    voted = np.bincount(problem[votes >= 0], minlength=int(problem.max(initial=-1)) + 1) > 0
    by_text = ~voted[problem] & (texts >= 0)
    gold = int(texts.max(initial=-1)) + 1
    place = problem * gold + texts
    golden = by_text & np.isin(place, place[by_text & right])
    return np.where(voted[problem], votes, np.where(golden, gold, texts))


def _answers(answers: pd.Series[str]) -> Ints:
    """A code per distinct answer without the spaces around it, -1 for an empty one."""
    codes, found = pd.factorize(answers)
    stripped = [str(answer).strip() for answer in found]
    known = {answer: code for code, answer in enumerate(dict.fromkeys(filter(None, stripped)))}
    return np.array([*(known.get(answer, -1) for answer in stripped), -1], dtype=np.int64)[codes]


def _check(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
