"""From configured names to problems: training streams, evaluation sets, content hashes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.data.arithmetic import evaluation_problems
from conspo_study.data.order import ChainStream, ShuffledStream, TrainingStream
from conspo_study.data.problems import content_hash, load_problems, overlapping_ids
from conspo_study.records import Problem

CHAIN = "chain"


def training_stream(config: DataConfig, seed: int) -> TrainingStream:
    """The endless, seeded order of training problems. Raises ProblemFileError for a bad file."""
    if config.train == CHAIN:
        return ChainStream(seed)
    return ShuffledStream(load_problems(Path(config.train)), seed)


def evaluation_sets(config: EvaluationConfig) -> dict[str, list[Problem]]:
    """The problems of each configured set, at most `problems_per_set`, by the set's name.

    Raises ProblemFileError for a bad file, ValueError for an unknown level.
    """
    sets = {}
    for name in config.sets:
        task, _, level = name.partition("/")
        if task == CHAIN:
            sets[name] = evaluation_problems(level, config.split, config.problems_per_set)
        else:
            sets[name] = load_problems(Path(config.source(name)))[: config.problems_per_set]
    return sets


def data_hashes(
    data: DataConfig, search: EvaluationConfig, confirmation: EvaluationConfig | None = None
) -> dict[str, str]:
    """Content hash of every set that a study reads, by what it holds (`EvaluationConfig.source`).

    Where search and confirmation use more or fewer problems of one set, the larger number is
    hashed. Raises ValueError, listing ids, when a training file shares problems with an evaluation
    set, or the two splits of a set share some: that would confirm a winner on what selected it.
    """
    sets = _by_source(search)
    for source, problems in _by_source(confirmation).items() if confirmation else ():
        sets[source] = max(sets.get(source, []), problems, key=len)
    if confirmation is not None:
        for name in set(search.sets) & set(confirmation.sets):
            a, b = search.source(name), confirmation.source(name)
            if a != b:
                _refuse_overlap(a, sets[a], b, sets[b])
    hashes = {source: content_hash(problems) for source, problems in sets.items()}
    if data.train == CHAIN:
        return hashes
    train = load_problems(Path(data.train))
    for source, problems in sets.items():
        _refuse_overlap("the training file", train, source, problems)
    return {data.train: content_hash(train), **hashes}


def _by_source(config: EvaluationConfig) -> dict[str, list[Problem]]:
    return {config.source(name): problems for name, problems in evaluation_sets(config).items()}


def _refuse_overlap(a: str, first: Sequence[Problem], b: str, second: Sequence[Problem]) -> None:
    shared = overlapping_ids(first, second)
    if shared:
        ids = ", ".join(f"{x} = {y}" for x, y in shared[:20])
        raise ValueError(
            f"{len(shared)} problems of {b} are also in {a} ({ids}): remove them from either"
        )
