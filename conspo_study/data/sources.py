"""Turns configured names into problems: training streams, evaluation sets, their overlap."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.data.arithmetic import CHAIN
from conspo_study.data.benchmarks import NAMED
from conspo_study.data.generated import GeneratedTask
from conspo_study.data.hub import cached_file
from conspo_study.data.order import GeneratedStream, ShuffledStream, TrainingStream
from conspo_study.data.overlap import overlapping_ids
from conspo_study.data.problems import ProblemSet, read_set
from conspo_study.data.rows import ProblemFileError
from conspo_study.data.word_problems import WORD_PROBLEMS
from conspo_study.records import Problem, is_generated, set_source

_TASKS: dict[str, GeneratedTask] = {task.name: task for task in (CHAIN, WORD_PROBLEMS)}
_GENERATED_SHOWN = 256


@dataclass(frozen=True, slots=True)
class Overlap:
    """A training problem that is also evaluated."""

    id: str
    """Id of the training problem."""
    set: str
    """Source of the evaluation set, as `EvaluationConfig.source` gives it."""
    same_as: str
    """Id of the same problem in the evaluation set."""


def training_stream(data: DataConfig, evaluation: EvaluationConfig, seed: int) -> TrainingStream:
    """The endless, seeded stream of training problems, without evaluated ones if `data.on_overlap`
    drops them. Raises ProblemFileError for an unusable file."""
    if (task := _TASKS.get(set_source(data.train))) is not None:
        return GeneratedStream(task, seed)
    problems = load_set(data.train, data).problems
    if data.on_overlap == "drop":
        problems = without(problems, overlaps(problems, data, evaluation))
    return ShuffledStream(problems, seed)


def evaluation_sets(data: DataConfig, evaluation: EvaluationConfig) -> dict[str, list[Problem]]:
    """The problems of each configured set that are evaluated after the last step, by the set's
    name; other evaluations take the first of them (`EvaluationConfig.problems_for`).

    Raises ProblemFileError for an unusable file, ValueError for an unknown level.
    """
    return {
        name: _whole_set(name, data, evaluation)[: evaluation.problems_for(name, last=True)]
        for name in evaluation.names
    }


def all_problems(data: DataConfig, evaluation: EvaluationConfig) -> list[Problem]:
    """All problems of a study: the training set and both splits of the evaluation sets. Of a
    generated task, which is endless, a first part. Raises like `evaluation_sets`."""
    evaluated = [problem for _, problems in _both_splits(data, evaluation) for problem in problems]
    if (task := _TASKS.get(set_source(data.train))) is None:
        return evaluated + load_set(data.train, data).problems
    return evaluated + [task.training_problem(0, index) for index in range(_GENERATED_SHOWN)]


def load_set(name: str, data: DataConfig) -> ProblemSet:
    """All problems of a file or named set, its unusable rows, and remarks.

    Raises ProblemFileError for an unusable file and a set that has not been fetched.
    """
    return read_set(file_of(name, data), data.max_bad_rows, data.answers == "required")


def file_of(name: str, data: DataConfig) -> Path:
    """The file of a set: the path itself, or for a named set a file in `data.folder`, or else its
    file in the cache, which may not exist yet."""
    source = set_source(name)
    entry = NAMED.get(source)
    if entry is None:
        path = Path(source).expanduser()
        if not path.suffix and not path.exists():
            close = difflib.get_close_matches(source, NAMED, n=1)
            advice = f"did you mean {close[0]}?" if close else f"known: {', '.join(NAMED)}"
            raise ProblemFileError(f"{source} is neither a file nor the name of a set; {advice}")
        return path
    if data.folder is not None:
        folder = Path(data.folder).expanduser()
        if not folder.is_dir():
            raise ProblemFileError(f"data.folder {folder} is not a folder; correct --data-dir")
        for path in (folder / file for file in entry.files):
            if path.exists():
                return path
    return cached_file(entry)


def overlaps(
    train: Sequence[Problem], data: DataConfig, evaluation: EvaluationConfig
) -> list[Overlap]:
    """The training problems that are also in an evaluation set. Whole sets and both splits are
    compared, so that training does not depend on how many problems are evaluated."""
    shared: dict[tuple[str, str], Overlap] = {}
    for source, problems in _both_splits(data, evaluation):
        for train_id, other in overlapping_ids(train, problems):
            shared.setdefault((train_id, source), Overlap(train_id, source, other))
    return list(shared.values())


def without(train: Sequence[Problem], shared: Sequence[Overlap]) -> list[Problem]:
    """The training problems that are not in `shared`."""
    dropped = {overlap.id for overlap in shared}
    return [problem for problem in train if problem.id not in dropped]


def _whole_set(name: str, data: DataConfig, evaluation: EvaluationConfig) -> list[Problem]:
    """All problems of a set; of a generated level, which is endless, as many as are evaluated."""
    source = evaluation.source(name)
    if not is_generated(source):
        return load_set(source, data).problems
    task, _, level = source.removesuffix(" (test)").partition("/")
    count = evaluation.problems_for(name, last=True)
    return _TASKS[task].evaluation_problems(level, evaluation.split, count)


def _both_splits(
    data: DataConfig, evaluation: EvaluationConfig
) -> Iterator[tuple[str, list[Problem]]]:
    other = evaluation.model_copy(update={"split": "dev" if evaluation.split == "test" else "test"})
    for name in evaluation.names:
        yield evaluation.source(name), _whole_set(name, data, evaluation)
        source = other.source(name)
        is_file = not is_generated(source) and source != evaluation.source(name)
        if is_file and Path(source).expanduser().exists():
            yield source, _whole_set(name, data, other)
