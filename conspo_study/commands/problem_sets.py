"""A look at problem sets before a study does: rows, gold answers, overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from conspo_study.config import DataConfig, EvaluationConfig, RewardConfig
from conspo_study.data.audit import by_kind
from conspo_study.data.benchmarks import NAMED
from conspo_study.data.sources import file_of, load_set, overlaps
from conspo_study.records import Problem, Verdict
from conspo_study.reward import Verifier

PATIENCE_S = 60.0
"""Deadline of a check; on a busy machine shorter ones reject good answers."""


def check(folder: Path | None, sets: Sequence[str], train: Sequence[str]) -> Iterator[str]:
    """What there is to know of evaluation sets and training sets, line by line.

    folder: holds the files of named sets; None for the cache of fetched ones. sets, train: by
    default all named ones that are there. Raises ValueError or OSError for one that cannot be used.
    """
    data = DataConfig(folder=None if folder is None else str(folder), max_bad_rows=1)
    here = [entry for name, entry in NAMED.items() if file_of(name, data).exists()]
    sets = sets or [entry.name for entry in here if not entry.train]
    train = train or [entry.name for entry in here if entry.train]
    with Verifier(RewardConfig(deadline_s=PATIENCE_S)) as verifier:
        for name in (*sets, *train):
            yield from set_lines(name, data, verifier)
    for name in train:
        yield from overlap_lines(name, sets, data)


def set_lines(name: str, data: DataConfig, verifier: Verifier) -> list[str]:
    """A line for the set, one for each kind of remark and of unusable row, and one for each gold
    answer that cannot be read."""
    problems, bad, remarks = load_set(name, data)
    golds = unreadable_golds(problems, verifier)
    rows = len(problems) + len(bad)
    known = f" of {NAMED[name].rows}" if name in NAMED and NAMED[name].rows != rows else ""
    return [
        f"{name}: {rows}{known} rows, {len(bad)} left out, {len(golds)} gold answers unreadable",
        *(f"  {told}" for _, told in by_kind((one.row, one.reason) for one in bad)),
        *(f"  {remark}" for remark in remarks),
        *(f"  {problem.id}: gold answer {problem.answer!r}" for problem in golds),
    ]


def unreadable_golds(problems: Sequence[Problem], verifier: Verifier) -> list[Problem]:
    """Problems whose gold answer, given as a response, is not judged correct."""
    pairs = [(problem.answer, f"\\boxed{{{problem.answer}}}") for problem in problems]
    judged = zip(problems, verifier.verify(pairs), strict=True)
    return [problem for problem, judgement in judged if judgement.verdict is not Verdict.CORRECT]


def overlap_lines(train: str, sets: Sequence[str], data: DataConfig) -> list[str]:
    """The problems of a training set that are also evaluated, by set."""
    if not sets:
        return []
    shared = overlaps(load_set(train, data)[0], data, EvaluationConfig(sets=tuple(sets)))
    lines = []
    for name in dict.fromkeys(overlap.set for overlap in shared):
        pairs = [f"{overlap.id} = {overlap.same_as}" for overlap in shared if overlap.set == name]
        lines.append(f"{train} and {name} share {len(pairs)}: {', '.join(pairs)}")
    return lines or [f"{train} shares no problem with these sets"]
